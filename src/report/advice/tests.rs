#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, io, rc::Rc, sync::Arc};

use super::*;
use crate::{
    cause::{Cause, Code, Kind},
    cli::Format,
    failure::{Cleanup, Counts},
    outcome::{SchemaFailure, command::Verified, doctor, wording},
    report::{command_output::Render, doctor as rendered, failure_report::FailureReport},
    tenants::{
        gate::{Finding, Verdict},
        ledger::Commands,
        manifest,
        structure::{
            Object, ObjectKind,
            difference::{Difference, Reference},
        },
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
    // The advice does not depend on the server's language.
    Cause { kind: Kind::of_sqlstate(code), code: Code::sqlstate(code), text: "Fehler".into() }
}

fn sqlite(code: i32) -> Cause {
    Cause { kind: Kind::of_sqlite(code), code: Some(Code::Sqlite(code)), text: "fehler".into() }
}

fn system(kind: io::ErrorKind) -> Cause {
    Cause { kind: Kind::of_io(kind), code: Some(Code::Io(kind)), text: "fehler".into() }
}

pub(super) fn findings() -> Vec<Finding> {
    let some = || vec!["one".to_owned()];
    let (app, table) = (|| "finance".to_owned(), || "invoice".to_owned());
    let object = || {
        let (kind, name) = (ObjectKind::Index, "invoice_unpaid".to_owned());
        let (table, definition, state) = (table(), String::new(), String::new());
        Some(Arc::new(Object { kind, table, name, definition, state }))
    };
    let missing = || Finding::MissingTables { tables: some(), dropped_by_newer: false };
    vec![
        Finding::NotRegistered,
        Finding::NotListed { registry: manifest::Kind::View },
        Finding::HalfCreated { run: "run 1 at 2026".into() },
        Finding::NoSchema,
        Finding::NoDatabase,
        Finding::NoLedger { tables: Vec::new() },
        Finding::NoLedger { tables: some() },
        Finding::Pending { migrations: some().into() },
        Finding::Unrecorded { migrations: some().into() },
        Finding::Dirty { migrations: some().into() },
        Finding::Altered { migrations: some().into(), line_ends_alone: false },
        Finding::Altered { migrations: some().into(), line_ends_alone: true },
        Finding::Diverged { unknown: some().into() },
        Finding::Ahead { unknown: some().into(), blocks: true },
        Finding::Models { app: app(), models: some(), all_tables: true, after: Vec::new() },
        Finding::Models { app: app(), models: some(), all_tables: false, after: Vec::new() },
        Finding::Shadowed { tables: some() },
        missing(),
        Finding::OtherKind { table: table(), expected: manifest::Kind::Table, found: manifest::Kind::View },
        Finding::MissingColumns { table: table(), columns: some(), dropped_by_newer: false },
        Finding::InvalidIndex { index: "i".into(), table: table(), unique: true },
        Finding::Structure {
            differences: Arc::new([Difference { expected: None, actual: object() }]),
            reference: Reference::Manifest,
            blocks: true,
        },
        Finding::Structure {
            differences: Arc::new([Difference { expected: object(), actual: None }]),
            reference: Reference::Manifest,
            blocks: true,
        },
        Finding::StructureOfOtherServer {
            derived: vec!["PostgreSQL 16".into()],
            found: "PostgreSQL 15".into(),
            blocks: true,
        },
        Finding::Unreadable { why: sql("42501") },
        Finding::Unreadable { why: sqlite(11) },
        Finding::Unreadable { why: "no code".into() },
        Finding::Vanished,
    ]
}

fn judged(finding: Finding, tenants: &[&str]) -> Judgement {
    let verdict = Verdict { findings: vec![finding] };
    let tenants = tenants.iter().map(|name| ((*name).to_owned(), verdict.clone())).collect();
    Judgement { tenants, ..Judgement::default() }
}

/// The failures of the gate and of a migration with this judgement.
fn failures(judgement: &Judgement) -> Vec<FailureDetails> {
    let migrating = FailureDetails {
        judgement: Some(judgement.clone()),
        ..FailureDetails::from(Failure::MigrationFailed { failed: 0, unmigratable: 1 })
    };
    FailureDetails::unless_complete(judgement.clone()).err().into_iter().chain([migrating]).collect()
}

#[test]
fn every_finding_has_advice_that_names_its_tenants_and_not_the_running_command() {
    for finding in findings() {
        let judgement = judged(finding.clone(), &["acme"]);
        for (running, line) in COMMANDS {
            for details in failures(&judgement) {
                let advice = advice(&details, running);
                assert!(!advice.actions.is_empty(), "{running:?} {finding:?}");
                for action in &advice.actions {
                    // `repair --record` differs from `repair`.
                    let is_itself = |command: &String| command.starts_with(line) && !command.contains(" --");
                    let itself = action.command.as_ref().is_some_and(is_itself);
                    assert!(!itself, "{running:?} advises itself for {finding:?}: {action:?}");
                }
                let text: String = advice.actions.iter().map(Action::line).collect();
                let about_all = matches!(finding, Finding::Vanished);
                assert!(about_all || text.contains("acme"), "{running:?} {finding:?}: {text}");
            }
        }
    }
}

/// The first cell of the finding's row in docs/gate.md; None for a warning.
fn row(finding: &Finding) -> Option<&'static str> {
    Some(match finding {
        Finding::NotRegistered => "`not registered`",
        Finding::NotListed { .. } => "`not listed`",
        Finding::HalfCreated { .. } => "`half created`",
        Finding::NoLedger { tables } if !tables.is_empty() => "`no ledger`, but tables",
        Finding::NoSchema | Finding::NoDatabase | Finding::NoLedger { .. } => {
            "`no schema` or `no database`, or no table in it"
        }
        Finding::Pending { .. } => "`pending`",
        Finding::Unrecorded { .. } => "`not recorded`",
        Finding::Dirty { .. } => "`dirty`",
        Finding::Altered { line_ends_alone: false, .. } => "`altered`",
        Finding::Altered { .. } => "`altered`, by line ends alone",
        Finding::Diverged { .. } => "`diverged`",
        Finding::Ahead { .. } => "`ahead` with `\"block\"`",
        Finding::Models { .. } => "Django: `table missing`, all tables of an app",
        Finding::Shadowed { .. } => "`shadowed`",
        Finding::MissingTables { .. } | Finding::MissingColumns { .. } => "`table missing`, `column missing`",
        Finding::OtherKind { .. } => "`other kind`",
        Finding::InvalidIndex { .. } => "`invalid index`, unique",
        Finding::Structure { .. } if finding.is_about_missing_objects() => "`structure`, missing objects",
        Finding::Structure { .. } => "`structure`, changed or additional objects",
        Finding::StructureOfOtherServer { .. } => "`structure` that is not proven: another server",
        Finding::Unreadable { .. } => "`cannot read`",
        Finding::Vanished => "`vanished`",
        Finding::Retired { .. } | Finding::Duplicate { .. } | Finding::Accepted { .. } => return None,
    })
}

#[test]
fn every_finding_has_a_row_of_commands_and_each_row_a_test_that_pastes_them() {
    let page = include_str!("../../../docs/gate.md");
    let (_, table) = page.split_once("| finding | command in the box | test |\n|---|---|---|\n").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .take_while(|line| line.starts_with("| "))
        .map(|line| line.trim_matches(['|', ' ']).split(" | ").collect())
        .collect();
    for finding in findings() {
        let Some(name) = row(&finding) else { continue };
        let cells = rows.iter().find(|cells| cells[0] == name);
        assert!(cells.is_some(), "docs/gate.md has no row for {name}");
        let cells = cells.unwrap();
        let commands = of_findings(&judged(finding.clone(), &["acme"]), Running::Verify).actions;
        let commands: Vec<String> = commands.into_iter().filter_map(|action| action.command).collect();
        if let Some((_, command)) = cells[1].split_once("`portcullis ") {
            let word = command.split([' ', '`']).next().unwrap();
            let is_listed = |line: &String| line.starts_with(&format!("portcullis {word}"));
            let is_listed = commands.iter().any(is_listed) || word == "verify";
            assert!(is_listed, "{name}: {command} is not among {commands:?}");
        } else {
            assert_eq!(commands, [""; 0], "{name}");
        }
    }
    let tests =
        [include_str!("../../../tests/run/pasted.rs"), include_str!("../../../tests/django/pasted.rs")];
    for cells in rows {
        let test = format!("fn {}(", cells[2].trim_matches('`'));
        assert!(tests.iter().any(|text| text.contains(&test)), "{test} does not exist");
    }
}

#[test]
fn all_renderers_give_the_same_advice_for_the_same_finding() {
    for finding in findings() {
        let judgement = judged(finding.clone(), &["acme", "globex"]);
        let findings_alone = of_findings(&judgement, Running::Doctor).actions;
        let Some(details) = failures(&judgement).into_iter().next() else { continue };
        let facts = FailureReport::of(None, &details, Running::Doctor);
        // The gate's failure may append an alternative.
        assert_eq!(facts.next[..findings_alone.len()], findings_alone[..], "{finding:?}");
        let check = doctor::Checked {
            group: "tenants",
            id: "tenants-complete".into(),
            name: "all tenants are complete",
            verdict: doctor::Verdict::Failed("bad".into(), Remedy::Findings(Rc::new(judgement))),
        };
        let (text, json) =
            (rendered::text(&[&check].map(Clone::clone), usize::MAX, false), rendered::json(&[check]));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for action in &findings_alone {
            assert!(text.contains(&action.line()), "{finding:?}\n{text}");
            assert!(json["checks"][0]["remedy"].as_str().unwrap().contains(&action.line()), "{json}");
        }
    }
}

#[test]
fn each_cause_has_its_own_advice_in_every_failure() {
    let causes = [
        "28P01", "28000", "3D000", "42501", "53300", "53100", "53200", "25006", "57P01", "55P03", "42P07",
        "42P01", "23505", "23502", "23503", "57014", "40001", "42601", "0A000", "58P01", "2BP01", "55P04",
        "25001", "55006", "54001", "XX000",
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
            ..SchemaFailure::default()
        };
        let migrating = FailureDetails {
            failed: vec![schema],
            ..FailureDetails::from(Failure::MigrationFailed { failed: 1, unmigratable: 0 })
        };
        let reading = judged(Finding::Unreadable { why: cause.clone() }, &["acme"]);
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

const EVERY_KIND: [Kind; 25] = [
    Kind::Other,
    Kind::Unreachable,
    Kind::Authentication,
    Kind::PasswordSource,
    Kind::RdsToken,
    Kind::CloudSqlToken,
    Kind::AzureToken,
    Kind::Certificate,
    Kind::TooManyConnections,
    Kind::Lost,
    Kind::Silent,
    Kind::Protocol,
    Kind::ReadOnly,
    Kind::DiskFull,
    Kind::OutOfMemory,
    Kind::Permission,
    Kind::Locked,
    Kind::Cancelled,
    Kind::Corrupt,
    Kind::Exists,
    Kind::Missing,
    Kind::Constraint,
    Kind::Rejected,
    Kind::File,
    // The kind of an unknown code.
    Kind::Rejected,
];

/// Every failure that can have a cause, with the affected tenant.
fn failures_with_cause(why: &Cause) -> Vec<(&'static str, FailureDetails, Option<&'static str>)> {
    let acme = || "acme".to_owned();
    let failed = |commands| SchemaFailure {
        tenant: Some(acme()),
        migration: Some("finance.0002_invoices".into()),
        why: why.clone(),
        commands,
        ..SchemaFailure::default()
    };
    let at = |commands, failure: Failure| FailureDetails { failed: vec![failed(commands)], ..failure.into() };
    let record = Commands { record: Some("record {app} {migration} {tenant}") };
    let provisioning = |left| Failure::Provisioning { tenant: acme(), why: why.clone(), left };
    let reading = judged(Finding::Unreadable { why: why.clone() }, &["acme"]);
    vec![
        (
            "a migration",
            at(Commands::default(), Failure::MigrationFailed { failed: 1, unmigratable: 0 }),
            Some("acme"),
        ),
        (
            "a framework's migration",
            at(record, Failure::MigrationFailed { failed: 1, unmigratable: 0 }),
            Some("acme"),
        ),
        (
            "all migrations",
            at(record, Failure::Database { what: "migrating".into(), why: why.clone() }),
            Some("acme"),
        ),
        ("a new tenant's migration", at(record, provisioning(Cleanup::Complete)), Some("acme")),
        ("a new tenant", provisioning(Cleanup::Complete).into(), Some("acme")),
        ("a new tenant's start", provisioning(Cleanup::NothingCreated).into(), Some("acme")),
        ("a new tenant's rest", provisioning(Cleanup::Deferred).into(), Some("acme")),
        ("a removed tenant of a command", provisioning(Cleanup::TenantsRemoved).into(), Some("acme")),
        ("a killed command's tenant", provisioning(Cleanup::CommandKilled).into(), Some("acme")),
        ("an unproven creation", provisioning(Cleanup::Unproven).into(), Some("acme")),
        ("a deletion", Failure::Deleting { tenant: acme(), why: why.clone() }.into(), Some("acme")),
        ("the gate", FailureDetails::unless_complete(reading).unwrap_err(), Some("acme")),
        ("a login", Failure::Refused { what: "the database".into(), why: why.clone() }.into(), None),
        ("a COMMIT", Failure::Database { what: "COMMIT".into(), why: why.clone() }.into(), None),
        ("the lock", Failure::Database { what: "acquiring the lock".into(), why: why.clone() }.into(), None),
        (
            "an inspection",
            Failure::Unproven { what: "all is complete".into(), why: why.clone() }.into(),
            None,
        ),
        ("a step's SQL", Failure::SqlFailed { why: why.clone() }.into(), None),
        ("a manifest", Failure::NotDerivable { why: why.clone() }.into(), None),
        (
            "a wait",
            Failure::WaitTimedOut { what: "x".into(), after: std::time::Duration::ZERO, last: why.clone() }
                .into(),
            None,
        ),
    ]
}

#[test]
fn a_cause_has_the_same_advice_in_every_failure_for_its_tenants_and_not_the_running_command() {
    let coded = [
        "28P01", "3D000", "42501", "53300", "25006", "55P03", "57014", "42P07", "42P01", "23505", "57P01",
        "XX001",
    ];
    let by_kind = EVERY_KIND.map(|kind| Cause::new(kind, "fehler"));
    for why in by_kind.into_iter().chain(coded.map(sql)).chain([8, 11, 13, 19].map(sqlite)) {
        let by_doctor = of_remedy(&doctor::Remedy::Cause(why.clone()));
        for (place, details, tenant) in failures_with_cause(&why) {
            for (running, line) in COMMANDS {
                let facts = FailureReport::of(None, &details, running);
                let steps: Vec<String> = facts.next.iter().map(Action::line).collect();
                let context = format!("{why:?} at {place} in {running:?}: {steps:#?}");
                assert!(!steps.is_empty(), "{context}");
                // The advice does not repeat the message.
                assert!(!steps.iter().any(|step| step.contains("ehler")), "{context}");
                assert!(!steps.iter().any(|step| step.contains(line)), "it advises itself: {context}");
                if let Some(tenant) = tenant {
                    assert!(steps.iter().any(|step| step.contains(tenant)), "{context}");
                }
                if let Some(cause) = by_doctor.cause {
                    assert_eq!(facts.likely_cause, Some(cause), "{context}");
                    let text = &by_doctor.actions[0].text;
                    assert!(steps.iter().any(|step| step.contains(text.as_str())), "{text}\n{context}");
                }
            }
        }
        let failed = Failure::Database { what: "COMMIT".into(), why: why.clone() };
        let remedy = of_remedy(&doctor::Remedy::Failure(Rc::new(failed)));
        assert_eq!(by_doctor.cause, remedy.cause.filter(|_| by_doctor.cause.is_some()), "{why:?}");
    }
}

#[test]
fn the_json_of_verify_has_the_advice_of_its_box() {
    for finding in findings() {
        let judgement = judged(finding.clone(), &["acme"]);
        let Err(details) = FailureDetails::unless_complete(judgement.clone()) else { continue };
        let facts = FailureReport::of(None, &details, Running::Verify);
        let verified = Verified { judgement, stale: Vec::new(), app: None, quiet: false, lists_all: false };
        let output = verified.render(Format::Json, false);
        let json: serde_json::Value = serde_json::from_str(&output.text).unwrap();
        assert_eq!(json["likely_cause"], serde_json::json!(facts.likely_cause), "{finding:?}");
        assert_eq!(json["next"], serde_json::json!(facts.next), "{finding:?}");
    }
}

#[test]
fn the_advice_has_the_frameworks_command_that_records_a_migration() {
    let commands = Commands { record: Some("record {app} {migration} {tenant}") };
    let failed = SchemaFailure {
        tenant: Some("acme".into()),
        migration: Some("finance.0002_invoices".into()),
        why: sql("42P07"),
        commands,
        ..SchemaFailure::default()
    };
    let failure = Failure::MigrationFailed { failed: 1, unmigratable: 0 };
    let details = FailureDetails { failed: vec![failed], ..failure.into() };
    let command = advice(&details, Running::Run).actions[0].command.clone();
    assert_eq!(command.as_deref(), Some("record finance 0002_invoices acme"));
}

#[test]
fn the_advice_for_an_unreachable_server_or_a_damaged_file_does_not_blame_privileges() {
    let advice_text = |details: &FailureDetails, running| {
        let Advice { cause, actions } = advice(details, running);
        format!("{}; {}", cause.unwrap_or_default(), actions.iter().map(Action::line).collect::<String>())
    };
    let unreachable = system(io::ErrorKind::ConnectionRefused);
    let unproven = Failure::Unproven { what: "everything is complete".into(), why: unreachable }.into();
    let message = advice_text(&unproven, Running::Verify);
    assert!(!message.contains("privilege") && message.contains("start the server"), "{message}");
    let corrupt = Failure::Refused { what: "the database".into(), why: sqlite(11) }.into();
    let message = advice_text(&corrupt, Running::Run);
    assert!(!message.contains("credentials") && message.contains("restore the file"), "{message}");
    assert!(advice_text(&Failure::SqlFailed { why: sql("42501") }.into(), Running::Run).contains("GRANT"));
}

#[test]
fn the_advice_for_a_first_start_is_one_command() {
    let judgement = Judgement {
        shared: Some(Verdict { findings: vec![Finding::NoLedger { tables: Vec::new() }] }),
        ..Judgement::default()
    };
    let advice = advice(&FailureDetails::unless_complete(judgement).unwrap_err(), Running::Verify);
    assert_eq!(advice.cause, Some("the database is empty: this is its first start"));
    let commands: Vec<_> = advice.actions.iter().map(|action| action.command.as_deref()).collect();
    assert_eq!(commands, [Some("portcullis migrate")]);
    let empty = Judgement { too_few: Some((0, 1)), ..Judgement::default() };
    let failure = Failure::Incomplete { counts: Counts::default() };
    let details = FailureDetails { judgement: Some(empty), ..failure.into() };
    let message: String = super::advice(&details, Running::Run).actions.iter().map(Action::line).collect();
    assert!(message.contains("portcullis tenant create") && !message.contains("backup"), "{message}");
}

#[test]
fn only_sql_files_are_said_to_declare_what_they_replace() {
    let diverged = judged(Finding::Diverged { unknown: ["1 old".to_owned()].into() }, &["acme"]);
    let text = |judgement: &Judgement| {
        of_findings(judgement, Running::Verify).actions.iter().map(Action::line).collect::<String>()
    };
    assert!(!text(&diverged).contains("replaces"));
    assert!(text(&Judgement { has_sql_files: true, ..diverged }).contains("-- replaces: 1-42"));
}

#[test]
fn one_step_restores_lost_tables_and_lost_objects() {
    let lost = |wanted: fn(&Finding) -> bool| findings().into_iter().filter(wanted);
    let columns = |finding: &Finding| matches!(finding, Finding::MissingColumns { .. });
    let index = |finding: &Finding| {
        matches!(finding, Finding::Structure { .. }) && finding.is_about_missing_objects()
    };
    let mut judgement = judged(lost(index).next().unwrap(), &["globex"]);
    let both = Verdict { findings: lost(columns).chain(lost(index)).collect() };
    judgement.tenants.insert("acme".into(), both);
    let advice = of_findings(&judgement, Running::Verify);
    let commands: Vec<_> = advice.actions.iter().filter_map(|action| action.command.as_deref()).collect();
    assert_eq!(commands, ["portcullis repair --restore acme globex"]);
}

#[test]
fn the_value_of_a_missing_variable_has_the_form_of_its_name() {
    for (variable, value) in [
        ("SECRET_KEY", "build"),
        ("DATABASE_URL", "postgres://build@localhost/build"),
        ("CELERY_BROKER_URL", "amqp://localhost"),
        ("SESSION_CACHE_URL", "redis://localhost"),
        ("API_URL", "http://localhost"),
        ("SENTRY_DSN", "build"),
        ("SMTP_PORT", "1"),
    ] {
        let failure = Failure::VariableMissing {
            program: "python".into(),
            ended: String::new(),
            variable: variable.into(),
            make: "portcullis manifest django",
        };
        let advice = advice(&failure.into(), Running::Manifest);
        let line = format!("{variable}={value} portcullis manifest django");
        assert_eq!(advice.actions[0].command, Some(line));
    }
}

#[test]
fn the_advice_names_the_first_tenants_and_counts_the_others() {
    let names: Vec<String> = (1..=15).map(|n| format!("t{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let judgement = judged(Finding::Pending { migrations: vec!["2 invoices".into()].into() }, &names);
    assert_eq!(wording::counts(&judgement).to_string(), "15 of 15 schemas incomplete");
    let advice = of_findings(&judgement, Running::Run);
    assert_eq!(
        advice.actions[0].line(),
        "apply what is pending in t01, t02, t03 and 12 more: portcullis migrate"
    );
}
