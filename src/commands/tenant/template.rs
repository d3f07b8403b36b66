//! `portcullis tenant template`: writes down what new tenants are copied from.

use crate::{
    actions::{run_state::RunState, template},
    outcome::{
        FailureDetails,
        command::{CommandEvent, TenantOutcome},
    },
};

pub(super) async fn run(
    work: &RunState,
    on_event: &dyn Fn(CommandEvent<'_>),
) -> Result<TenantOutcome, FailureDetails> {
    let made = template::make(work, &|text| on_event(CommandEvent::Note(text))).await;
    work.lock.release().await;
    let template = made?;
    let path = work.context.migrations()?.template.clone().unwrap_or_default();
    Ok(TenantOutcome::TemplateWritten { path, release: template.release, server: template.server })
}
