//! `portcullis tenant template`: builds the template of new tenants.

use crate::{
    actions::{run_state::RunState, template},
    outcome::{ActionEvent, FailureDetails, command::TenantOutcome},
};

pub(super) async fn run(
    state: &RunState,
    on_event: &dyn Fn(ActionEvent),
) -> Result<TenantOutcome, FailureDetails> {
    let result = template::make(state, on_event).await;
    state.lock.release().await;
    let template = result?;
    let path = state.context.migrations()?.template.clone().unwrap_or_default();
    Ok(TenantOutcome::TemplateWritten { path, release: template.release, server: template.server })
}
