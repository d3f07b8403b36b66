//! Generates `docs/failures.md`: an example of every failure and finding, with its cause and remedy.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, io, time::Duration};

use super::*;
use crate::{
    cause::{Cause, Code, Kind},
    config::environment::Environment,
    failure::{Cleanup, Counts, MissingValues, chain},
    outcome::wording,
    tenants::gate::{Finding, Verdict},
};

const HEAD: &str = "# Failures

Every failure has an identifier. The first line of the box shows it with the exit code (`exit 1 (incomplete)`), and the JSON has it
as `id`. This page shows one example of each: its message, its likely cause, and what the box says to do. `acme` stands for a
tenant. The advice of a real box also depends on the server's error and on the findings. The page is generated from the code:
`UPDATE_DOCS=1 cargo test --lib documentation`.

";

fn sql(code: &str, text: &str) -> Cause {
    Cause { kind: Kind::of_sqlstate(code), code: Code::sqlstate(code), text: text.into() }
}

#[expect(clippy::too_many_lines, reason = "an example of every failure")]
fn examples() -> Vec<Failure> {
    let (path, make) = (|| "config.toml".into(), || "portcullis manifest sql".to_owned());
    let manifest = || "portcullis.manifest.json".into();
    let acme = || "acme".to_owned();
    let refused = || Cause {
        kind: Kind::of_io(io::ErrorKind::ConnectionRefused),
        code: Some(Code::Io(io::ErrorKind::ConnectionRefused)),
        text: "connection refused".into(),
    };
    let minutes = Duration::from_mins;
    vec![
        Failure::Usage { message: "unexpected argument '--al' found".into() },
        Failure::ConfigMissing { path: path() },
        Failure::ConfigUnreadable { path: path(), source: io::ErrorKind::PermissionDenied.into() },
        Failure::ConfigInvalid { path: path(), count: 2, rendered: String::new() },
        Failure::ConfigLacks { what: "the step `jobs`".into(), needs: "role" },
        Failure::ManifestMissing { path: manifest(), make: make() },
        Failure::ManifestStale {
            path: manifest(),
            why: "`migrations/tenant/4_paid.sql` is not in it".into(),
            make: make(),
        },
        Failure::OtherDatabase { why: "`app` instead of `invoices`".into() },
        Failure::ManifestInvalid { path: manifest(), why: "it was edited".into(), make: make() },
        Failure::TemplateUnusable { path: "template.sql".into(), why: "it is of another release".into() },
        Failure::MigrationsUnreadable { path: "migrations/tenant".into(), why: "no such folder".into() },
        Failure::WaitTimedOut { what: "the database".into(), after: minutes(2), last: refused() },
        Failure::Refused { what: "the database".into(), why: sql("28P01", "password authentication failed") },
        Failure::Incomplete { counts: Counts { schemas: 40, incomplete: 2, ..Counts::default() } },
        Failure::Incompatible { running: "91bc3f2a5d7e8c40".into(), breaks: 1, unproven: 0 },
        Failure::NotComparable {
            old: "old.manifest.json".into(),
            new: "portcullis.manifest.json".into(),
            why: "one is of PostgreSQL, the other of SQLite".into(),
        },
        Failure::NotRegistered { tenant: acme() },
        Failure::PlanChanged { why: "since the plan was made, the SQL changed".into() },
        Failure::MigrationFailed { failed: 1, unmigratable: 0 },
        Failure::NotDerivable { why: sql("42P01", "relation \"customer\" does not exist") },
        Failure::ReplayFailed { app: "finance".into(), tenant: acme(), limit: None },
        Failure::NotReplayable {
            app: "finance".into(),
            tenant: acme(),
            why: "its migration 0003_totals runs custom Python".into(),
        },
        Failure::NotRepairable { schema: acme(), why: sql("42703", "column \"total\" does not exist") },
        Failure::Unproven {
            what: "every tenant is complete".into(),
            why: sql("42501", "permission denied for schema acme"),
        },
        Failure::LockTimedOut { after: minutes(30), holder: "run 3b2d6b7f holds it".into() },
        Failure::LockLost { why: "the server ended its session".into() },
        Failure::Provisioning {
            tenant: acme(),
            why: sql("42710", "type \"plan\" already exists"),
            left: Cleanup::Complete,
        },
        Failure::ValuesMissing(MissingValues {
            tenant: acme(),
            columns: vec![("plan".into(), "text".into())],
            domain_columns: Vec::new(),
            argv: Some(vec!["acme".into()]),
        }),
        Failure::Deleting { tenant: acme(), why: sql("55P03", "lock not available") },
        Failure::CommandFailed { program: "python".into(), ended: "exited with 1".into() },
        Failure::VariableMissing {
            program: "python".into(),
            ended: "exited with 1".into(),
            variable: "SECRET_KEY".into(),
            make: "portcullis manifest sql",
        },
        Failure::CommandMissing { program: "python".into(), why: "No such file or directory".into() },
        Failure::CommandNotSpawned {
            program: "python".into(),
            why: "the limit on processes is reached".into(),
        },
        Failure::ExportsInvalid {
            program: "vault-env".into(),
            why: "line 2, column 8: the value of `PORT` is not a text".into(),
        },
        Failure::SqlFailed { why: sql("42601", "syntax error at or near \"CREAT\"") },
        Failure::TimedOut { what: "the step `static files`".into(), after: minutes(10) },
        Failure::Database {
            what: "reading the registry".into(),
            why: sql("57P01", "terminating connection"),
        },
        Failure::PrivilegesUnavailable {
            what: "the server".into(),
            why: "the user `app` is not in /etc/passwd".into(),
        },
        Failure::ServerNotFound { program: "gunicorn".into() },
        Failure::ServerNotExecutable {
            program: "/app/server".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        },
        Failure::EnvironmentUnknown {
            why: "permission denied: the server is process 1, and it belongs to user 1000".into(),
        },
        Failure::Interrupted { signal: 15, doing: "in step 3 of 7".into() },
        Failure::not_started("the runtime", &io::Error::from_raw_os_error(libc::EMFILE)),
        Failure::Internal { what: "a panic".into() },
    ]
}

/// The cause and the steps, as lines of Markdown.
fn remedy(advice: &Advice) -> String {
    let cause = advice.cause.map(|cause| format!("Likely cause: {cause}.\n\n")).unwrap_or_default();
    let step = |action: &Action| match &action.command {
        Some(command) => format!("1. {}: `{command}`\n", action.text),
        None => format!("1. {}\n", action.text),
    };
    cause + &advice.actions.iter().map(step).collect::<Vec<_>>().concat()
}

fn page() -> String {
    let mut sections: BTreeMap<&str, (u8, Vec<String>)> = BTreeMap::new();
    for failure in examples() {
        let (id, code, message) = (failure.id(), failure.code(), chain(&failure));
        let remedy = remedy(&advice(&failure.into(), Running::Run));
        let text = format!("> {message}\n\n{remedy}");
        sections.entry(id).or_insert_with(|| (code, Vec::new())).1.push(text);
    }
    let mut page = HEAD.to_owned();
    for (id, (code, texts)) in sections {
        page += &format!("## `{id}`\n\nExit code {code}.\n\n{}\n", texts.join("\n"));
    }
    page += "# Findings\n\nThe gate's findings about one schema are part of `incomplete`, `migration-failed` and `unproven`.\n\n";
    let mut sections: Vec<(&str, Vec<String>)> = Vec::new();
    for finding in super::tests::findings().into_iter().map(in_english) {
        let (label, which) = wording::words(&finding);
        let judgement = Judgement {
            tenants: [("acme".to_owned(), Verdict { findings: vec![finding] })].into(),
            has_sql_files: true,
            ..Judgement::default()
        };
        let remedy = remedy(&of_gate(&judgement, Running::Run));
        let text = format!("> acme: {label}: {which}\n\n{remedy}");
        match sections.iter_mut().find(|section| section.0 == label) {
            Some((_, texts)) if texts.iter().any(|text| text.ends_with(&remedy)) => {}
            Some((_, texts)) => texts.push(text),
            None => sections.push((label, vec![text])),
        }
    }
    for (label, texts) in sections {
        page += &format!("## {label}\n\n{}\n", texts.join("\n"));
    }
    page.trim_end().to_owned() + "\n"
}

/// The finding with the message of an English server.
fn in_english(finding: Finding) -> Finding {
    let text = |why: &Cause| match why.kind {
        Kind::Permission => "permission denied".to_owned(),
        Kind::Corrupt => "the disk image is malformed".to_owned(),
        _ => "unexpected reply".to_owned(),
    };
    match finding {
        Finding::Unreadable { why } => Finding::Unreadable { why: Cause { text: text(&why), ..why } },
        finding => finding,
    }
}

/// `UPDATE_DOCS=1 cargo test --lib documentation` writes the page.
#[test]
fn the_documentation_has_every_failure_and_finding() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/failures.md");
    let made = page();
    if Environment::of_process().get("UPDATE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == made,
        "docs/failures.md differs from the code; update it with: UPDATE_DOCS=1 cargo test --lib documentation"
    );
}

#[test]
fn every_identifier_has_an_example() {
    let source = include_str!("../../failure.rs");
    let body = source.split_once("fn id(&self)").unwrap().1.split_once("\n    }\n").unwrap().0;
    let declared: std::collections::BTreeSet<&str> = body.split('"').skip(1).step_by(2).collect();
    let shown = examples().iter().map(Failure::id).collect();
    assert_eq!(declared, shown, "add an example to src/report/advice/documentation_tests.rs");
}
