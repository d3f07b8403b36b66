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
    work: &RunState,
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
    work.history.at("portcullis tenant create");
    let begun = Instant::now();
    let result = create(work, &wanted, on_event).await;
    let took = begun.elapsed();
    work.close(result.as_ref().map(drop).map_err(|trouble| &trouble.failure)).await;
    TenantOutcome::Created { tenant: wanted.name, schema, took, failure: result.err() }
}

async fn create(
    work: &RunState,
    wanted: &TenantRequest,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), FailureDetails> {
    let new = wanted.creation(&work.context).await?;
    let locked = work.acquire(&|text| on_event(ActionEvent::Note(text))).await?;
    let template = template::configured(&work.context).await?;
    create::create(work, &locked, &new, template.as_ref(), on_event).await
}
