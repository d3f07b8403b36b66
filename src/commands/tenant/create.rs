//! `portcullis tenant create`: for people, and for the web application that calls it.

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
    let wanted = TenantRequest {
        name: arguments.name.clone(),
        schema: arguments.schema.clone(),
        domain: arguments.domain.clone(),
        set: arguments.set.clone(),
    };
    let schema = wanted.schema.as_ref().unwrap_or(&wanted.name).clone();
    state.history.at("portcullis tenant create");
    let begun = Instant::now();
    let result = create(state, &wanted, on_event).await;
    let took = begun.elapsed();
    state.close(result.as_ref().map(drop).map_err(|details| &details.failure)).await;
    TenantOutcome::Created { tenant: wanted.name, schema, took, failure: result.err() }
}

async fn create(
    state: &RunState,
    wanted: &TenantRequest,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), FailureDetails> {
    let new = wanted.creation(&state.context).await?;
    let locked = state.acquire(&|text| on_event(ActionEvent::Note(text))).await?;
    let template = template::configured(&state.context).await?;
    create::create(state, &locked, &new, template.as_ref(), on_event).await
}
