//! The rounds of `verify --every`: changes as text, rounds as JSON, metrics, notifications.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, json};

use super::{
    json::seconds,
    judgement::{OneSchema, outcome_word},
    prometheus::{family, float, label, line},
    terminal_filter,
};
use crate::{
    outcome::{
        watch::{BadSchemas, Change},
        wording::{name, summary},
    },
    tenants::gate::{Judgement, Outcome},
    words::rfc3339,
};

/// The number of schemas that the metrics name, and of changes in a notification.
const MOST_NAMED: usize = 1_000;

/// One round.
pub(crate) struct Round<'a> {
    /// From 1.
    pub(crate) number: u64,
    pub(crate) now: SystemTime,
    pub(crate) took: Duration,
    /// The judgement, or why there is none.
    pub(crate) judged: Result<&'a Judgement, &'a str>,
    /// Of this round, or of the last one with a judgement.
    pub(crate) bad: &'a BadSchemas,
    pub(crate) changes: &'a [Change],
}

impl Round<'_> {
    fn outcome(&self) -> Outcome {
        self.judged.map_or(Outcome::Unproven, Judgement::outcome)
    }

    fn summary(&self) -> String {
        self.judged.map_or_else(str::to_owned, summary)
    }
}

/// One line for each change, and the summary after them; empty without a change, except for the first round.
pub(crate) fn text(round: &Round<'_>) -> String {
    if round.changes.is_empty() && round.number > 1 {
        return String::new();
    }
    let time = rfc3339(round.now);
    let summary = format!("{}: {}", outcome_word(round.outcome()), round.summary());
    let lines = round.changes.iter().map(words).chain([summary]);
    lines.map(|text| terminal_filter::line(&format!("{time} {text}"))).collect()
}

fn words(change: &Change) -> String {
    match change {
        Change::Bad { schema, outcome, what } => {
            format!("{}: {}: {what}", name(schema.as_deref()), outcome_word(*outcome))
        }
        Change::Repaired { schema } => format!("{}: complete again", name(schema.as_deref())),
        Change::Unregistered { schema } => format!("{}: not registered any longer", name(schema.as_deref())),
        Change::Unproven { why } => format!("not proven: {why}"),
        Change::Proven => "proven again".into(),
        Change::ListRenewed { tenants } if tenants.is_empty() => "no tenant is quarantined".into(),
        Change::ListRenewed { tenants } => format!("quarantined: {}", tenants.join(", ")),
        Change::ListUnchanged { why } => format!("the list of quarantined tenants stays unchanged: {why}"),
    }
}

/// One round on one line. Complete tenants are only counted.
pub(crate) fn json(round: &Round<'_>) -> Value {
    let tenants = round.judged.map(|judgement| {
        let bad = judgement.tenants.iter().filter(|(_, verdict)| verdict.outcome() != Outcome::Complete);
        bad.map(|(tenant, verdict)| (tenant.clone(), json!(OneSchema::new(verdict, None)))).collect()
    });
    let tenants: Map<String, Value> = tenants.unwrap_or_default();
    let shared = round.judged.ok().and_then(|judgement| judgement.shared.as_ref());
    json!({
        "time": rfc3339(round.now),
        "round": round.number,
        "took_seconds": seconds(round.took),
        "outcome": outcome_word(round.outcome()),
        "summary": round.summary(),
        "shared": shared.map(|verdict| OneSchema::new(verdict, None)),
        "tenants": tenants,
        "changes": changes(round),
    })
}

/// The input of `[notify] command`.
pub(crate) fn notification(round: &Round<'_>) -> Value {
    json!({
        "status": "watch",
        "time": rfc3339(round.now),
        "outcome": outcome_word(round.outcome()),
        "summary": round.summary(),
        "changes": changes(round),
        "text": text(round),
    })
}

fn changes(round: &Round<'_>) -> Vec<Value> {
    let one = |change: &Change| match change {
        Change::Bad { schema, outcome, what } => {
            json!({ "change": outcome_word(*outcome), "schema": schema, "what": what })
        }
        Change::Repaired { schema } => json!({ "change": "repaired", "schema": schema }),
        Change::Unregistered { schema } => json!({ "change": "unregistered", "schema": schema }),
        Change::Unproven { why } => json!({ "change": "not_proven", "what": why }),
        Change::Proven => json!({ "change": "proven" }),
        Change::ListRenewed { tenants } => json!({ "change": "quarantine", "tenants": tenants }),
        Change::ListUnchanged { why } => json!({ "change": "quarantine_unchanged", "what": why }),
    };
    round.changes.iter().take(MOST_NAMED).map(one).collect()
}

/// The state for the endpoint and the file of the metrics.
#[derive(Debug, Default)]
pub(crate) struct WatchPage {
    /// The last round; empty before the first one.
    pub(crate) json: String,
    pub(crate) metrics: String,
    last_proven: Option<SystemTime>,
    rounds: u64,
    changes: usize,
}

impl WatchPage {
    pub(crate) fn update(&mut self, round: &Round<'_>) {
        self.json = json(round).to_string();
        self.rounds = round.number;
        self.changes += round.changes.len();
        if round.outcome() != Outcome::Unproven {
            self.last_proven = Some(round.now);
        }
        self.metrics = self.metrics(round);
    }

    fn metrics(&self, round: &Round<'_>) -> String {
        let mut text = String::new();
        let unix =
            |time: SystemTime| seconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let mut one = |name: &str, kind: &str, help: &str, value: f64| {
            family(&mut text, name, kind, help);
            line(&mut text, name, "", value);
        };
        #[expect(clippy::cast_precision_loss, reason = "2^52 rounds are not possible")]
        let rounds = self.rounds as f64;
        one("portcullis_watch_rounds_total", "counter", "The rounds of the watch.", rounds);
        one(
            "portcullis_watch_changes_total",
            "counter",
            "The changes that the watch reported.",
            float(self.changes),
        );
        one(
            "portcullis_watch_last_round_timestamp_seconds",
            "gauge",
            "The Unix time of the end of the last round.",
            unix(round.now),
        );
        let help = "The Unix time of the last round that proved the state of every schema.";
        let proven = self.last_proven.map_or(0.0, unix);
        one("portcullis_watch_last_proven_timestamp_seconds", "gauge", help, proven);
        one(
            "portcullis_watch_round_duration_seconds",
            "gauge",
            "The duration of the last round.",
            seconds(round.took),
        );
        if let Ok(judgement) = round.judged {
            family(&mut text, "portcullis_schemas", "gauge", "Schemas by the result of the last judgement.");
            for outcome in [Outcome::Complete, Outcome::Incomplete, Outcome::Unproven] {
                let labels = format!("state=\"{}\"", outcome_word(outcome));
                line(&mut text, "portcullis_schemas", &labels, float(judgement.count(outcome)));
            }
        }
        if !round.bad.is_empty() {
            let help = "The schemas that are not complete, up to 1000; always 1.";
            family(&mut text, "portcullis_schema_bad", "gauge", help);
        }
        for (schema, (outcome, _)) in round.bad.iter().take(MOST_NAMED) {
            let kind = if schema.is_some() { "tenant" } else { "shared" };
            let tenant = label(schema.as_deref().unwrap_or_default());
            let labels =
                format!("schema=\"{kind}\",tenant=\"{tenant}\",outcome=\"{}\"", outcome_word(*outcome));
            line(&mut text, "portcullis_schema_bad", &labels, 1.0);
        }
        text
    }
}

/// The file of the watch's metrics: next to that of the start-up, whose content stays.
pub(crate) fn metrics_path(path: &Path) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push("-watch");
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_the_watch_have_their_own_file() {
        for (file, own) in [("/m/app.prom", "/m/app-watch.prom"), ("metrics", "metrics-watch")] {
            assert_eq!(metrics_path(Path::new(file)), Path::new(own));
        }
    }
}
