//! `portcullis tenant`: makes tenants, shows them and deletes them.

pub(crate) mod bootstrap;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod show;
pub(crate) mod template;

use std::time::Duration;

use crate::{
    actions::run_state::RunState,
    cli::{Tenant, TenantCreate, TenantDelete, TenantShow},
    commands::Answer,
    failure::Failure,
    notify,
    outcome::{FailureDetails, bootstrap::Bootstrapped},
    report::{Output, running::Running, tenants},
};

pub(crate) async fn run(work: &RunState, what: &Tenant, out: &Output) -> Result<Answer, Failure> {
    match what {
        Tenant::Create(arguments) => create::run(work, arguments, out).await,
        Tenant::Bootstrap(arguments) => bootstrap::run(work, arguments, out).await,
        Tenant::List(arguments) => show::list(work, arguments).await,
        Tenant::Show(arguments) => show::show(work, arguments).await,
        Tenant::Template => template::run(work, out).await,
        Tenant::Delete(arguments) => delete::run(work, arguments, out).await,
    }
}

/// The answer as the program that asked for JSON reads it: also a failure stands on standard output, whatever failed first. A
/// signal ends the command without one.
pub(crate) fn to_a_program(what: &Tenant, answer: Answer) -> Answer {
    let Some(trouble) = answer.trouble.as_ref().filter(|_| what.json() && answer.text.is_empty()) else {
        return answer;
    };
    let value = match what {
        _ if matches!(trouble.failure, Failure::Interrupted { .. }) => return answer,
        Tenant::Create(TenantCreate { name, schema, .. }) => {
            let schema = schema.as_ref().unwrap_or(name);
            tenants::created(name, schema, Duration::ZERO, Some(trouble))
        }
        Tenant::Bootstrap(_) => tenants::bootstrapped(&Bootstrapped::default(), Some(trouble)),
        Tenant::List(_) | Tenant::Template => tenants::failed(None, trouble, Running::TenantShow),
        Tenant::Show(TenantShow { name, .. }) => tenants::failed(Some(name), trouble, Running::TenantShow),
        Tenant::Delete(TenantDelete { name, .. }) => tenants::not_deleted(name, trouble),
    };
    // The problems of a configuration stand in what is written for people alone.
    let kept = matches!(trouble.failure, Failure::ConfigInvalid { .. });
    Answer { text: format!("{value:#}\n"), trouble: answer.trouble.filter(|_| kept), ..answer }
}

/// Tells whom `[notify]` names. Nothing is held up by it for longer than its own time-out.
async fn tell(work: &RunState, tenant: &str, trouble: &FailureDetails, out: &Output) {
    let Some(command) = &work.context.config.notify else { return };
    let facts = tenants::notification(&work.context.run, tenant, trouble);
    let facts = out.masked(&facts.to_string());
    if let Err(why) = notify::command(command, facts, &work.context.processes).await {
        out.say(&format!("[notify] command: {why}"));
    }
}
