//! `portcullis tenant`: makes tenants, shows them and deletes them.

pub(crate) mod bootstrap;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod show;
pub(crate) mod template;

use crate::{
    actions::Work,
    cli::Tenant,
    commands::Answer,
    failure::Failure,
    notify,
    report::{self, event::Trouble, tenants},
};

/// `bar` where standard error can show one.
pub(crate) async fn run(work: &Work, what: &Tenant, bar: bool) -> Result<Answer, Failure> {
    match what {
        Tenant::Create(arguments) => create::run(work, arguments).await,
        Tenant::Bootstrap(arguments) => bootstrap::run(work, arguments, bar).await,
        Tenant::List(arguments) => show::list(work, arguments).await,
        Tenant::Show(arguments) => show::show(work, arguments).await,
        Tenant::Template => template::run(work).await,
        Tenant::Delete(arguments) => delete::run(work, arguments).await,
    }
}

/// Tells whom `[notify]` names. Nothing is held up by it for longer than its own time-out.
async fn tell(work: &Work, tenant: &str, trouble: &Trouble) {
    let (Some(command), Ok(processes)) = (&work.config.notify, work.processes()) else { return };
    let facts = tenants::notification(&work.run, tenant, trouble);
    if let Err(why) = notify::command(command, facts.to_string(), processes).await {
        report::say(&format!("[notify] command: {why}"));
    }
}
