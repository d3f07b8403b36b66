//! `portcullis repair`: brings one tenant to completeness in five steps, or each that has lost an app.

use crate::{
    actions::{
        repair::{self, RepairEvent, RepairRequest},
        run_state::RunState,
    },
    cli,
    failure::Failure,
    outcome::{
        command::{CommandEvent, Repairs},
        repair::Repaired,
    },
};

/// The exit code of what concerns one tenant alone.
const INCOMPLETE: u8 = 1;

pub(crate) async fn run(
    work: &RunState,
    arguments: &cli::Repair,
    on_event: &dyn Fn(CommandEvent<'_>),
) -> Result<Repairs, Failure> {
    let app = arguments.replay.as_deref();
    let tenants = match (arguments.tenant.as_slice(), app) {
        ([], Some(app)) => repair::affected(&work.context, app).await?,
        (named, _) => named.to_vec(),
    };
    let mut done: Vec<(String, Repaired)> = Vec::new();
    let several = tenants.len() > 1 || arguments.all_affected;
    for tenant in tenants {
        let request = RepairRequest {
            tenant: &tenant,
            replay: app,
            allow_code: arguments.allow_code,
            dry_run: arguments.dry_run,
        };
        if several {
            on_event(CommandEvent::Note(format!("{tenant}:")));
        }
        let on_step = |event: RepairEvent<'_>| match event {
            RepairEvent::Step(number, step) => on_event(CommandEvent::RepairStep(number, step)),
            RepairEvent::Note(text) => on_event(CommandEvent::Note(format!("     {text}"))),
        };
        let repaired = repair::repair(work, &request, &on_step).await;
        work.close(repaired.trouble.as_ref().map_or(Ok(()), |trouble| Err(&trouble.failure))).await;
        // What one tenant lacks is no reason to leave the others as they are; what ends the run is.
        let ends = repaired.trouble.as_ref().is_some_and(|trouble| trouble.failure.code() != INCOMPLETE);
        done.push((tenant, repaired));
        if ends {
            break;
        }
    }
    Ok(Repairs { tenants: done, app: arguments.replay.clone(), dry_run: arguments.dry_run })
}
