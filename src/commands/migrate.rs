//! `portcullis migrate`: applies pending migrations.

use crate::{
    actions::{
        judge::inspect,
        migrate::{
            Limit,
            apply::{Scope, migrate},
            approval::{self, Approved},
        },
        run_state::RunState,
    },
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
    let waves = arguments.waves.map(usize::from);
    let scope = Scope { shared, tenants: tenants.as_ref(), waves };
    if arguments.dry_run {
        let (_, judgement) = inspect(&state.context, shared, tenants.as_ref()).await?;
        return Ok(Migrated::Pending(judgement));
    }
    if arguments.plan {
        return Ok(match approval::plan(&state.context, scope, on_event).await {
            Ok(plan) => Migrated::Planned(plan),
            Err(details) => Migrated::Applied { parts: Vec::new(), failure: Some(details) },
        });
    }
    let approved = match &arguments.approve {
        Some(given) => Some(Approved::read(given).await?),
        None => None,
    };
    state.history.start_step("portcullis migrate");
    let mut parts = Vec::new();
    let migrated = match &approved {
        Some(approved) => approval::execute(state, approved, scope, &mut parts, on_event).await,
        None => migrate(state, scope, Limit { waves, ..Limit::default() }, &mut parts, on_event).await,
    };
    state.close(migrated.as_ref().map(drop).map_err(|details| &details.failure)).await;
    Ok(Migrated::Applied { parts, failure: migrated.err() })
}
