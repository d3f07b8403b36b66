//! `portcullis verify`: the gate alone.

use crate::{
    actions::{
        expectation,
        judge::{INSPECTION, stale_accepts},
        run_state::RunState,
        verify::{self, VerifyRequest},
    },
    cli,
    config::{Selection, StructureCheck},
    failure::Failure,
    frameworks::{self, Framework},
    outcome::{ActionEvent, command::Verified},
    tenants::manifest::Manifest,
};

pub(crate) async fn run(
    state: &RunState,
    arguments: &cli::Verify,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Verified, Failure> {
    let make =
        state.context.migrations().map_or_else(|_| frameworks::sql::Sql.make(), expectation::make_command);
    let given = match &arguments.manifest {
        Some(path) => Some(expectation::read(path, make).await?),
        None => None,
    };
    let manifest = match &given {
        Some(manifest) => manifest,
        None => &state.context.expectation().await?.manifest,
    };
    if let Some(app) = &arguments.app {
        check_app(app, manifest)?;
    }
    let only = arguments.only.names();
    let is_all = only.is_empty();
    let named = Selection::Named(only);
    let request = VerifyRequest {
        manifest,
        shared: is_all,
        tenants: if is_all { &Selection::All } else { &named },
        timeout: INSPECTION,
        structure: if arguments.structure {
            StructureCheck::Block
        } else {
            state.context.config.gate.structure
        },
        wait: None,
        on_progress: &|done, total| {
            if !arguments.quiet {
                on_event(ActionEvent::Progress { done, total, what: verify::INSPECTED });
            }
        },
    };
    let mut judgement =
        verify::verify(&state.context, &state.lock, &request, &|why, _| on_event(ActionEvent::Note(why)))
            .await?;
    let unused = stale_accepts(&state.context, &judgement);
    if let Some(app) = &arguments.app {
        judgement.only(app, manifest);
    }
    Ok(Verified {
        judgement,
        stale: unused,
        app: arguments.app.clone(),
        quiet: arguments.quiet,
        lists_all: arguments.all,
    })
}

fn check_app(app: &str, manifest: &Manifest) -> Result<(), Failure> {
    let apps: Vec<&str> = manifest.apps().into_iter().collect();
    let message = match apps.as_slice() {
        apps if apps.contains(&app) => return Ok(()),
        [] => "--app: the manifest has no apps".into(),
        apps => format!("--app: the manifest has no app `{app}`; its apps are {}", apps.join(", ")),
    };
    Err(Failure::Usage { message })
}
