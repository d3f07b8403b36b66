//! `portcullis tenant list` and `show`: the gate's verdicts on tenants. Both only read.

use crate::{
    actions::{judge::inspect, run_state::RunState},
    cli::{State, TenantList, TenantShow},
    config::Selection,
    failure::Failure,
    outcome::command::TenantOutcome,
    tenants::gate::{Judgement, Outcome},
};

pub(crate) async fn list(state: &RunState, arguments: &TenantList) -> Result<TenantOutcome, Failure> {
    let mut judgement = judgement(state, &Selection::All).await?;
    let outcome = arguments.state.map(|state| match state {
        State::Complete => Outcome::Complete,
        State::Incomplete => Outcome::Incomplete,
        State::Unproven => Outcome::Unproven,
    });
    judgement.tenants.retain(|_, verdict| outcome.is_none_or(|outcome| verdict.outcome() == outcome));
    if arguments.names {
        return Ok(TenantOutcome::Named(judgement.tenants.into_keys().collect()));
    }
    Ok(TenantOutcome::Listed(judgement))
}

pub(crate) async fn show(state: &RunState, arguments: &TenantShow) -> Result<TenantOutcome, Failure> {
    let name = &arguments.name;
    let judgement = judgement(state, &Selection::Named(vec![name.clone()])).await?;
    let verdict = judgement.tenants.get(name).cloned().unwrap_or_default();
    Ok(TenantOutcome::Shown { tenant: name.clone(), verdict })
}

/// The judgement of tenants only. An empty shared schema explains why there are none.
async fn judgement(state: &RunState, tenants: &Selection) -> Result<Judgement, Failure> {
    let (_, judgement) = inspect(&state.context, true, Some(tenants)).await?;
    let shared = judgement.shared.clone().filter(|_| judgement.is_first_start());
    Ok(Judgement { shared, ..judgement })
}
