//! Computes from a judgement which schemas to migrate, and afterwards which were migrated. Pure.

use std::collections::BTreeMap;

use super::{Applied, waves::Wave};
use crate::{
    failure::{Cleanup, Failure},
    ordered::Ordered,
    outcome::SchemaFailure,
    tenants::{
        gate::{Judgement, Verdict},
        manifest::Manifest,
    },
    words::list,
};

/// The work that a judgement shows.
pub(super) struct WorkList {
    pub(super) pending: Vec<Option<String>>,
    /// Schemas that must not be changed, with the reason.
    pub(super) broken: BTreeMap<Option<String>, Verdict>,
    /// Those of the pending schemas in which objects of a pending migration exist.
    unrecorded: BTreeMap<Option<String>, Verdict>,
}

impl From<&Judgement> for WorkList {
    fn from(judgement: &Judgement) -> Self {
        let mut list = Self { pending: Vec::new(), broken: BTreeMap::new(), unrecorded: BTreeMap::new() };
        for (tenant, verdict) in judgement.verdicts() {
            let tenant = tenant.map(str::to_owned);
            if verdict.is_fresh() && tenant.is_none() {
                list.pending.push(None);
            } else if !verdict.may_be_migrated() {
                list.broken.insert(tenant, verdict.clone());
            } else if verdict.is_pending() {
                if !verdict.unrecorded().is_empty() {
                    list.unrecorded.insert(tenant.clone(), verdict.clone());
                }
                list.pending.push(tenant);
            }
        }
        list
    }
}

impl WorkList {
    /// Removes the tenants that are in none of these waves.
    pub(super) fn retain(&mut self, waves: &[Wave]) {
        let is_included = |schema: &Option<String>| waves.iter().any(|wave| wave.contains(schema.as_ref()));
        self.pending.retain(is_included);
        self.broken.retain(|schema, _| is_included(schema));
    }

    /// Removes these tenants.
    pub(super) fn remove(&mut self, tenants: &[String]) {
        let is_kept = |schema: &Option<String>| schema.as_ref().is_none_or(|name| !tenants.contains(name));
        self.pending.retain(is_kept);
        self.broken.retain(|schema, _| is_kept(schema));
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.pending.extend(other.pending);
        self.broken.extend(other.broken);
        self.unrecorded.extend(other.unrecorded);
    }

    /// Removes the tenants whose creator is not proved, because a migration would make them look complete. Returns
    /// the first as a failure.
    pub(super) fn take_unproved(&mut self, why: impl Fn(&str) -> Option<String>) -> Option<Failure> {
        let mut first = None;
        self.broken.retain(|schema, verdict| {
            let Some(tenant) = schema.as_ref().filter(|_| verdict.is_half_created()) else { return true };
            let why =
                why(tenant).unwrap_or_else(|| "a framework's command has not finished creating it".into());
            let (tenant, why) = (tenant.clone(), why.into());
            first.get_or_insert(Failure::Provisioning { tenant, why, left: Cleanup::CommandKilled });
            false
        });
        self.pending.retain(|schema| {
            let Some((tenant, why)) = schema.as_ref().and_then(|name| Some((name, why(name)?))) else {
                return true;
            };
            let (tenant, why) = (tenant.clone(), why.into());
            first.get_or_insert(Failure::Provisioning { tenant, why, left: Cleanup::CommandKilled });
            false
        });
        first
    }

    /// The judgement of the broken schemas and of those that failed because of an unrecorded migration, if any exist.
    pub(super) fn judgement(self, failed: &[SchemaFailure]) -> Option<Judgement> {
        let unrecorded = self.unrecorded.into_iter().filter(|(tenant, verdict)| {
            failed.iter().any(|failure| failure.tenant == *tenant && failure.is_unrecorded(verdict))
        });
        let verdicts: Vec<_> = self.broken.into_iter().chain(unrecorded).collect();
        if verdicts.is_empty() {
            return None;
        }
        let mut judgement = Judgement::default();
        for (tenant, verdict) in verdicts {
            match tenant {
                Some(name) => drop(judgement.tenants.insert(name, verdict)),
                None => judgement.shared = Some(verdict),
            }
        }
        Some(judgement)
    }
}

/// The names of a schema's pending migrations.
pub(super) fn pending(verdict: &Verdict, manifest: &Manifest) -> Vec<String> {
    if verdict.is_fresh() {
        manifest.framework.compare(&manifest.shared, &[]).pending
    } else {
        verdict.pending().to_vec()
    }
}

/// A framework's command may succeed and leave migrations pending, so a second judgement decides what was applied.
/// Returns the schemas that are still pending; they no longer count as migrated. A tenant that equals another one has its
/// verdict.
pub(super) fn confirm(
    manifest: &Manifest,
    before: &Judgement,
    after: &Judgement,
    applied: &mut Applied,
) -> Vec<SchemaFailure> {
    let mut failed = Vec::new();
    let after: BTreeMap<Option<&str>, &Verdict> = after.verdicts().into_map();
    for (tenant, before) in before.verdicts() {
        let key = tenant.map(str::to_owned);
        let Some(migrations) = applied.migrations.get_mut(&key) else { continue };
        let proof = tenant.map(|tenant| applied.replayed.get(tenant).map_or(tenant, String::as_str));
        let after = after.get(&proof);
        if after.is_none_or(|after| after.is_pending()) {
            applied.migrations.remove(&key);
            let mut why = "the migrate command exited with 0, but migrations are still pending".to_owned();
            if let Some(after) = after {
                why = format!("{why}: {}", list(after.pending(), 3));
            }
            let why = why.into();
            failed.push(SchemaFailure { tenant: key, why, ..SchemaFailure::default() });
        } else if before.is_fresh() {
            *migrations = manifest.framework.compare(&manifest.shared, &[]).pending;
        } else {
            *migrations = before.pending().to_vec();
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frameworks::sql::LEDGER,
        tenants::{gate::Finding, manifest::Expected},
    };

    fn judgement(tenants: &[&str], pending: &[&str]) -> Judgement {
        let verdict = |tenant: &&str| {
            let next = Finding::Pending { migrations: ["2 next".to_owned()].into() };
            let findings = if pending.contains(tenant) { vec![next] } else { Vec::new() };
            ((*tenant).to_owned(), Verdict { findings })
        };
        Judgement { tenants: tenants.iter().map(verdict).collect(), ..Judgement::default() }
    }

    #[test]
    fn a_tenant_that_equals_the_first_one_is_migrated_only_if_the_first_one_is() {
        let manifest = Manifest::new(&LEDGER, Expected::default(), Expected::default());
        let all = ["equal", "first", "other"];
        for (pending, migrated) in
            [(&[][..], &all[..]), (&["first"], &["other"]), (&["other"], &["equal", "first"])]
        {
            let mut applied = Applied {
                migrations: all.map(|name| (Some(name.to_owned()), Vec::new())).into(),
                replayed: [("equal".to_owned(), "first".to_owned())].into(),
                ..Applied::default()
            };
            let (before, after) = (judgement(&all, &all), judgement(&["first", "other"], pending));
            let failed = confirm(&manifest, &before, &after, &mut applied);
            let confirmed: Vec<&str> = applied.migrations.keys().flatten().map(String::as_str).collect();
            assert_eq!(confirmed, migrated, "{pending:?}");
            assert_eq!(failed.len(), all.len() - migrated.len());
        }
    }
}
