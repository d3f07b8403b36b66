#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, io, rc::Rc};

use super::*;
use crate::{
    cause::{Cause, Code, Kind},
    failure::Counts,
    outcome::{SchemaFailure, doctor, wording},
    report::{doctor as rendered, facts::Facts},
    tenants::{
        gate::{Finding, Verdict},
        manifest,
    },
};

const COMMANDS: [(Running, &str); 9] = [
    (Running::Run, "portcullis run"),
    (Running::Verify, "portcullis verify"),
    (Running::Migrate, "portcullis migrate"),
    (Running::Repair, "portcullis repair"),
    (Running::Doctor, "portcullis doctor"),
    (Running::TenantCreate, "portcullis tenant create"),
    (Running::TenantDelete, "portcullis tenant delete"),
    (Running::TenantTemplate, "portcullis tenant template"),
    (Running::Manifest, "portcullis manifest"),
];

fn sql(code: &str) -> Cause {
    // The server's own language is not English: nothing depends on its words.
    Cause { kind: Kind::of_sqlstate(code), code: Code::sqlstate(code), text: "Fehler".into() }
}

fn sqlite(code: i32) -> Cause {
    Cause { kind: Kind::of_sqlite(code), code: Some(Code::Sqlite(code)), text: "fehler".into() }
}

fn system(kind: io::ErrorKind) -> Cause {
    Cause { kind: Kind::of_io(kind), code: Some(Code::Io(kind)), text: "fehler".into() }
}

fn findings() -> Vec<Finding> {
    let some = || vec!["one".to_owned()];
    let (app, table) = (|| "finance".to_owned(), || "invoice".to_owned());
    let missing = || Finding::MissingTables { tables: some(), dropped_by_newer: false };
    vec![
        Finding::NotRegistered,
        Finding::NoSchema,
        Finding::NoLedger { tables: Vec::new() },
        Finding::NoLedger { tables: some() },
        Finding::Pending { migrations: some() },
        Finding::Dirty { migrations: some() },
        Finding::Altered { migrations: some() },
        Finding::Diverged { unknown: some() },
        Finding::Ahead { unknown: some(), blocks: true },
        Finding::Models { app: app(), models: some(), whole: true, after: Vec::new() },
        Finding::Models { app: app(), models: some(), whole: false, after: Vec::new() },
        Finding::Shadowed { tables: some() },
        missing(),
        Finding::OtherKind { table: table(), expected: manifest::Kind::Table, found: manifest::Kind::View },
        Finding::MissingColumns { table: table(), columns: some(), dropped_by_newer: false },
        Finding::InvalidIndex { index: "i".into(), table: table(), unique: true },
        Finding::LookFailed { why: sql("42501") },
        Finding::LookFailed { why: sqlite(11) },
        Finding::LookFailed { why: "no code".into() },
        Finding::Vanished,
    ]
}

fn judged(finding: Finding, tenants: &[&str]) -> Judgement {
    let verdict = Verdict { findings: vec![finding] };
    let tenants = tenants.iter().map(|name| ((*name).to_owned(), verdict.clone())).collect();
    Judgement { tenants, ..Judgement::default() }
}

/// The failures that the gate, and a migration that met such a schema, make of a judgement.
fn failures(judgement: &Judgement) -> Vec<FailureDetails> {
    let migrating = FailureDetails {
        judgement: Some(judgement.clone()),
        ..FailureDetails::from(Failure::MigrationFailed { failed: 0, unfit: 1 })
    };
    FailureDetails::unless_complete(judgement.clone()).err().into_iter().chain([migrating]).collect()
}

#[test]
fn every_finding_has_advice_that_names_its_tenants_and_never_the_command_that_runs() {
    for finding in findings() {
        let judgement = judged(finding.clone(), &["acme"]);
        for (running, line) in COMMANDS {
            for details in failures(&judgement) {
                let advice = advice(&details, running);
                assert!(!advice.actions.is_empty(), "{running:?} {finding:?}");
                for action in &advice.actions {
                    // `repair --replay` does something else than `repair`.
                    let is_itself =
                        |command: &String| command.starts_with(line) && !command.contains("--replay");
                    let itself = action.command.as_ref().is_some_and(is_itself);
                    assert!(!itself, "{running:?} advises itself for {finding:?}: {action:?}");
                }
                let told: String = advice.actions.iter().map(Action::line).collect();
                let about_all = matches!(finding, Finding::Vanished)
                    || matches!(&finding, Finding::LookFailed { why } if why.code.is_none());
                assert!(about_all || told.contains("acme"), "{running:?} {finding:?}: {told}");
            }
        }
    }
}

#[test]
fn all_renderers_give_the_same_advice_for_the_same_finding() {
    for finding in findings() {
        let judgement = judged(finding.clone(), &["acme", "globex"]);
        let findings_alone = of_findings(&judgement, Running::Doctor).actions;
        let Some(details) = failures(&judgement).into_iter().next() else { continue };
        let facts = Facts::of(None, &details, Running::Doctor);
        // The gate's failure may add what a person can decide, and nothing comes between.
        assert_eq!(facts.next[..findings_alone.len()], findings_alone[..], "{finding:?}");
        let check = doctor::Checked {
            group: "tenants",
            id: "tenants-complete",
            name: "all tenants are complete",
            verdict: doctor::Verdict::Failed("bad".into(), Remedy::Findings(Rc::new(judgement))),
        };
        let (text, json) = (rendered::text(&[&check].map(Clone::clone), false), rendered::json(&[check]));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for action in &findings_alone {
            assert!(text.contains(&action.line()), "{finding:?}\n{text}");
            assert!(json["checks"][0]["remedy"].as_str().unwrap().contains(&action.line()), "{json}");
        }
    }
}

#[test]
fn each_cause_has_advice_of_its_own_wherever_it_occurs() {
    let causes = [
        "28P01", "28000", "3D000", "42501", "53300", "53100", "53200", "25006", "57P01", "55P03", "42P07",
        "42P01", "23505", "23502", "23503", "57014", "40001", "42601",
    ]
    .map(sql)
    .into_iter()
    .chain([11, 26, 13, 8, 5, 14].map(sqlite))
    .chain([io::ErrorKind::ConnectionRefused, io::ErrorKind::HostUnreachable].map(system))
    .chain(
        [Kind::Lost, Kind::Silent, Kind::Certificate, Kind::Unreachable].map(|kind| Cause::new(kind, "x")),
    );
    let mut seen = BTreeSet::new();
    for cause in causes {
        let schema = SchemaFailure {
            tenant: Some("acme".into()),
            migration: Some("2 invoices".into()),
            place: None,
            why: cause.clone(),
            dirty: false,
        };
        let migrating = FailureDetails {
            failed: vec![schema],
            ..FailureDetails::from(Failure::MigrationFailed { failed: 1, unfit: 0 })
        };
        let reading = judged(Finding::LookFailed { why: cause.clone() }, &["acme"]);
        let everywhere = [
            migrating,
            FailureDetails::unless_complete(reading).unwrap_err(),
            Failure::Refused { what: "the database".into(), why: cause.clone() }.into(),
            Failure::Database { what: "COMMIT".into(), why: cause.clone() }.into(),
            Failure::Unproven { what: "everything is complete".into(), why: cause.clone() }.into(),
            Failure::SqlFailed { why: cause.clone() }.into(),
            Failure::WaitTimedOut { what: "x".into(), after: std::time::Duration::ZERO, last: cause.clone() }
                .into(),
        ];
        let likely = advice(&everywhere[0], Running::Run).cause.unwrap();
        assert!(!likely.contains("does not fit the data"), "{cause:?}");
        assert!(seen.insert(likely), "{cause:?} has the advice of another: {likely}");
        for details in &everywhere {
            assert_eq!(advice(details, Running::Run).cause, Some(likely), "{cause:?} {:?}", details.failure);
        }
    }
}

#[test]
fn a_lost_connection_is_no_fault_of_the_migration_and_an_unreachable_server_none_of_privileges() {
    let told = |details: &FailureDetails, running| {
        let Advice { cause, actions } = advice(details, running);
        format!("{}; {}", cause.unwrap_or_default(), actions.iter().map(Action::line).collect::<String>())
    };
    let unreachable = system(io::ErrorKind::ConnectionRefused);
    let unproven = Failure::Unproven { what: "everything is complete".into(), why: unreachable }.into();
    let said = told(&unproven, Running::Verify);
    assert!(!said.contains("privilege") && said.contains("start the server"), "{said}");
    let corrupt = Failure::Refused { what: "the database".into(), why: sqlite(11) }.into();
    let said = told(&corrupt, Running::Run);
    assert!(!said.contains("credentials") && said.contains("restore the file"), "{said}");
    assert!(told(&Failure::SqlFailed { why: sql("42501") }.into(), Running::Run).contains("GRANT"));
}

#[test]
fn a_first_start_is_told_as_one_with_the_one_command() {
    let judgement = Judgement {
        shared: Some(Verdict { findings: vec![Finding::NoLedger { tables: Vec::new() }] }),
        ..Judgement::default()
    };
    let advice = advice(&FailureDetails::unless_complete(judgement).unwrap_err(), Running::Verify);
    assert_eq!(advice.cause, Some("the database is empty: nothing was migrated yet"));
    let commands: Vec<_> = advice.actions.iter().map(|action| action.command.as_deref()).collect();
    assert_eq!(commands, [Some("portcullis migrate")]);
    let empty = Judgement { too_few: Some((0, 1)), ..Judgement::default() };
    let failure = Failure::Incomplete { counts: Counts::default() };
    let details = FailureDetails { judgement: Some(empty), ..failure.into() };
    let said: String = super::advice(&details, Running::Run).actions.iter().map(Action::line).collect();
    assert!(said.contains("portcullis tenant create") && !said.contains("backup"), "{said}");
}

#[test]
fn many_tenants_are_named_by_the_first_few() {
    let names: Vec<String> = (1..=15).map(|n| format!("t{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let judgement = judged(Finding::Pending { migrations: vec!["2 invoices".into()] }, &names);
    assert_eq!(wording::counts(&judgement).to_string(), "15 of 15 schemas incomplete");
    let advice = of_findings(&judgement, Running::Run);
    assert_eq!(
        advice.actions[0].line(),
        "apply what is pending in t01, t02, t03 and 12 more: portcullis migrate"
    );
}
