//! `portcullis migrate`: applies pending migrations.

use crate::{
    actions::{judge::inspect, migrate::apply, run_state::RunState},
    cli,
    config::Selection,
    failure::Failure,
    outcome::{ActionEvent, command::Migrated},
};

pub(crate) async fn run(
    state: &RunState,
    arguments: &cli::Migrate,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Migrated, Failure> {
    let only = arguments.only.names();
    let all = arguments.all || (!arguments.shared && only.is_empty());
    let shared = arguments.shared || (!arguments.all && only.is_empty());
    let tenants =
        if all { Some(Selection::All) } else { (!only.is_empty()).then_some(Selection::Named(only)) };
    if arguments.dry_run {
        let (_, judgement) = inspect(&state.context, shared, tenants.as_ref()).await?;
        return Ok(Migrated::Pending(judgement));
    }
    state.history.start_step("portcullis migrate");
    let mut done = Vec::new();
    let parts = [shared.then_some(None), tenants.as_ref().map(Some)];
    for part in parts.into_iter().flatten() {
        let what = if part.is_none() { "shared schema" } else { "tenants" };
        match apply::apply(state, part, on_event).await {
            Ok(applied) => done.push((what, applied.summary())),
            Err(details) => {
                state.close(Err(&details.failure)).await;
                return Ok(Migrated::Applied { parts: done, failure: Some(details) });
            }
        }
    }
    state.close(Ok(())).await;
    Ok(Migrated::Applied { parts: done, failure: None })
}
