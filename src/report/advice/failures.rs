//! What to do about a failure that the gate's findings do not explain.

use std::io;

use super::{
    causes,
    steps::{self, Steps},
};
use crate::{
    failure::{Cleanup, Failure},
    outcome::SchemaFailure,
    tenants::{gate::Judgement, quarantine},
    words::count,
};

/// `explained` if there is advice on the schemas at which it failed.
pub(super) fn advise(steps: &mut Steps, failure: &Failure, explained: bool) {
    if !explained && let Some(cause) = failure.cause() {
        let schemas: Vec<Option<&str>> = failure.tenant().into_iter().map(Some).collect();
        causes::advise(steps, cause, &schemas, None);
    }
    if let Some(cause) = likely(failure)
        && !steps.has_cause()
    {
        steps.cause(cause);
    }
    if let Some(text) = after(failure, steps.running.again(), !steps.is_empty()) {
        steps.add_step(text);
    }
    if let Failure::Provisioning { tenant, left: Cleanup::Unproven, .. } = failure {
        steps.add_step(format!(
            "inspect the schema of {tenant}: if it is a real tenant, add its registry row; if it is not, drop the schema by hand",
        ));
        steps.apply("or delete a registered tenant", steps::delete(tenant));
    }
    if steps.is_empty() {
        alone(steps, failure);
    }
}

fn likely(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::WaitTimedOut { .. } => "the service is not up, or its name or port is wrong",
        Failure::CommandMissing { .. } => "the program is not in the image, or PATH does not lead to it",
        Failure::TimedOut { .. } => "it hangs, or its time-out is too short",
        Failure::LockTimedOut { .. } => "another run is migrating, or hangs while it holds the lock",
        _ => return None,
    })
}

/// The last step, once the cause is corrected; `known` if there is advice on the cause.
fn after(failure: &Failure, again: &str, known: bool) -> Option<String> {
    let lead = if known { "then" } else { "correct the cause, then" };
    Some(match failure {
        Failure::Provisioning { tenant, left: Cleanup::Complete, .. } => {
            format!("{lead} {again}; the schema, rows and journal entry of {tenant} were removed")
        }
        Failure::Provisioning { tenant, left: Cleanup::NothingCreated, .. } if !known => {
            format!("correct the cause, or name another tenant than {tenant}, then {again}")
        }
        Failure::Provisioning { left: Cleanup::NothingCreated, .. }
        | Failure::Refused { .. }
        | Failure::Database { .. }
        | Failure::Unproven { .. }
        | Failure::SqlFailed { .. }
        | Failure::WaitTimedOut { .. }
            if known =>
        {
            format!("then {again}")
        }
        Failure::Provisioning { tenant, left: Cleanup::Deferred, .. } => {
            format!("{lead} {again}: what this attempt left of {tenant} is removed first")
        }
        Failure::Deleting { tenant, .. } => {
            format!("{lead} {again}: it removes what is left of {tenant}")
        }
        Failure::LockLost { .. } => format!("{again}: the ledgers record what was committed"),
        _ => return None,
    })
}

/// Nothing else is known about it.
fn alone(steps: &mut Steps, failure: &Failure) {
    let again = steps.running.again();
    match failure {
        Failure::Usage { .. } => steps.paste("see the help", "portcullis --help"),
        Failure::ConfigMissing { .. } => steps.paste(
            "name the file with --config FILE or PORTCULLIS_CONFIG, or run without steps",
            "portcullis run --no-config -- COMMAND",
        ),
        Failure::ConfigUnreadable { source, .. } => steps.add_step(match source.kind() {
            io::ErrorKind::IsADirectory => "name the file, not its folder",
            io::ErrorKind::InvalidData => "save the file as UTF-8",
            _ => "make the file readable to this user",
        }),
        Failure::ConfigInvalid { path, .. } => {
            steps.apply("correct the file, then check it", steps::check(&path.display().to_string()));
        }
        Failure::ConfigLacks { needs, .. } => steps.add_step(format!("add `{needs}` to the configuration file")),
        Failure::ManifestMissing { make, .. }
        | Failure::ManifestStale { make, .. }
        | Failure::ManifestInvalid { make, .. } => steps.apply(
            format!("make it when the image is built, with `RUN {make}` in its Dockerfile, or in CI"),
            steps::manifest(make),
        ),
        Failure::TemplateUnusable { .. } => {
            steps.apply(
                "make it again for this release, where its shared schema is migrated",
                steps::template(),
            );
        }
        Failure::MigrationsUnreadable { .. } => steps.add_step("correct the folder or the file's name"),
        Failure::WaitTimedOut { .. } => {
            steps.add_step("read that service's own log, or give it more time with `timeout`");
        }
        Failure::Refused { what, .. } => {
            steps.add_step(format!("correct the address and the credentials of {what}; a retry will not help"));
        }
        Failure::Incomplete { .. } => {
            steps.see("see what is incomplete", steps::verify(&[]));
            if steps.is_empty() {
                steps.add_step(format!("correct what is listed above, then {again}"));
            }
        }
        Failure::NotRegistered { tenant } => {
            steps.apply("create the tenant, or correct its name", steps::create(tenant));
        }
        Failure::MigrationFailed { .. } | Failure::NotDerivable { .. } => {
            steps.add_step(format!("correct the migration or the data that it fails on, then {again}"));
        }
        Failure::ReplayFailed { .. } => {
            steps.add_step(format!("read the last lines above, correct the cause, then {again}"));
        }
        Failure::NotReplayable { tenant, .. } => {
            steps.see("see what is wrong", steps::verify(&[Some(tenant)]));
        }
        Failure::Unproven { .. } => {
            steps.see("see what can be read and what cannot", steps::doctor());
            if steps.is_empty() {
                steps.add_step("read the message above, and correct what it names");
            }
        }
        Failure::LockTimedOut { .. } => {
            steps.add_step("see what the holder does; its lock ends with its session");
        }
        Failure::CommandFailed { .. } => steps.add_step("read the command's last lines above"),
        Failure::CommandMissing { .. } => {
            steps.add_step("install the program in the image, or correct the configured command");
        }
        Failure::CommandNotSpawned { .. } => steps.add_step(
            "give the container what is missing: a higher limit on processes or open files, memory, or its /dev",
        ),
        Failure::SqlFailed { .. } => steps.add_step("correct the step's SQL"),
        Failure::TimedOut { .. } => steps.add_step("find out why it hangs, or give it more time with `timeout`"),
        Failure::Database { .. } => steps.add_step(format!("read the database's message, then {again}")),
        Failure::ServerNotFound { .. } => {
            steps.add_step("correct the server's command, or install the program in the image");
        }
        Failure::ServerNotExecutable { .. } => {
            steps.add_step("make the file executable, for this machine's architecture");
        }
        Failure::Internal { .. } => steps.add_step("report it, with the lines above"),
        Failure::Provisioning { .. }
        | Failure::Deleting { .. }
        | Failure::LockLost { .. }
        | Failure::Interrupted { .. } => {}
    }
}

/// Blocking all tenants or serving the others is a decision for a person.
pub(super) fn choice(
    steps: &mut Steps,
    failure: &Failure,
    judgement: Option<&Judgement>,
    failed: Option<&SchemaFailure>,
) {
    if let (None, Some(failed)) = (judgement, failed) {
        if failed.tenant.is_some() && matches!(failure, Failure::MigrationFailed { .. }) {
            steps.add_step(
                "or decide to serve the others: `on_failure = \"warn\"` on the step that migrates, and `[gate] incomplete = \
                 \"quarantine\"` with `max_quarantined`, which keeps the server from those that fail",
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
        "or decide to serve the {others} meanwhile: `[gate] incomplete = \"quarantine\"`, `max_quarantined = {bad}`; or open the \
         gate once, as it is"
    );
    steps.paste(text, "PORTCULLIS_OVERRIDE=\"gate:REASON\"");
}
