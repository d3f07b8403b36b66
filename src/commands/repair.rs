//! `portcullis repair`: makes the named tenants complete in five steps, or each tenant that has lost an app's tables.

use crate::{
    actions::{
        repair::{self, Method, RepairRequest},
        run_state::RunState,
    },
    cli,
    failure::Failure,
    outcome::{ActionEvent, command::Repairs, repair::Repaired, wording},
};

/// The exit code of a failure that concerns one tenant only.
const INCOMPLETE: u8 = 1;

pub(crate) async fn run(
    state: &RunState,
    arguments: &cli::Repair,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Repairs, Failure> {
    let method = match arguments.replay.as_deref() {
        Some(app) => Method::Replay { app, allow_code: arguments.allow_code },
        None if arguments.record => Method::Record,
        None if arguments.restore || arguments.print_sql => Method::Restore { print: arguments.print_sql },
        None => Method::Apply,
    };
    let schemas: Vec<Option<String>> = match arguments.tenant.as_slice() {
        [] if arguments.shared => vec![None],
        [] => repair::affected(&state.context, method).await?.into_iter().map(Some).collect(),
        named => named.iter().cloned().map(Some).collect(),
    };
    let mut done: Vec<(String, Repaired)> = Vec::new();
    let several = schemas.len() > 1 || arguments.all_affected;
    for schema in schemas {
        let tenant = wording::name(schema.as_deref()).to_owned();
        let request = RepairRequest { tenant: schema.as_deref(), method, dry_run: arguments.dry_run };
        if several {
            on_event(ActionEvent::Note(format!("{tenant}:")));
        }
        let on_step = |event| match event {
            ActionEvent::Note(text) => on_event(ActionEvent::Note(format!("     {text}"))),
            event => on_event(event),
        };
        let repaired = repair::repair(state, &request, &on_step).await;
        state.close(repaired.details.as_ref().map_or(Ok(()), |details| Err(&details.failure))).await;
        // A failure of one tenant does not stop the others; a failure of the run does.
        let ends = repaired.details.as_ref().is_some_and(|details| details.failure.code() != INCOMPLETE);
        done.push((tenant, repaired));
        if ends {
            break;
        }
    }
    Ok(Repairs { tenants: done, app: arguments.replay.clone(), dry_run: arguments.dry_run })
}
