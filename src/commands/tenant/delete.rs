//! `portcullis tenant delete`: asks for the name again, and removes everything of the tenant.

use std::io::{self, IsTerminal};

use crate::{
    actions::{Work, provision},
    cli::TenantDelete,
    commands::Answer,
    failure::Failure,
    report::{Output, tenants},
    tenants::found::Deleted,
};

pub(crate) async fn run(work: &Work, arguments: &TenantDelete, out: &Output) -> Result<Answer, Failure> {
    let name = &arguments.name;
    if !arguments.yes {
        confirm(name, out).await?;
    }
    work.record.at("portcullis tenant delete");
    work.lock.hold(work, &|text| out.say(&text)).await?;
    // Without a manifest it is not known which rows of domains go with the tenant's.
    work.expectation().await?;
    let (limits, domains) = (work.limits()?, provision::domains(work).await);
    work.record.begin(work).await;
    let registered = work.database()?.registered().await;
    let registered = registered.map_err(|error| error.into_failure("reading the registry"))?;
    let deleted = if work.begun.has_removed(name) && !registered.contains(name) {
        // An earlier deletion, or a creation, was all that there was of it.
        Ok(Deleted::default())
    } else {
        work.database()?.delete(name, domains, &work.run, &limits).await
    };
    let deleted =
        deleted.map_err(|error| Failure::Deleting { tenant: name.clone(), why: error.to_string().into() });
    if deleted.is_ok() {
        work.record.changed(Some(name), &["deleted".into()]);
    }
    work.finish(deleted.as_ref().map(drop)).await;
    match deleted {
        Ok(deleted) if arguments.json => {
            Ok(Answer::good(format!("{:#}\n", tenants::deleted_json(name, &deleted))))
        }
        Ok(deleted) => Ok(Answer::good(tenants::deleted(name, &deleted))),
        Err(failure) => Err(failure),
    }
}

/// The name once more, from the terminal.
async fn confirm(name: &str, out: &Output) -> Result<(), Failure> {
    let usage = |message: String| Failure::Usage { message };
    if !io::stdin().is_terminal() {
        return Err(usage("there is no terminal to ask: say --yes".into()));
    }
    out.say(&format!("this removes the tenant `{name}` with everything in it; type its name to go on:"));
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let typed = read.await.ok().and_then(Result::ok).unwrap_or_default();
    if typed.trim_end_matches(['\n', '\r']) == name {
        Ok(())
    } else {
        Err(usage(format!("that is not `{name}`: nothing was removed")))
    }
}
