//! `portcullis manifest`: writes down what the migrations make.

use std::fs;

use crate::{
    actions::{context::RunContext, expectation},
    commands::Answer,
    failure::Failure,
};

/// Writes the file, or with `check` only compares it.
pub(crate) async fn write(context: &RunContext, check: bool) -> Result<Answer, Failure> {
    let make = expectation::make_command(context.migrations()?);
    let (path, text) = match context.make_manifest().await {
        Ok(written) => written,
        Err(trouble) => return Ok(Answer::bad(trouble)),
    };
    let manifest = expectation::parse(&path, &text, make)?;
    let name = path.display();
    if check {
        if expectation::read(&path, make).await? == manifest {
            return Ok(Answer::good(format!("{name}: up to date, release {}\n", manifest.release())));
        }
        let (why, make) = ("the migrations make something else".into(), make.into());
        return Err(Failure::ManifestStale { path, why, make });
    }
    // Written beside and renamed, so that no reader ever sees half a file.
    let beside = path.with_extension("json.new");
    fs::write(&beside, &text).and_then(|()| fs::rename(&beside, &path)).map_err(|error| {
        let why = format!("cannot write it: {error}");
        Failure::ManifestInvalid { path: path.clone(), why, make: make.into() }
    })?;
    let count = |expected: &crate::tenants::manifest::Expected| {
        format!("{} migrations, {} tables", expected.migrations.len(), expected.tables.len())
    };
    Ok(Answer::good(format!(
        "{name}: written, release {}\n  shared: {}\n  tenant: {}\n",
        manifest.release(),
        count(&manifest.shared),
        count(&manifest.tenant)
    )))
}
