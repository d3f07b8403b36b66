//! The advice for a refused replay.

use super::steps::{self, Steps};
use crate::{failure::Failure, tenants::replay::Refusal};

pub(super) fn advise(steps: &mut Steps, refusal: &Refusal, failure: &Failure) {
    let Failure::NotReplayable { app, tenant, .. } = failure else { return };
    let verify = || steps::verify(&[Some(tenant)]);
    match refusal {
        Refusal::NoApps | Refusal::NoSuchApp => steps.see("see which tables are missing", verify()),
        Refusal::NoLedger | Refusal::NothingMissing => steps.see("see what is wrong", verify()),
        Refusal::Pending(_) => steps.apply("apply the migrations", steps::repair(tenant)),
        Refusal::After(apps) => {
            let first = apps.first().map_or(app.as_str(), String::as_str);
            steps.rerun("first replay the app that it depends on", steps::replay(Some(tenant), first, ""));
        }
        Refusal::Circle(_) | Refusal::TablesExist(_) | Refusal::NotAtomic(_) => {
            steps.rerun_each(
                "create the missing tables without running migrations",
                steps::restore(&[Some(tenant)]),
            );
        }
        Refusal::Code(_) => {
            let own = steps::replay(Some(tenant), app, " --allow-code");
            steps.rerun("read that code; if it can run again", own);
        }
    }
}
