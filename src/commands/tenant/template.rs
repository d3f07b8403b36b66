//! `portcullis tenant template`: writes down what new tenants are copied from.

use crate::{
    actions::{run_state::RunState, template},
    outcome::{ActionEvent, FailureDetails, command::TenantOutcome},
};

pub(super) async fn run(
    work: &RunState,
    on_event: &dyn Fn(ActionEvent),
) -> Result<TenantOutcome, FailureDetails> {
    let made = template::make(work, on_event).await;
    work.lock.release().await;
    let template = made?;
    let path = work.context.migrations()?.template.clone().unwrap_or_default();
    Ok(TenantOutcome::TemplateWritten { path, release: template.release, server: template.server })
}
