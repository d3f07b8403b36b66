//! Reads the tables that a framework's migrations create, from a database in which they have just been applied.

use super::context::RunContext;
use crate::{
    config,
    database::{Database, DatabaseError, TableSet},
    failure::Failure,
    frameworks::Project,
    outcome::{ActionEvent, FailureDetails, wording},
    tenants::{
        gate::{self, Outcome, judge_schema},
        manifest::{Expected, Manifest},
    },
};

/// The manifest of the migration files, with the tables of the shared schema and of this tenant.
pub(crate) async fn manifest(
    context: &RunContext,
    tenant: Option<&str>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Manifest, FailureDetails> {
    let usage = |message: &str| Failure::Usage { message: message.to_owned() };
    let Some(project) = context.project()?.filter(Project::reads_files) else {
        return Err(usage("this framework's own manifest contains its tables").into());
    };
    let database = context.database()?;
    let Some(manifest) = project.read().await else { return context.make_manifest(on_event).await };
    let mut manifest = manifest?;
    if !manifest.shared.migrations.is_empty()
        && let Some(config::Database::Postgres(postgres)) = &context.config.database
    {
        manifest.shared = read(database, &manifest, &manifest.shared, &postgres.shared_schema).await?;
    }
    match tenant {
        Some(tenant) => manifest.tenant = read(database, &manifest, &manifest.tenant, tenant).await?,
        None if manifest.tenant.migrations.is_empty() => {}
        None => return Err(usage("name the schema of a migrated tenant with --tenant").into()),
    }
    Ok(manifest)
}

/// The expectation with the tables of a schema whose ledger records exactly its migrations.
async fn read(
    database: &Database,
    manifest: &Manifest,
    expected: &Expected,
    schema: &str,
) -> Result<Expected, Failure> {
    let layout = manifest.layout();
    let failed = |error: DatabaseError| error.into_failure("reading the tables");
    let state = database.inspect_schema(schema, expected, layout).await.map_err(failed)?;
    let verdict = judge_schema(manifest, expected, &state, gate::Rules { ahead_blocks: true, at_least: 0 });
    if verdict.outcome() != Outcome::Complete {
        let findings = wording::sentence(verdict.findings.iter());
        let why = format!("the schema `{schema}` is not completely migrated: {findings}");
        return Err(Failure::NotDerivable { why: why.into() });
    }
    let TableSet { tables, kinds, .. } = database.tables(schema, layout.table).await.map_err(failed)?;
    Ok(Expected { tables, kinds, ..expected.clone() })
}
