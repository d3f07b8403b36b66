//! `portcullis manifest`: writes down what the migrations make.

use crate::{
    actions::{context::RunContext, expectation},
    failure::Failure,
    files,
    outcome::{ActionEvent, FailureDetails, command::ManifestMade},
    tenants::manifest::Expected,
};

/// Writes the file, or with `check` only compares it.
pub(crate) async fn write(
    context: &RunContext,
    check: bool,
    on_event: &dyn Fn(ActionEvent),
) -> Result<ManifestMade, FailureDetails> {
    let make = expectation::make_command(context.migrations()?);
    let (path, text) = context.make_manifest(on_event).await?;
    let manifest = expectation::parse(&path, &text, make)?;
    if check {
        if expectation::read(&path, make).await? == manifest {
            return Ok(ManifestMade { path, release: manifest.release(), written: None });
        }
        let (why, make) = ("the migrations make something else".into(), make.into());
        return Err(Failure::ManifestStale { path, why, make }.into());
    }
    files::replace(&path, text, files::TIMEOUT).await.map_err(|error| {
        let why = format!("cannot write it: {error}");
        Failure::ManifestInvalid { path: path.clone(), why, make: make.into() }
    })?;
    let counts = |expected: &Expected| (expected.migrations.len(), expected.tables.len());
    let written = Some([counts(&manifest.shared), counts(&manifest.tenant)]);
    Ok(ManifestMade { path, release: manifest.release(), written })
}
