//! `bootstrap`: makes the configured demo tenants whole, those that are absent.

use super::Context;
use crate::{
    actions::{apply::Said, provision},
    outcome::{FailureDetails, event::Event},
};

pub(super) async fn run(
    tenants: &[String],
    run: &[String],
    context: &Context<'_>,
) -> Result<String, FailureDetails> {
    let say = |said| match said {
        Said::Note(text) => context.note(text),
        Said::Output { tenant, stream, line } => {
            (context.tell)(Event::Output { step: context.step, stream, tenant, line });
        }
        Said::Progress { done, total } => {
            context.done.replace(Some(format!("{done} of {total} demo tenants")));
            context.progress(done, total, "demo tenants complete");
        }
    };
    match provision::bootstrap(context.work, tenants, run, false, &say).await {
        (became, None) => Ok(became.summary()),
        (_, Some(trouble)) => Err(trouble),
    }
}
