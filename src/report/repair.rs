//! Words a repair: its steps as they end, its summary, and all of it as JSON.

use std::collections::BTreeSet;

use console::Style as Paint;
use serde_json::{Value, json};

use super::{
    advice::quoted,
    facts::{Facts, Place},
    foreign,
};
use crate::{
    outcome::repair::{Ended, Repaired, STEPS, Step},
    tenants::{found::Rows, replay::Refusal},
    words::count,
};

/// One step that is over.
pub(crate) fn line(number: usize, step: &Step, colour: bool) -> String {
    let (word, paint) = match step.ended {
        Ended::Passed => ("ok", Paint::new().green()),
        Ended::Failed => ("FAILED", Paint::new().red().bold()),
        Ended::NotRun => ("not run", Paint::new().dim()),
    };
    let word = foreign::painted(format!("{word:<7}"), &paint, colour);
    let name = STEPS.get(number - 1).copied().unwrap_or_default();
    format!("{number}/{}  {word}  {name:<17}  {}", STEPS.len(), step.said)
}

/// What every table answered: `crm_customer 3 rows, finance_invoice 12 rows`.
pub(crate) fn rows(tables: &[(String, Rows)]) -> String {
    let said: Vec<String> = tables
        .iter()
        .map(|(table, rows)| match rows {
            Rows::Counted(rows) => {
                format!("{table} {}", count(usize::try_from(*rows).unwrap_or(usize::MAX), "row"))
            }
            Rows::Uncounted => format!("{table} more rows than can be counted quickly"),
            Rows::Failed(why) => format!("{table} does not answer: {why}"),
        })
        .collect();
    if said.is_empty() { "no table is expected".into() } else { said.join(", ") }
}

/// What is said at the end, on standard output.
pub(crate) fn summary(done: &[(String, Repaired)], app: Option<&str>, dry_run: bool) -> String {
    if let ([], Some(app)) = (done, app) {
        return format!("no tenant has lost a table of `{app}`\n");
    }
    let one = |(tenant, repaired): &(String, Repaired)| match (&repaired.trouble, dry_run) {
        (Some(_), _) => String::new(),
        (None, true) if !repaired.applied.is_empty() => {
            format!("{tenant}: {} would be applied\n", count(repaired.applied.len(), "migration"))
        }
        (None, _) => format!("{tenant}: complete\n"),
    };
    done.iter().map(one).collect()
}

/// Everything, for programs.
pub(crate) fn json(done: &[(String, Repaired)]) -> Value {
    let tenants: Vec<Value> = done.iter().map(|(tenant, repaired)| one(tenant, repaired)).collect();
    let failed = done.iter().any(|(_, repaired)| repaired.trouble.is_some());
    json!({ "outcome": if failed { "failed" } else { "done" }, "tenants": tenants })
}

fn one(tenant: &str, repaired: &Repaired) -> Value {
    let steps = repaired.steps.iter().zip(STEPS).enumerate().map(|(index, (step, name))| {
        let ended = match step.ended {
            Ended::Passed => "passed",
            Ended::Failed => "failed",
            Ended::NotRun => "not_run",
        };
        json!({ "number": index + 1, "name": name, "outcome": ended, "said": step.said })
    });
    let tables = repaired.tables.iter().map(|(table, rows)| match rows {
        Rows::Counted(rows) => json!({ "table": table, "rows": rows }),
        Rows::Uncounted => json!({ "table": table, "rows": null }),
        Rows::Failed(why) => json!({ "table": table, "failed": why }),
    });
    let failure = repaired.trouble.as_ref().map(|trouble| {
        let number = repaired.steps.len();
        let name = STEPS.get(number.saturating_sub(1)).copied().unwrap_or_default().to_owned();
        Facts::of(Some(Place { number, of: STEPS.len(), name }), trouble)
    });
    json!({
        "tenant": tenant,
        "steps": steps.collect::<Vec<_>>(),
        "applied": repaired.applied,
        "tables": tables.collect::<Vec<_>>(),
        "failure": failure,
    })
}

/// Why an app's migrations are not run again, and what to do instead.
pub(crate) fn refusal(refusal: &Refusal, app: &str, tenant: &str) -> (String, String) {
    let list = |names: &[String]| {
        names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect::<Vec<_>>().join(", ")
    };
    let tenant = quoted(tenant);
    let replay = |app: &str| format!("portcullis repair {tenant} --replay {}", quoted(app));
    let look = |lead: &str| format!("{lead}: portcullis verify --tenant {tenant}");
    match refusal {
        Refusal::NoApps => {
            ("the manifest does not say which tables belong to which app".into(), look("see what is missing"))
        }
        Refusal::NoSuchApp => {
            ("a tenant has no tables of such an app".into(), look("see which apps have lost tables"))
        }
        Refusal::NoLedger => {
            ("its schema or ledger is not there, or cannot be read".into(), look("see what is wrong"))
        }
        Refusal::Pending(names) => (
            format!("its migrations were never applied ({})", list(names)),
            format!("apply them: portcullis repair {tenant}"),
        ),
        Refusal::After(apps) => (
            format!("its migrations stand on those of {}, whose tables are lost too", list(apps)),
            format!("begin there: {}", replay(apps.first().map_or(app, String::as_str))),
        ),
        Refusal::Circle(apps) => (
            format!(
                "its migrations and those of {} stand on each other, and both have lost tables",
                list(apps)
            ),
            look("restore the tables of both from a backup, then look again"),
        ),
        Refusal::NothingMissing => ("all of its tables are there".into(), look("see what is wrong")),
        Refusal::Standing(tables) => (
            format!("{} still there, and running everything again would fail on it", list(tables)),
            look("restore the missing ones from a backup, then look again"),
        ),
        Refusal::Code(names) => (
            format!("it runs code of its own in {}", list(names)),
            format!("read that code; if it may run again: {} --allow-code", replay(app)),
        ),
        Refusal::NotAtomic(names) => (
            format!("{} cannot be part of one transaction", list(names)),
            look("restore its tables from a backup, then look again"),
        ),
    }
}
