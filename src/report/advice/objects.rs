//! The advice for missing and differing objects: tables, ledgers, schemas and the parts of a structure.

use super::steps::{self, Steps, names};
use crate::tenants::gate::{Finding, Judgement, Verdict};

/// Tables, ledgers and schemas that are gone.
pub(super) fn lost(steps: &mut Steps, judgement: &Judgement, first_start: bool) {
    let with = |predicate: fn(&Finding) -> bool| schemas(judgement, predicate);
    let tables = with(is_lost_table);
    if !tables.is_empty() {
        steps.cause("tables were dropped or never created, although the ledger records them as created");
        steps.see(format!("see exactly what is missing in {}", names(&tables)), steps::verify(&tables));
        restore_tables(steps, judgement);
    }
    let kind = with(|finding| matches!(finding, Finding::OtherKind { .. }));
    if !kind.is_empty() {
        steps.cause("another object, such as a view, has the name of a table");
        steps.see(format!("see what it is in {}", names(&kind)), steps::verify(&kind));
        restore(steps, judgement, &kind, |names| {
            format!("{names}: rename or drop it, then create the table; lost rows come from a backup alone")
        });
    }
    let ledger = with(|finding| matches!(finding, Finding::NoLedger { tables } if !tables.is_empty()));
    if !ledger.is_empty() {
        steps.cause("the ledger's table was dropped; the schema still has its other tables");
        let text = format!(
            "{}: record all migrations again if the structure is complete; else restore the ledger's table from a backup",
            names(&ledger)
        );
        steps.rerun_each(&text, steps::record(&ledger));
    }
    let mut gone = with(|finding| match finding {
        Finding::NoLedger { tables } => tables.is_empty(),
        finding => matches!(finding, Finding::NoSchema | Finding::NoDatabase),
    });
    // An empty shared schema means a first start.
    gone.retain(|schema| schema.is_some() || !first_start);
    if !gone.is_empty() {
        steps.cause(if with(|finding| matches!(finding, Finding::NoDatabase)).is_empty() {
            "the schema was dropped, or the tenant was registered without being created"
        } else {
            "the database was dropped, or the tenant was registered without being created"
        });
        let text = format!("restore {} from a backup, or delete the tenant", names(&gone));
        match gone.first() {
            Some(Some(tenant)) => steps.apply(text, steps::delete(tenant)),
            _ => steps.add_step(format!("restore {} from a backup", names(&gone))),
        }
    }
    let mut without = with(|finding| matches!(finding, Finding::NoLedger { .. }));
    without.retain(|schema| schema.is_some() || !first_start);
    if !without.is_empty() {
        steps.add_step("if another tool migrates this database, `portcullis detect` shows its ledger and the configuration for it");
    }
}

/// The advice for restoring lost tables.
fn restore_tables(steps: &mut Steps, judgement: &Judgement) {
    if let Some((tenants, app)) = replayable(judgement) {
        let target = if let [Some(tenant)] = tenants[..] { Some(tenant) } else { None };
        let text = format!(
            "run the migrations of `{app}` again for {}; `migrate` does not restore the tables, because the ledger records \
             these migrations as applied",
            names(&tenants)
        );
        // After a replay, these findings are about another app.
        steps.rerun(text, steps::replay(target, app, ""));
        return;
    }
    restore(steps, judgement, &with_lost_tables(judgement), create_missing);
    let shadowed = schemas(judgement, is_shadowed);
    restore(steps, judgement, &shadowed, |names| {
        format!(
            "queries of {names} use a table of the shared schema instead: rename that table, create the tenant's own one, then move \
             the tenant's rows into it"
        )
    });
}

/// The schemas for which one command creates lost tables, and those that lack other objects. Empty if it has no table to create.
fn with_lost_tables(judgement: &Judgement) -> Vec<Option<&str>> {
    let shadowed = schemas(judgement, is_shadowed);
    let with = |predicate: fn(&Finding) -> bool| {
        let mut schemas = schemas(judgement, predicate);
        schemas.retain(|schema| !shadowed.contains(schema));
        schemas
    };
    if replayable(judgement).is_some() || with(is_lost_table).is_empty() {
        return Vec::new();
    }
    with(|finding| is_lost_table(finding) || is_lost_object(finding))
}

fn is_shadowed(finding: &Finding) -> bool {
    matches!(finding, Finding::Shadowed { .. })
}

fn is_lost_table(finding: &Finding) -> bool {
    matches!(
        finding,
        Finding::MissingTables { .. }
            | Finding::MissingColumns { .. }
            | Finding::Models { .. }
            | Finding::Shadowed { .. }
    )
}

fn is_lost_object(finding: &Finding) -> bool {
    matches!(finding, Finding::Structure { .. }) && finding.is_about_missing_objects()
}

fn create_missing(names: &str) -> String {
    format!(
        "create what is missing in {names} (`--print-sql` instead of `--restore` shows the SQL); lost rows come from a backup alone"
    )
}

/// Advises `repair --restore` for the schemas for which it works.
pub(super) fn restore(
    steps: &mut Steps,
    judgement: &Judgement,
    schemas: &[Option<&str>],
    text: impl Fn(&str) -> String,
) {
    // All others with pending migrations have their command already.
    let is_left = |verdict: &Verdict| {
        verdict.is_pending() && verdict.unrecorded().is_empty() && !verdict.may_be_migrated()
    };
    let pending = schemas.iter().copied().filter(|schema| judgement.verdict(*schema).is_some_and(is_left));
    let pending: Vec<Option<&str>> = pending.collect();
    if !pending.is_empty() {
        apply_pending(steps, &pending);
    }
    let (without, with): (Vec<Option<&str>>, Vec<_>) =
        schemas.iter().partition(|schema| judgement.without_example.contains(&schema.map(str::to_owned)));
    if with.len() < schemas.len() && judgement.is_derived_elsewhere {
        steps.apply("derive the manifest on this server", steps::manifest("portcullis manifest sql"));
        return steps.rerun_each(&text(&names(schemas)), steps::restore(schemas));
    }
    if !with.is_empty() {
        steps.rerun_each(&text(&names(&with)), steps::restore(&with));
    }
    if without.contains(&None) {
        steps.add_step("nothing shows the objects of the shared schema: restore them from a backup");
    }
    let tenants: Vec<Option<&str>> = without.into_iter().flatten().map(Some).collect();
    if !tenants.is_empty() {
        steps.add_step(format!(
            "no other tenant is complete, so that nothing shows the objects of {0}: set `[migrations] template` and build the template \
             (`portcullis tenant template`), then `--restore` creates them from it; or restore {0} from a backup",
            names(&tenants)
        ));
    }
}

/// An app that can be replayed, with its tenants: they have lost all its tables, and none of the apps that it depends on.
fn replayable(judgement: &Judgement) -> Option<(Vec<Option<&str>>, &str)> {
    fn apps(verdict: &Verdict) -> impl Iterator<Item = &str> {
        verdict.findings.iter().filter_map(|finding| match finding {
            Finding::Models { app, all_tables: true, after, .. } if after.is_empty() => Some(app.as_str()),
            _ => None,
        })
    }
    let app = judgement.tenants.values().flat_map(apps).next()?;
    let lost = judgement.tenants.iter().filter(|(_, verdict)| apps(verdict).any(|other| other == app));
    Some((lost.map(|(tenant, _)| Some(tenant.as_str())).collect(), app))
}

/// Objects that differ from the expected structure.
pub(super) fn differing(steps: &mut Steps, judgement: &Judgement) {
    let with = |predicate: fn(&Finding) -> bool| schemas(judgement, predicate);
    let structure = with(|finding| matches!(finding, Finding::Structure { blocks: true, .. }));
    if !structure.is_empty() {
        steps.cause("objects were changed by hand, or a migration had another effect in these schemas");
        steps.see(format!("see every difference of {}", names(&structure)), steps::verify(&structure));
        let mut missing = with(is_lost_object);
        // The others have the same command for their tables.
        let mut has_tables = with(|finding| matches!(finding, Finding::OtherKind { .. }));
        has_tables.extend(with_lost_tables(judgement));
        missing.retain(|schema| !has_tables.contains(schema));
        restore(steps, judgement, &missing, create_missing);
        let other = with(|finding| match finding {
            Finding::Structure { differences, blocks: true, .. } => {
                differences.iter().any(|one| one.actual.is_some())
            }
            _ => false,
        });
        if !other.is_empty() {
            steps.add_step(format!(
                "{}: change the objects to the expected definitions, or accept them for a while with `[[accept]]`",
                names(&other)
            ));
        }
    }
}

pub(super) fn apply_pending(steps: &mut Steps, schemas: &[Option<&str>]) {
    steps.apply(format!("apply what is pending in {}", names(schemas)), steps::migrate(schemas));
}

/// The schemas that have such a finding.
pub(super) fn schemas(judgement: &Judgement, predicate: fn(&Finding) -> bool) -> Vec<Option<&str>> {
    let matching = judgement.verdicts().filter(|(_, verdict)| verdict.findings.iter().any(predicate));
    matching.map(|(schema, _)| schema).collect()
}
