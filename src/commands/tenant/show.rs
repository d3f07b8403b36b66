//! `portcullis tenant list` and `show`: what the gate says of tenants. Both read only.

use crate::{
    actions::{judge::inspect, run_state::RunState},
    cli::{State, TenantList, TenantShow},
    config::Selection,
    failure::Failure,
    outcome::command::TenantOutcome,
    tenants::gate::{Judgement, Outcome},
};

pub(crate) async fn list(work: &RunState, arguments: &TenantList) -> Result<TenantOutcome, Failure> {
    let mut judgement = judgement(work, &Selection::All).await?;
    let wanted = arguments.state.map(|state| match state {
        State::Complete => Outcome::Complete,
        State::Incomplete => Outcome::Incomplete,
        State::Unproven => Outcome::Unproven,
    });
    judgement.tenants.retain(|_, verdict| wanted.is_none_or(|wanted| verdict.outcome() == wanted));
    Ok(TenantOutcome::Listed(judgement))
}

pub(crate) async fn show(work: &RunState, arguments: &TenantShow) -> Result<TenantOutcome, Failure> {
    let name = &arguments.name;
    let judgement = judgement(work, &Selection::Named(vec![name.clone()])).await?;
    let verdict = judgement.tenants.get(name).cloned().unwrap_or_default();
    Ok(TenantOutcome::Shown { tenant: name.clone(), verdict })
}

/// Of tenants alone, whatever the size of the registry.
async fn judgement(work: &RunState, tenants: &Selection) -> Result<Judgement, Failure> {
    let (_, judgement) = inspect(&work.context, true, Some(tenants)).await?;
    Ok(Judgement { shared: None, too_few: None, ..judgement })
}
