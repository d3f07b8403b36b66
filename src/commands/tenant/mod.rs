//! `portcullis tenant`: creates, lists, shows and deletes tenants.

pub(crate) mod bootstrap;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod show;
pub(crate) mod template;

use std::time::Duration;

use crate::{
    actions::{context::RunContext, judge::inspect, run_state::RunState},
    cli::{Tenant, TenantCreate, TenantDelete, TenantShow},
    config::Selection,
    failure::Failure,
    outcome::{ActionEvent, FailureDetails, bootstrap::Bootstrapped, command::TenantOutcome},
};

pub(crate) async fn run(
    state: &RunState,
    command: &Tenant,
    on_event: &dyn Fn(ActionEvent),
) -> Result<TenantOutcome, Failure> {
    let result = attempt(state, command, on_event).await;
    let failure = match &result {
        Ok(outcome) => outcome.failure().map(|details| &details.failure),
        Err(failure) => Some(failure),
    };
    match failure {
        None | Some(Failure::Interrupted { .. }) => result,
        Some(_) => match first_start(&state.context).await {
            None => result,
            Some(details) => Ok(failed_with(command, details)),
        },
    }
}

/// The gate's answer if the database is empty, which explains why a command has failed.
async fn first_start(context: &RunContext) -> Option<FailureDetails> {
    let (_, judgement) = inspect(context, true, Some(&Selection::All)).await.ok()?;
    if judgement.is_first_start() { FailureDetails::unless_complete(judgement).err() } else { None }
}

async fn attempt(
    state: &RunState,
    command: &Tenant,
    on_event: &dyn Fn(ActionEvent),
) -> Result<TenantOutcome, Failure> {
    match command {
        Tenant::Create(arguments) => Ok(create::run(state, arguments, on_event).await),
        Tenant::Bootstrap(arguments) => bootstrap::run(state, arguments, on_event).await,
        Tenant::List(arguments) => show::list(state, arguments).await,
        Tenant::Show(arguments) => show::show(state, arguments).await,
        Tenant::Template => {
            let failed = |failure| TenantOutcome::Failed { tenant: None, failure };
            Ok(template::run(state, on_event).await.unwrap_or_else(failed))
        }
        Tenant::Delete(arguments) => delete::run(state, arguments, on_event).await,
    }
}

/// The outcome of a command that failed before it had a result.
pub(crate) fn failed(command: &Tenant, failure: Failure) -> TenantOutcome {
    failed_with(command, failure.into())
}

fn failed_with(command: &Tenant, failure: FailureDetails) -> TenantOutcome {
    match command {
        Tenant::Create(TenantCreate { name, schema, .. }) => TenantOutcome::Created {
            tenant: name.clone(),
            schema: schema.as_ref().unwrap_or(name).clone(),
            took: Duration::ZERO,
            failure: Some(failure),
        },
        Tenant::Bootstrap(_) => {
            TenantOutcome::Bootstrapped { tenants: Bootstrapped::default(), failure: Some(failure) }
        }
        Tenant::List(_) | Tenant::Template => TenantOutcome::Failed { tenant: None, failure },
        Tenant::Show(TenantShow { name, .. }) => {
            TenantOutcome::Failed { tenant: Some(name.clone()), failure }
        }
        Tenant::Delete(TenantDelete { name, .. }) => {
            TenantOutcome::NotDeleted { tenant: name.clone(), failure }
        }
    }
}
