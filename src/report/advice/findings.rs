//! The advice for the gate's findings: each kind once, with the schemas that have it.

use super::{
    causes,
    objects::{self, apply_pending, schemas},
    steps::{self, Steps, names},
};
use crate::{
    cause::Cause,
    tenants::gate::{Finding, Judgement, Verdict},
};

pub(super) fn advise(steps: &mut Steps, judgement: &Judgement) {
    let half_created = |verdict: &Verdict| verdict.is_half_created();
    let Some((tenant, _)) = judgement.tenants.iter().find(|(_, verdict)| half_created(verdict)) else {
        return advise_on_created(steps, judgement);
    };
    steps.cause("the command that creates the tenant was killed, or is still running");
    steps::remove_half_created(steps, tenant);
    // Its other findings end with it.
    let mut others = judgement.clone();
    others.tenants.retain(|_, verdict| !half_created(verdict));
    advise_on_created(steps, &others);
}

fn advise_on_created(steps: &mut Steps, judgement: &Judgement) {
    if judgement.is_first_start() {
        steps.cause("the database is empty: this is its first start");
        steps.apply("create the shared schema with its tables, and the registry", steps::migrate(&[]));
        return;
    }
    let shared_is_empty = judgement.shared.as_ref().is_some_and(Verdict::is_fresh);
    if shared_is_empty {
        steps.cause("no migration of the shared schema was applied yet");
        steps.apply("create the shared schema and its tables", steps::migrate(&[]));
    }
    let with = |predicate: fn(&Finding) -> bool| schemas(judgement, predicate);
    // These first: the tenants may then be what shows the objects that others lack.
    let may_be_migrated =
        |schema: Option<&str>| judgement.verdict(schema).is_some_and(Verdict::may_be_migrated);
    let mut unrecorded = with(|finding| matches!(finding, Finding::Unrecorded { .. }));
    unrecorded.retain(|schema| may_be_migrated(*schema));
    if !unrecorded.is_empty() {
        steps.cause("ledger rows of applied migrations were deleted, or their objects were created by hand");
        let text = format!(
            "record the migrations whose tables and columns exist in {}, and apply those that are really pending",
            names(&unrecorded)
        );
        steps.rerun_each(&text, steps::record(&unrecorded));
    }
    let mut pending = with(|finding| matches!(finding, Finding::Pending { .. }));
    pending.retain(|schema| !unrecorded.contains(schema) && may_be_migrated(*schema));
    if !pending.is_empty() {
        steps.cause("migrations were not applied");
        apply_pending(steps, &pending);
    }
    objects::lost(steps, judgement, shared_is_empty);
    let dirty = with(|finding| matches!(finding, Finding::Dirty { .. }));
    if !dirty.is_empty() {
        steps.cause("a migration that cannot run in a transaction is half applied");
        steps.see("see which migration", steps::verify(&dirty));
        let text = format!(
            "{}: record it as applied if the structure is complete (`--restore` first creates what is missing); else undo by hand \
             what the migration did, delete its ledger row, and apply it again",
            names(&dirty)
        );
        steps.rerun_each(&text, steps::record(&dirty));
    }
    let line_ends = with(|finding| matches!(finding, Finding::Altered { line_ends_alone: true, .. }));
    if !line_ends.is_empty() {
        steps.cause(
            "the image has the migration files with other line ends (CRLF or LF) than the applied files",
        );
        steps.add_step(format!(
            "restore the line ends of the files that were applied to {}: `*.sql text eol=lf` in .gitattributes, then \
             build the image and the manifest again",
            names(&line_ends)
        ));
    }
    let altered = with(|finding| matches!(finding, Finding::Altered { line_ends_alone: false, .. }));
    if !altered.is_empty() {
        steps.cause("a migration's file was changed after it was applied");
        let text = format!(
            "restore the old text of the file and write a new migration for the change (it was applied to {}); or, if the structure \
             is the same with the new text, record that",
            names(&altered)
        );
        steps.rerun_each(&text, steps::record(&altered));
    }
    let other_code =
        with(|finding| matches!(finding, Finding::Diverged { .. } | Finding::Ahead { blocks: true, .. }));
    if !other_code.is_empty() {
        steps.cause("newer or other code has migrated this database");
        let replaces = if judgement.has_sql_files {
            "; if one SQL file replaces older ones, declare it in its first lines: `-- replaces: 1-42`"
        } else {
            ""
        };
        steps.add_step(format!(
            "start the release that has migrated {}, or migrate back with that release{replaces}",
            names(&other_code)
        ));
    }
    let absent = with(|finding| matches!(finding, Finding::NotRegistered));
    if let Some(Some(tenant)) = absent.first() {
        steps.cause("the tenant was never created, or its registry row was deleted");
        let text = format!("create {}, or correct the name in the step or command", names(&absent));
        steps.apply(text, steps::create(tenant));
    }
    let index = with(|finding| matches!(finding, Finding::InvalidIndex { unique: true, .. }));
    if !index.is_empty() {
        steps.cause("CREATE UNIQUE INDEX CONCURRENTLY failed, probably on duplicate rows");
        objects::restore(steps, judgement, &index, |names| {
            format!("remove the duplicates in {names}, then build the index again")
        });
    }
    objects::differing(steps, judgement);
    let other = with(|finding| matches!(finding, Finding::StructureOfOtherServer { blocks: true, .. }));
    if !other.is_empty() {
        steps.cause("the manifest was derived on another major version of the database server");
        let text =
            format!("to compare the structure of {}, derive the manifest on this server", names(&other));
        steps.apply(text, steps::manifest("portcullis manifest sql"));
    }
    unread(steps, judgement);
}

/// The advice for unreadable schemas, and for a registry with too few tenants.
fn unread(steps: &mut Steps, judgement: &Judgement) {
    let failed = judgement.verdicts().flat_map(|(schema, verdict)| {
        verdict.findings.iter().filter_map(move |finding| match finding {
            Finding::Unreadable { why } => Some((schema, why)),
            _ => None,
        })
    });
    let mut causes: Vec<(&Cause, Vec<Option<&str>>)> = Vec::new();
    for (schema, why) in failed {
        match causes.iter_mut().find(|(other, _)| (other.kind, other.code) == (why.kind, why.code)) {
            Some((_, schemas)) => schemas.push(schema),
            None => causes.push((why, vec![schema])),
        }
    }
    for (why, schemas) in causes {
        causes::advise(steps, why, &schemas, None);
        steps.cause("a schema could not be read");
        steps.apply(format!("then verify {} again", names(&schemas)), steps::verify(&schemas));
    }
    if !schemas(judgement, |finding| matches!(finding, Finding::Vanished)).is_empty() {
        steps.cause("a schema was dropped during the inspection");
        steps.see("verify again", steps::verify(&[]));
    }
    let not_listed = schemas(judgement, |finding| matches!(finding, Finding::NotListed { .. }));
    if !not_listed.is_empty() {
        steps.cause("a registry that is not a table may hide rows: by its condition, its age or its server");
        steps.add_step(format!(
            "name the table with the rows in `[tenants] registry`, with `where`; or let the registry list {} (a materialized view: \
             REFRESH it), or drop what has no tenant after a verified backup",
            names(&not_listed)
        ));
    }
    match judgement.too_few {
        Some((0, least)) => {
            steps.cause("the registry has no tenant yet, or this is the wrong database");
            let text = format!(
                "create the first tenant, or set `min_rows` (now {least}) to 0 until the first tenant exists"
            );
            steps.apply(text, steps::create("NAME"));
        }
        Some((rows, least)) => {
            steps.cause("tenants are missing from the registry, or this is the wrong database");
            steps.add_step(format!(
                "check `[database]`: the registry has {rows} rows and `min_rows` is {least}; restore the rows from a \
                 backup, or correct `min_rows`"
            ));
        }
        None => {}
    }
}
