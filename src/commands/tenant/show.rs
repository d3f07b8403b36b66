//! `portcullis tenant list` and `show`: what the gate says of tenants. Both read only.

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
    let wanted = arguments.state.map(|state| match state {
        State::Complete => Outcome::Complete,
        State::Incomplete => Outcome::Incomplete,
        State::Unproven => Outcome::Unproven,
    });
    judgement.tenants.retain(|_, verdict| wanted.is_none_or(|wanted| verdict.outcome() == wanted));
    Ok(TenantOutcome::Listed(judgement))
}

pub(crate) async fn show(state: &RunState, arguments: &TenantShow) -> Result<TenantOutcome, Failure> {
    let name = &arguments.name;
    let judgement = judgement(state, &Selection::Named(vec![name.clone()])).await?;
    let verdict = judgement.tenants.get(name).cloned().unwrap_or_default();
    Ok(TenantOutcome::Shown { tenant: name.clone(), verdict })
}

/// Of tenants alone, whatever the size of the registry.
async fn judgement(state: &RunState, tenants: &Selection) -> Result<Judgement, Failure> {
    let (_, judgement) = inspect(&state.context, true, Some(tenants)).await?;
    Ok(Judgement { shared: None, too_few: None, ..judgement })
}
