//! `portcullis tenant delete`: asks for confirmation, and removes everything of the tenant.

use std::io::{self, IsTerminal};

use crate::{
    actions::{provision::tenant_request::domains, run_state::RunState},
    cli::TenantDelete,
    database::DatabaseError,
    failure::Failure,
    files::Outstanding,
    outcome::{ActionEvent, command::TenantOutcome},
    tenants::inspection::Deleted,
};

pub(crate) async fn run(
    state: &RunState,
    arguments: &TenantDelete,
    on_event: &dyn Fn(ActionEvent),
) -> Result<TenantOutcome, Failure> {
    let name = &arguments.name;
    if !arguments.yes {
        confirm(name, on_event).await?;
    }
    state.history.start_step("portcullis tenant delete");
    let deleted = remove(state, name, on_event).await?;
    let deleted =
        deleted.map_err(|error| Failure::Deleting { tenant: name.clone(), why: error.into_cause() });
    if deleted.is_ok() {
        state.history.record_change(Some(name), &["deleted".into()]);
    }
    state.close(deleted.as_ref().map(drop)).await;
    deleted.map(|deleted| TenantOutcome::Deleted { tenant: name.clone(), deleted })
}

/// Removes the tenant while holding the lock.
async fn remove(
    state: &RunState,
    name: &str,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Result<Deleted, DatabaseError>, Failure> {
    let context = &state.context;
    let locked = state.acquire(&|text| on_event(ActionEvent::Note(text))).await?;
    // The manifest shows whether the tenant has rows of domains.
    context.expectation().await?;
    let (limits, domains) = (context.removal_limits()?, domains(context).await);
    state.history.start(context).await;
    let registered = context.database()?.registered().await;
    let registered = registered.map_err(|error| error.into_failure("reading the registry"))?;
    if state.rollback.recovered(name) && !registered.contains(name) {
        // The recovery of an interrupted creation or deletion has removed everything.
        return Ok(Ok(Deleted::default()));
    }
    Ok(context.database()?.delete(&locked, name, domains, &context.run, &limits).await)
}

/// Asks for the tenant's name on the terminal.
async fn confirm(name: &str, on_event: &dyn Fn(ActionEvent)) -> Result<(), Failure> {
    let usage = |message: String| Failure::Usage { message };
    if !io::stdin().is_terminal() {
        return Err(usage(
            "standard input is not a terminal, so nothing can confirm the deletion: use --yes".into(),
        ));
    }
    let text = format!("this deletes the tenant `{name}` and all its data; type its name to confirm:");
    on_event(ActionEvent::Note(text));
    let read = || {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    };
    let typed = Outstanding::default().poll(read).await.unwrap_or_default();
    if typed.trim_end_matches(['\n', '\r']) == name {
        Ok(())
    } else {
        Err(usage(format!("the input is not `{name}`: nothing was deleted")))
    }
}
