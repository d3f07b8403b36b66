//! `portcullis manifest`: writes the manifest, or compares it with the existing file.

use super::database_variables;
use crate::{
    actions::{context::RunContext, expectation, structure},
    cli::ManifestOf,
    config::{Config, environment::Environment},
    failure::Failure,
    files,
    outcome::{ActionEvent, FailureDetails, command::ManifestMade},
    tenants::manifest::Expected,
};

/// The configuration with the database of the command line instead of its own, if one is given.
pub(crate) fn config(config: Config, from: &ManifestOf, env: &Environment) -> Result<Config, Failure> {
    let ManifestOf::Structure { from: Some(url), .. } = from else { return Ok(config) };
    Ok(config.with_database_of(database_variables::of_url(url, env)?))
}

/// Writes the file, or with `--check` only compares it.
pub(crate) async fn write(
    context: &RunContext,
    from: &ManifestOf,
    on_event: &dyn Fn(ActionEvent),
) -> Result<ManifestMade, FailureDetails> {
    let migrations = context.migrations()?;
    let (path, make) = (migrations.manifest.clone(), expectation::make_command(migrations));
    if from.check() {
        let manifest = context.check_manifest(on_event).await?;
        return Ok(ManifestMade { path, release: manifest.release(), written: None });
    }
    let manifest = match from {
        ManifestOf::Structure { tenant, .. } => {
            structure::manifest(context, tenant.as_deref(), on_event).await?
        }
        _ => context.make_manifest(on_event).await?,
    };
    let text = manifest
        .to_file()
        .map_err(|error| Failure::Internal { what: format!("cannot write the manifest as JSON: {error}") })?;
    files::replace(&path, text, files::TIMEOUT).await.map_err(|error| {
        let why = format!("cannot write it: {error}");
        Failure::ManifestInvalid { path: path.clone(), why, make: make.into() }
    })?;
    let counts = |expected: &Expected| (expected.migrations.len(), expected.tables.len());
    let written = Some([counts(&manifest.shared), counts(&manifest.tenant)]);
    Ok(ManifestMade { path, release: manifest.release(), written })
}
