//! Describes a provisioning in progress, and how to roll it back.

use std::collections::BTreeSet;

use super::tenant_request::domains;
use crate::{
    actions::{context::RunContext, lock::Locked},
    database::{Creation, DatabaseError, ProvisionState},
    failure::{Failure, chain},
    tenants::{inspection::SchemaState, manifest::Expected},
};

#[derive(Debug, Clone)]
pub(super) enum InFlight {
    /// Created by this program: the journal and the nonce prove it. The project's own program may migrate the schema.
    Creation { new: Creation, migrated_by_project: bool },
    /// Created by the framework's own command: tenants that were absent before, each with the nonce of its journal
    /// entry.
    Command(Vec<(String, String)>),
}

impl InFlight {
    /// The names of the tenants, for messages.
    pub(super) fn names(&self) -> String {
        match self {
            InFlight::Creation { new, .. } => format!("`{}`", new.schema),
            InFlight::Command(tenants) => {
                let names: Vec<String> = tenants.iter().map(|(name, _)| format!("`{name}`")).collect();
                names.join(", ")
            }
        }
    }

    /// Whether the journal proves to the next run what this run created.
    pub(super) fn is_journalled(&self) -> bool {
        matches!(self, InFlight::Creation { .. })
    }

    /// Whether code of the project runs, which may write anything anywhere.
    pub(super) fn runs_project(&self) -> bool {
        matches!(self, InFlight::Command(_) | InFlight::Creation { migrated_by_project: true, .. })
    }

    /// Removes everything that was created. The guard proves that no other run does the same.
    pub(super) async fn undo(
        &self,
        context: &RunContext,
        locked: &Locked<'_>,
    ) -> Result<ProvisionState, DatabaseError> {
        let database = context.database().map_err(|failure| internal(&failure))?;
        match self {
            InFlight::Creation { new, .. } => {
                database
                    .roll_back(locked, new, &context.removal_limits().map_err(|failure| internal(&failure))?)
                    .await
            }
            InFlight::Command(tenants) => {
                remove(context, locked, tenants).await?;
                Ok(ProvisionState::Absent)
            }
        }
    }
}

/// Removes the recorded tenants that exist, and their journal entries. If the journal no longer has this run's
/// entries, another run has held the lock in the meantime, and the tenants may belong to it.
async fn remove(
    context: &RunContext,
    locked: &Locked<'_>,
    noted: &[(String, String)],
) -> Result<(), DatabaseError> {
    let database = context.database().map_err(|failure| internal(&failure))?;
    let limits = context.removal_limits().map_err(|failure| internal(&failure))?;
    let domains = domains(context).await;
    database.end_programs(locked, &context.run).await?;
    let own_entries = database.in_progress(&context.run).await?;
    let now = registered(context).await.map_err(|failure| internal(&failure))?;
    for (tenant, nonce) in noted.iter().filter(|(tenant, _)| own_entries.contains(tenant)) {
        if now.contains(tenant)
            || schema_exists(context, tenant).await.map_err(|failure| internal(&failure))?
        {
            database.delete(locked, tenant, domains, &context.run, &limits).await?;
        }
        database.delete_entries(locked, std::slice::from_ref(nonce)).await?;
    }
    Ok(())
}

pub(super) async fn schema_exists(context: &RunContext, schema: &str) -> Result<bool, Failure> {
    let shape = context.expectation().await?.manifest.layout();
    let state = context.database()?.inspect_schema(schema, &Expected::default(), shape).await;
    Ok(state.map_err(|error| error.into_failure("inspecting the demo tenants"))? != SchemaState::NoSchema)
}

/// Every tenant in the registry, including rows that its `where` excludes.
pub(super) async fn registered(context: &RunContext) -> Result<BTreeSet<String>, Failure> {
    let names = context.database()?.registered().await;
    names.map_err(|error| error.into_failure("reading the registry"))
}

fn internal(failure: &Failure) -> DatabaseError {
    DatabaseError::Failed(chain(failure).into())
}
