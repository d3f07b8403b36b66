//! A repair as text and JSON: its steps as they end, and its summary.

use console::Style as Paint;
use serde_json::{Value, json};

use super::{
    failure_report::{FailureReport, StepPosition},
    running::Running,
    terminal_filter,
};
use crate::{
    outcome::repair::{Repaired, STEPS, Step, StepResult},
    tenants::inspection::Rows,
    words::count,
};

/// The line of a step that has ended.
pub(crate) fn line(number: usize, step: &Step, colour: bool) -> String {
    let (word, paint) = match step.ended {
        StepResult::Passed => ("ok", Paint::new().green()),
        StepResult::Failed => ("FAILED", Paint::new().red().bold()),
        StepResult::NotRun => ("not run", Paint::new().dim()),
    };
    let word = terminal_filter::painted(format!("{word:<7}"), &paint, colour);
    let name = STEPS.get(number - 1).copied().unwrap_or_default();
    format!("{number}/{}  {word}  {name:<17}  {}", STEPS.len(), step.message)
}

/// The summary for standard output.
pub(crate) fn summary(done: &[(String, Repaired)], app: Option<&str>, dry_run: bool) -> String {
    if done.is_empty() {
        let app = app.map(|app| format!(" of `{app}`")).unwrap_or_default();
        return format!("no tenant has lost a table{app} or a ledger row\n");
    }
    let sql: String = done.iter().filter_map(|(_, repaired)| repaired.sql.as_deref()).collect();
    if !sql.is_empty() {
        // Only SQL, so that psql or sqlite3 can read it.
        return terminal_filter::rendered(&sql);
    }
    let one = |(tenant, repaired): &(String, Repaired)| match (&repaired.details, dry_run) {
        (Some(_), _) => String::new(),
        (None, true) if !repaired.applied.is_empty() => terminal_filter::line(&format!(
            "{tenant}: {} would be applied",
            count(repaired.applied.len(), "migration")
        )),
        (None, _) => terminal_filter::line(&format!("{tenant}: complete")),
    };
    done.iter().map(one).collect()
}

/// The complete result, for programs.
pub(crate) fn json(done: &[(String, Repaired)]) -> Value {
    let tenants: Vec<Value> = done.iter().map(|(tenant, repaired)| one(tenant, repaired)).collect();
    let failed = done.iter().any(|(_, repaired)| repaired.details.is_some());
    json!({ "outcome": if failed { "failed" } else { "done" }, "tenants": tenants })
}

fn one(tenant: &str, repaired: &Repaired) -> Value {
    let steps = repaired.steps.iter().zip(STEPS).enumerate().map(|(index, (step, name))| {
        let ended = match step.ended {
            StepResult::Passed => "passed",
            StepResult::Failed => "failed",
            StepResult::NotRun => "not_run",
        };
        json!({ "number": index + 1, "name": name, "outcome": ended, "message": step.message })
    });
    let tables = repaired.tables.iter().map(|(table, rows)| match rows {
        Rows::Counted(rows) => json!({ "table": table, "rows": rows }),
        Rows::Uncounted => json!({ "table": table, "rows": null }),
        Rows::Failed(why) => json!({ "table": table, "failed": why }),
    });
    let failure = repaired.details.as_ref().map(|details| {
        let number = repaired.steps.len();
        let name = STEPS.get(number.saturating_sub(1)).copied().unwrap_or_default().to_owned();
        FailureReport::of(Some(StepPosition { number, of: STEPS.len(), name }), details, Running::Repair)
    });
    json!({
        "tenant": tenant,
        "steps": steps.collect::<Vec<_>>(),
        "applied": repaired.applied,
        "tables": tables.collect::<Vec<_>>(),
        "sql": repaired.sql,
        "failure": failure,
    })
}
