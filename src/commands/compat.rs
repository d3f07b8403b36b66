//! `portcullis compat`: compares the manifests of two releases, offline.

use crate::{
    actions::{compat, manifest_check},
    cli,
    failure::Failure,
    frameworks::{self, Framework},
    outcome::compat::Compared,
};

pub(crate) fn run(arguments: &cli::Compat) -> Result<Compared, Failure> {
    let cli::Compat { old, new, .. } = arguments;
    let make = frameworks::sql::Sql.make();
    let read = |path| manifest_check::read(path, make);
    let manifests = [read(old)?, read(new)?];
    let [forward, backward] = compat::compare(&manifests[0], &manifests[1])
        .map_err(|why| Failure::NotComparable { old: old.clone(), new: new.clone(), why })?;
    Ok(Compared {
        old: (old.clone(), manifests[0].release()),
        new: (new.clone(), manifests[1].release()),
        forward,
        backward,
        both_ways: arguments.both_ways,
        allow_unproven: arguments.allow_unproven,
    })
}
