//! `portcullis tenant list` and `show`: what the gate says of tenants. Both read only.

use crate::{
    actions::{Work, look::LOOK},
    cli::{State, TenantList, TenantShow},
    commands::Answer,
    config::Selection,
    failure::Failure,
    report::tenants,
    tenants::gate::{Judgement, Outcome},
};

pub(crate) async fn list(work: &Work, arguments: &TenantList) -> Result<Answer, Failure> {
    let mut judgement = judgement(work, &Selection::All).await?;
    let wanted = arguments.state.map(|state| match state {
        State::Complete => Outcome::Complete,
        State::Incomplete => Outcome::Incomplete,
        State::Unproven => Outcome::Unproven,
    });
    judgement.tenants.retain(|_, verdict| wanted.is_none_or(|wanted| verdict.outcome() == wanted));
    Ok(Answer::good(if arguments.json {
        format!("{:#}\n", tenants::json(&judgement))
    } else {
        tenants::list(&judgement)
    }))
}

pub(crate) async fn show(work: &Work, arguments: &TenantShow) -> Result<Answer, Failure> {
    let name = &arguments.name;
    let judgement = judgement(work, &Selection::Named(vec![name.clone()])).await?;
    let verdict = judgement.tenants.get(name).cloned().unwrap_or_default();
    let text = if arguments.json {
        format!("{:#}\n", tenants::one(name, &verdict))
    } else {
        tenants::show(name, &verdict)
    };
    // Only a tenant that is not there is a failure of showing it.
    let code = u8::from(verdict.is_absent());
    Ok(Answer { text, trouble: None, code })
}

/// Of tenants alone, whatever the size of the registry.
async fn judgement(work: &Work, tenants: &Selection) -> Result<Judgement, Failure> {
    let manifest = &work.expectation().await?.manifest;
    let found = work.look(manifest, true, Some(tenants), LOOK).await;
    let found = found.map_err(|error| error.into_failure("looking at the tenants"))?;
    Ok(Judgement { shared: None, too_few: None, ..work.judge(manifest, &found) })
}
