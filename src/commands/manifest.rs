//! `portcullis manifest sql`: writes down what the SQL migrations make.

use std::fs;

use crate::{
    actions::{Work, expectation},
    failure::Failure,
};

/// Writes the file, or with `check` only compares it.
pub(crate) async fn sql(work: &Work, check: bool) -> Result<String, Failure> {
    let (path, text) = expectation::make(work).await?;
    let manifest = expectation::parse(&path, &text)?;
    let name = path.display();
    if check {
        if expectation::read(&path)? == manifest {
            return Ok(format!("{name}: up to date, release {}\n", manifest.release()));
        }
        let (why, make) = ("the migrations make something else".into(), expectation::MAKE.into());
        return Err(Failure::ManifestStale { path, why, make });
    }
    // Written beside and renamed, so that no reader ever sees half a file.
    let beside = path.with_extension("json.new");
    fs::write(&beside, &text).and_then(|()| fs::rename(&beside, &path)).map_err(|error| {
        let why = format!("cannot write it: {error}");
        Failure::ManifestInvalid { path: path.clone(), why, make: expectation::MAKE.into() }
    })?;
    let count = |expected: &crate::tenants::manifest::Expected| {
        format!("{} migrations, {} tables", expected.migrations.len(), expected.tables.len())
    };
    Ok(format!(
        "{name}: written, release {}\n  shared: {}\n  tenant: {}\n",
        manifest.release(),
        count(&manifest.shared),
        count(&manifest.tenant)
    ))
}
