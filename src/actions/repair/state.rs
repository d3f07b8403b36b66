//! Decides from the state of the database how to repair a schema.

use super::{
    decision::{Todo, decide},
    request::{Method, RepairRequest},
    restore,
};
use crate::{
    actions::context::RunContext,
    outcome::FailureDetails,
    tenants::{gate::Judgement, inspection::Inspection},
};

pub(super) async fn todo(
    context: &RunContext,
    request: &RepairRequest<'_>,
    found: &Inspection,
    judgement: Judgement,
) -> Result<Todo, FailureDetails> {
    if let Method::Restore { .. } = request.method {
        let restoration = restore::plan(context, request, found, &judgement).await?;
        return Ok(restoration.map_or(Todo::Nothing, |restoration| Todo::Restore(Box::new(restoration))));
    }
    let manifest = &context.expectation().await?.manifest;
    let todo = decide(manifest, request, found, judgement.clone())?;
    if let Todo::RecordIfComplete(names) = todo {
        restore::prove_complete(context, request, found, judgement).await?;
        return Ok(Todo::Record(names));
    }
    Ok(todo)
}
