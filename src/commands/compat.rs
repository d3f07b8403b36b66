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
    let [(before, old_release), (after, new_release)] = [read(old)?, read(new)?];
    let [forward, backward] = compat::compare(&before, &after).map_err(|why| Failure::NotComparable {
        old: old.clone(),
        new: new.clone(),
        why,
    })?;
    Ok(Compared {
        old: (old.clone(), old_release),
        new: (new.clone(), new_release),
        forward,
        backward,
        both_ways: arguments.both_ways,
        allow_unproven: arguments.allow_unproven,
    })
}
