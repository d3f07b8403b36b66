//! Runs `verify` steps: the gate.

use super::context::Context;
use crate::{
    actions::{
        judge::stale_accepts,
        verify::{self, VerifyRequest},
    },
    config::{Selection, Verify},
    failure::chain,
    outcome::{FailureDetails, event::Event, wording},
    tenants::gate::Outcome,
};

pub(super) async fn run(verify: &Verify, context: &Context<'_>) -> Result<String, FailureDetails> {
    let state = context.state;
    let every = verify.tenants == Selection::All;
    if every {
        state.bypasses.forget();
    }
    let details = match judge(verify, context).await {
        Err(details) => details,
        complete => return complete,
    };
    let warn = |text| context.warn(text);
    let how = state.bypasses.bypass(&state.context, &state.history, &details, every, &warn).await;
    let Some(how) = how else {
        return Err(details);
    };
    let summary = format!("{}; {}", chain(&details.failure), how.words());
    (context.on_event)(Event::GateBypassed { step: context.step, how, details });
    Ok(summary)
}

async fn judge(verify: &Verify, context: &Context<'_>) -> Result<String, FailureDetails> {
    let request = VerifyRequest {
        manifest: &context.state.context.expectation().await?.manifest,
        shared: verify.shared,
        tenants: &verify.tenants,
        timeout: verify.timeout,
        structure: context.state.context.config.gate.structure,
        wait: verify.wait,
        on_progress: &|done, total| context.progress(done, total, verify::INSPECTED),
    };
    let on_event = |last, elapsed| {
        let what = "everything to be complete".into();
        (context.on_event)(Event::Waiting { step: context.step, what, last, elapsed });
    };
    let judgement = verify::verify(&context.state.context, &context.state.lock, &request, &on_event).await?;
    for warning in wording::warnings(&judgement) {
        context.warn(warning);
    }
    for warning in stale_accepts(&context.state.context, &judgement) {
        context.warn(warning);
    }
    let accepted = judgement.accepted();
    (context.on_event)(Event::Judged {
        step: context.step,
        complete: judgement.count(Outcome::Complete) - accepted,
        accepted,
        incomplete: judgement.count(Outcome::Incomplete),
        unproven: judgement.count(Outcome::Unproven),
    });
    FailureDetails::unless_complete(judgement)
}
