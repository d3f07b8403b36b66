//! `portcullis tenant create`: provisions one tenant, for people and for web applications.

use tokio::time::Instant;

use crate::{
    actions::{
        provision::{create, tenant_request::TenantRequest},
        run_state::RunState,
        template,
    },
    cli::TenantCreate,
    outcome::{ActionEvent, FailureDetails, command::TenantOutcome},
};

pub(crate) async fn run(
    state: &RunState,
    arguments: &TenantCreate,
    on_event: &dyn Fn(ActionEvent),
) -> TenantOutcome {
    let request = TenantRequest {
        name: arguments.name.clone(),
        schema: arguments.schema.clone(),
        domain: arguments.domain.clone(),
        set: arguments.set.clone(),
        domain_set: arguments.domain_set.clone(),
        in_step: false,
    };
    let schema = request.schema.as_ref().unwrap_or(&request.name).clone();
    state.history.start_step("portcullis tenant create");
    let started = Instant::now();
    let result = create(state, &request, on_event).await;
    let took = started.elapsed();
    state.close(result.as_ref().map(drop).map_err(|details| &details.failure)).await;
    TenantOutcome::Created { tenant: request.name, schema, took, failure: result.err() }
}

async fn create(
    state: &RunState,
    request: &TenantRequest,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), FailureDetails> {
    let new = request.creation(&state.context, on_event).await?;
    let locked = state.acquire(&|text| on_event(ActionEvent::Note(text))).await?;
    let template = template::configured(&state.context).await?;
    create::create(state, &locked, &new, template.as_ref(), on_event).await
}
