//! `portcullis verify`: the gate alone.

use crate::{
    actions::{
        expectation,
        judge::{INSPECTION, stale_accepts},
        run_state::RunState,
        verify::{self, Asked},
    },
    cli,
    config::Selection,
    failure::Failure,
    frameworks::{self, Framework},
    outcome::{ActionEvent, command::Verified},
    tenants::manifest::Manifest,
};

pub(crate) async fn run(
    work: &RunState,
    arguments: &cli::Verify,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Verified, Failure> {
    let make =
        work.context.migrations().map_or_else(|_| frameworks::sql::Sql.make(), expectation::make_command);
    let given = match &arguments.manifest {
        Some(path) => Some(expectation::read(path, make).await?),
        None => None,
    };
    let manifest = match &given {
        Some(manifest) => manifest,
        None => &work.context.expectation().await?.manifest,
    };
    if let Some(app) = &arguments.app {
        known(app, manifest)?;
    }
    let only = arguments.only.names();
    let is_all = only.is_empty();
    let named = Selection::Named(only);
    let asked = Asked {
        manifest,
        shared: is_all,
        tenants: if is_all { &Selection::All } else { &named },
        timeout: INSPECTION,
        wait: None,
        looked: &|done, total| {
            if !arguments.quiet {
                on_event(ActionEvent::Progress { done, total, what: verify::LOOKED });
            }
        },
    };
    let mut judgement =
        verify::verify(&work.context, &work.lock, &asked, &|why, _| on_event(ActionEvent::Note(why))).await?;
    let stale = stale_accepts(&work.context, &judgement);
    if let Some(app) = &arguments.app {
        judgement.only(app, manifest);
    }
    Ok(Verified { judgement, stale, app: arguments.app.clone(), quiet: arguments.quiet })
}

fn known(app: &str, manifest: &Manifest) -> Result<(), Failure> {
    let apps: Vec<&str> = manifest.apps().into_iter().collect();
    let message = match apps.as_slice() {
        apps if apps.contains(&app) => return Ok(()),
        [] => "--app: the manifest knows no apps".into(),
        apps => format!("--app: the manifest knows no app `{app}`; it has {}", apps.join(", ")),
    };
    Err(Failure::Usage { message })
}
