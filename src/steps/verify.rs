//! `verify`: asks the gate.

use super::Context;
use crate::{
    actions::verify::{self, Asked},
    config::Verify,
    report::{
        event::{Event, Trouble},
        judgement,
    },
    tenants::gate::Outcome,
};

pub(super) async fn run(verify: &Verify, context: &Context<'_>) -> Result<String, Trouble> {
    let asked = Asked {
        manifest: &context.work.expectation().await?.manifest,
        shared: verify.shared,
        tenants: &verify.tenants,
        timeout: verify.timeout,
        wait: verify.wait,
    };
    let say = |last, elapsed| {
        let what = "everything to be complete".into();
        (context.tell)(Event::Waiting { step: context.step, what, last, elapsed });
    };
    let judgement = verify::verify(context.work, &asked, &say).await?;
    for warning in judgement::warnings(&judgement) {
        context.warn(warning);
    }
    (context.tell)(Event::Judged {
        step: context.step,
        complete: judgement.count(Outcome::Complete),
        incomplete: judgement.count(Outcome::Incomplete),
        unproven: judgement.count(Outcome::Unproven),
    });
    Trouble::unless_complete(judgement)
}
