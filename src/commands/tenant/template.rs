//! `portcullis tenant template`: writes down what new tenants are copied from.

use crate::{
    actions::{run_state::RunState, template},
    outcome::{ActionEvent, FailureDetails, command::TenantOutcome},
};

pub(super) async fn run(
    state: &RunState,
    on_event: &dyn Fn(ActionEvent),
) -> Result<TenantOutcome, FailureDetails> {
    let made = template::make(state, on_event).await;
    state.lock.release().await;
    let template = made?;
    let path = state.context.migrations()?.template.clone().unwrap_or_default();
    Ok(TenantOutcome::TemplateWritten { path, release: template.release, server: template.server })
}
