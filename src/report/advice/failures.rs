//! The advice for a failure that the gate's findings do not explain.

use std::io;

use super::{
    super::running::Running,
    causes,
    steps::{self, Steps},
};
use crate::{
    failure::{Cleanup, Failure},
    outcome::SchemaFailure,
    tenants::{gate::Judgement, quarantine},
    words::count,
};

/// `explained` if the failed schemas already have advice.
pub(super) fn advise(steps: &mut Steps, failure: &Failure, explained: bool) {
    if !explained && let Some(cause) = failure.cause() {
        let schemas: Vec<Option<&str>> = failure.tenant().into_iter().map(Some).collect();
        causes::advise(steps, cause, &schemas, None);
    }
    if let Some(cause) = likely_cause(failure)
        && !steps.has_cause()
    {
        steps.cause(cause);
    }
    if let Some(text) = last_step(failure, steps.running.again(), !steps.is_empty()) {
        steps.add_step(text);
    }
    if let Failure::Provisioning { tenant, left: Cleanup::Unproven, .. } = failure {
        steps.add_step(format!(
            "inspect {tenant}: if it is a real tenant, add its registry row; if it is not, drop its schema or database manually",
        ));
        steps.apply("or delete a registered tenant", steps::delete(tenant));
    }
    if let Failure::Provisioning { tenant, left: Cleanup::CommandKilled, .. } = failure {
        steps::remove_half_created(steps, tenant);
    }
    if steps.is_empty() {
        fallback(steps, failure);
    }
}

fn likely_cause(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::WaitTimedOut { .. } => "the service is not running, or its name or port is wrong",
        Failure::CommandMissing { .. } => "the program is not in the image, or not in PATH",
        Failure::TimedOut { .. } => "it hangs, or its time limit is too short",
        Failure::LockTimedOut { .. } => "another run is migrating, or it hangs while it holds the lock",
        _ => return None,
    })
}

/// The last step, after the correction of the cause; `is_explained` if the cause has advice.
fn last_step(failure: &Failure, again: &str, is_explained: bool) -> Option<String> {
    let lead = if is_explained { "then" } else { "correct the cause, then" };
    Some(match failure {
        Failure::Provisioning { tenant, left: Cleanup::Complete, .. } => {
            format!(
                "{lead} {again}; the schema or database, the rows and the journal entry of {tenant} were removed"
            )
        }
        Failure::Provisioning { tenant, left: Cleanup::TenantsRemoved, .. } => format!(
            "{lead} {again}; the schema or database, the rows and the journal entry of {tenant} were removed, and what the command wrote to \
             other schemas or tables remains"
        ),
        Failure::Provisioning { tenant, left: Cleanup::NothingCreated, .. } if !is_explained => {
            format!("correct the cause, or use another name than {tenant}, then {again}")
        }
        Failure::Provisioning { left: Cleanup::NothingCreated, .. }
        | Failure::Refused { .. }
        | Failure::Database { .. }
        | Failure::Unproven { .. }
        | Failure::SqlFailed { .. }
        | Failure::WaitTimedOut { .. }
            if is_explained =>
        {
            format!("then {again}")
        }
        Failure::Provisioning { tenant, left: Cleanup::Deferred, .. } => {
            format!("{lead} {again}: it first removes the unfinished creation of {tenant}")
        }
        Failure::Deleting { tenant, .. } => {
            format!("{lead} {again}: it removes the rest of {tenant}")
        }
        Failure::LockLost { .. } => format!("{again}: the ledgers record the committed migrations"),
        _ => return None,
    })
}

fn set_variable(steps: &mut Steps, variable: &str, make: &str) {
    steps.paste(
        "give it a value, in addition to those that the command has; the manifest needs no database, so any value of the right form \
         is enough",
        format!("{variable}={} {make}", placeholder(variable)),
    );
}

fn correct_configuration(steps: &mut Steps) {
    let text = "correct the file, or set the variables that it names";
    if steps.running == Running::Check {
        steps.add_step(format!("{text}, then {}", steps.running.again()));
    } else {
        steps.apply(format!("{text}, then check it"), steps::check());
    }
}

/// A value of the form that the variable's name suggests.
fn placeholder(variable: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| variable.contains(word));
    match variable.rsplit('_').next() {
        Some("URL" | "URI" | "DSN") if has(&["REDIS", "CACHE"]) => "redis://localhost",
        Some("URL" | "URI" | "DSN") if has(&["AMQP", "RABBIT", "BROKER"]) => "amqp://localhost",
        Some("URL" | "URI" | "DSN") if has(&["DATABASE", "DB", "POSTGRES", "PG"]) => {
            "postgres://build@localhost/build"
        }
        Some("URL" | "URI") => "http://localhost",
        Some("PORT") => "1",
        _ => "build",
    }
}

fn split_change(steps: &mut Steps) {
    steps.add_step(
        "split the change: a release that only adds, then, when no old code runs, one that removes: docs/compatibility.md",
    );
    steps.paste(
        "or stop every container of the release that serves, and open the gate once",
        "PORTCULLIS_OVERRIDE=\"gate:REASON\"",
    );
}

/// The advice for a failure without any other advice.
fn fallback(steps: &mut Steps, failure: &Failure) {
    let again = steps.running.again();
    match failure {
        Failure::Usage { .. } => steps.paste("see the help", "portcullis --help"),
        Failure::VariableMissing { variable, make, .. } => set_variable(steps, variable, make),
        Failure::ValuesMissing(missing) => steps::values(steps, missing),
        Failure::ConfigMissing { .. } => steps.paste(
            "write a first one with `portcullis init-config`, set the file with --config FILE or PORTCULLIS_CONFIG, or run without steps",
            "portcullis run --no-config -- COMMAND",
        ),
        Failure::ConfigUnreadable { source, .. } => steps.add_step(match source.kind() {
            io::ErrorKind::IsADirectory => "set the path of the file, not of its folder",
            io::ErrorKind::InvalidData => "save the file as UTF-8",
            _ => "make the file readable to this user",
        }),
        Failure::ConfigInvalid { .. } => correct_configuration(steps),
        Failure::ConfigLacks { needs, .. } => steps.add_step(format!("add `{needs}` to the configuration file")),
        Failure::OtherDatabase { .. } => steps.add_step(
            "let both read the same variables: correct `[database]`, or the database in the project's settings (with a pooler: \
             `[database] direct`)",
        ),
        Failure::ManifestMissing { make, .. }
        | Failure::ManifestStale { make, .. }
        | Failure::ManifestInvalid { make, .. } => steps.apply(
            format!("create it in the image build with `RUN {make}` in the Dockerfile, or in CI"),
            steps::manifest(make),
        ),
        Failure::TemplateUnusable { .. } => {
            steps.apply(
                "build it again for this release, in a database whose shared schema is migrated",
                steps::template(),
            );
        }
        Failure::MigrationsUnreadable { .. } => steps.add_step("correct the folder, or the name of the file"),
        Failure::WaitTimedOut { .. } => steps.add_step("read the log of the service, or raise `timeout`"),
        Failure::Refused { what, .. } => {
            steps.add_step(format!("correct the address and the credentials of {what}; a retry does not help"));
        }
        Failure::Incompatible { .. } => split_change(steps),
        Failure::NotComparable { .. } => steps.add_step("name the manifests of two releases of one project"),
        Failure::Incomplete { .. } => {
            steps.see("see what is incomplete", steps::verify(&[]));
            if steps.is_empty() {
                steps.add_step(format!("correct the findings above, then {again}"));
            }
        }
        Failure::NotRegistered { tenant } => {
            steps.apply("create the tenant, or correct its name", steps::create(tenant));
        }
        Failure::PlanChanged { .. } => steps.paste("have a new plan approved", "portcullis migrate --plan"),
        Failure::MigrationFailed { .. } | Failure::NotDerivable { .. } => {
            steps.add_step(format!("correct the migration or the data that it fails on, then {again}"));
        }
        Failure::ReplayFailed { .. } => {
            steps.add_step(format!("read the last lines above, correct the cause, then {again}"));
        }
        Failure::NotReplayable { tenant, .. } => steps.see("see what is wrong", steps::verify(&[Some(tenant)])),
        Failure::NotRepairable { .. } => {
            steps.add_step("correct the cause, or restore what is missing from a backup");
        }
        Failure::Unproven { .. } => {
            steps.see("see what is readable and what is not", steps::doctor());
            if steps.is_empty() {
                steps.add_step("read the message above, and correct its cause");
            }
        }
        Failure::LockTimedOut { .. } => steps.add_step("check what the holder does; its lock ends with its session"),
        Failure::CommandFailed { .. } => steps.add_step("read the command's last lines above"),
        Failure::CommandMissing { .. } => {
            steps.add_step("install the program in the image, or correct the configured command");
        }
        Failure::CommandNotSpawned { .. } | Failure::OutOfResources { .. } => steps.add_step(
            "give the container the missing resource: a higher limit on processes or open files, memory, or its /dev",
        ),
        Failure::ExportsInvalid { .. } => steps.add_step(
            "let the program write `NAME = \"value\"` lines to descriptor 3, with names that no parallel step exports",
        ),
        Failure::SqlFailed { .. } => steps.add_step("correct the step's SQL"),
        Failure::TimedOut { .. } => steps.add_step("check why it hangs, or raise `timeout`"),
        Failure::Database { .. } => steps.add_step(format!("read the database's message, then {again}")),
        Failure::PrivilegesUnavailable { .. } => steps.add_step(
            "add the user to the image, start the container as root with these capabilities, or correct `[server] user`",
        ),
        Failure::ServerNotFound { .. } => {
            steps.add_step("correct the server's command, or install the program in the image");
        }
        Failure::ServerNotExecutable { .. } => {
            steps.add_step("make the file executable, for this machine's architecture");
        }
        Failure::EnvironmentUnknown { .. } => steps.add_step(
            "run it in the server's container as the server's user, once the server runs; `--pid` names another process",
        ),
        Failure::Internal { .. } => steps.add_step("report this bug with the lines above"),
        Failure::Provisioning { .. }
        | Failure::Deleting { .. }
        | Failure::LockLost { .. }
        | Failure::Interrupted { .. } => {}
    }
}

/// The alternative of serving the complete tenants, which a person must decide.
pub(super) fn alternative(
    steps: &mut Steps,
    failure: &Failure,
    judgement: Option<&Judgement>,
    failed: Option<&SchemaFailure>,
) {
    if let (None, Some(failed)) = (judgement, failed) {
        if failed.tenant.is_some() && matches!(failure, Failure::MigrationFailed { .. }) {
            steps.add_step(
                "or serve only the complete tenants: set `on_failure = \"warn\"` on the step that migrates, and `[gate] incomplete = \
                 \"quarantine\"` with `max_quarantined`",
            );
        }
        return;
    }
    let (Some(judgement), Failure::Incomplete { .. }) = (judgement, failure) else {
        return;
    };
    let bad = quarantine::incomplete(judgement).len();
    if quarantine::quarantine(judgement, bad).is_none_or(|tenants| tenants.is_empty()) {
        return;
    }
    let others = count(judgement.tenants.len() - bad, "other tenant");
    let text = format!(
        "or serve the {others} until then: set `[gate] incomplete = \"quarantine\"` and `max_quarantined = {bad}`; or open the \
         gate once for all tenants"
    );
    steps.paste(text, "PORTCULLIS_OVERRIDE=\"gate:REASON\"");
}
