//! Compares releases: two manifests, or the release that serves and the one that starts.

use std::path::Path;

use super::{context::RunContext, expectation};
use crate::{
    cause::Cause,
    config::CompatCheck,
    database::{
        DatabaseError,
        history::{Entry, Serving},
    },
    failure::{Failure, chain},
    frameworks,
    outcome::{FailureDetails, compat},
    tenants::{
        compat::{Incompatibility, judge, outcome},
        manifest::Manifest,
    },
};

/// Whether the code of each works on the schemas of the other, or why they cannot be compared.
pub(crate) fn compare(old: &Manifest, new: &Manifest) -> Result<[Vec<Incompatibility>; 2], String> {
    let frameworks = [old, new].map(|manifest| frameworks::name_of(manifest.framework));
    let [one, other] = frameworks;
    if one != other {
        return Err(format!("one is of `{one}`, the other of `{other}`"));
    }
    let engines =
        [old, new].map(|manifest| manifest.versions.keys().next().map_or("no engine", String::as_str));
    if old.framework.derives_structure() && engines[0] != engines[1] {
        return Err(format!("one is of {}, the other of {}", engines[0], engines[1]));
    }
    Ok([judge(old, new), judge(new, old)])
}

/// The reason not to migrate: the code of the release that last started its server does not work on the next schema, or
/// this cannot be decided. None if no other release is recorded.
pub(crate) async fn judge_serving(context: &RunContext) -> Result<Option<FailureDetails>, Failure> {
    let own = &context.expectation().await?.manifest;
    let unproven = |release: &str, why: Cause| {
        let what = format!("the code of release {release}, which still serves, works on the migrated schema");
        Some(FailureDetails::from(Failure::Unproven { what, why }))
    };
    let Serving { release, manifest } = match context.database()?.serving().await {
        Ok(Some(serving)) if serving.release != own.release() => serving,
        Ok(_) => return Ok(None),
        Err(error) => return Ok(unproven("(unknown)", error.into_cause())),
    };
    let parsed = expectation::parse(Path::new("portcullis.serving"), &manifest, "")
        .map_err(|failure| failure.to_string())
        .and_then(|manifest| manifest.proved().map_err(str::to_owned))
        .and_then(|serving| compare(&serving, own));
    Ok(match parsed {
        Err(why) => unproven(&release, why.into()),
        Ok([findings, _]) => outcome(&findings).map(|_| FailureDetails {
            incompatibilities: findings.as_slice().into(),
            ..FailureDetails::from(compat::failure(release, &findings))
        }),
    })
}

/// Records that this release starts its server, for the next release. Returns the reason why it is not recorded.
pub(crate) async fn record_serving(context: &RunContext) -> Option<String> {
    if context.config.gate.compat == CompatCheck::Off {
        return None;
    }
    let recorded = async {
        let manifest = &context.expectation().await?.manifest;
        let (database, release) = (context.database()?, manifest.release());
        let failed = |error: DatabaseError| error.into_failure("recording the release");
        if database.serving().await.map_err(failed)?.is_some_and(|serving| serving.release == release) {
            return Ok(());
        }
        let internal = |error: serde_json::Error| Failure::Internal { what: error.to_string() };
        let entry = Entry::Serving(Serving { release, manifest: manifest.to_line().map_err(internal)? });
        database.write_history(&context.run, &[entry]).await.map_err(failed)
    };
    let failure: Failure = recorded.await.err()?;
    let why = chain(&failure);
    Some(format!("this release is not recorded as serving, so that the next one is not judged by it: {why}"))
}
