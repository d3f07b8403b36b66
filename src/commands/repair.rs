//! `portcullis repair`: brings one tenant to completeness in five steps, or each that has lost an app.

use crate::{
    actions::{
        repair::{self, RepairEvent, RepairRequest},
        run_state::RunState,
    },
    cli::{self, Format},
    commands::Answer,
    failure::Failure,
    outcome::repair::Repaired,
    report::{Output, repair as words},
};

/// The exit code of what concerns one tenant alone.
const INCOMPLETE: u8 = 1;

pub(crate) async fn run(
    work: &RunState,
    arguments: &cli::Repair,
    out: &Output,
    colour: bool,
) -> Result<Answer, Failure> {
    let app = arguments.replay.as_deref();
    let tenants = match (arguments.tenant.as_slice(), app) {
        ([], Some(app)) => repair::affected(&work.context, app).await?,
        (named, _) => named.to_vec(),
    };
    let mut done: Vec<(String, Repaired)> = Vec::new();
    for tenant in tenants {
        let request = RepairRequest {
            tenant: &tenant,
            replay: app,
            allow_code: arguments.allow_code,
            dry_run: arguments.dry_run,
        };
        if arguments.all_affected {
            out.say(&format!("{tenant}:"));
        }
        let on_event = |event: RepairEvent<'_>| match event {
            RepairEvent::Step(number, step) => out.say(&words::line(number, step, colour)),
            RepairEvent::Note(text) => out.say(&format!("     {text}")),
        };
        let repaired = repair::repair(work, &request, &on_event).await;
        work.close(repaired.trouble.as_ref().map_or(Ok(()), |trouble| Err(&trouble.failure))).await;
        // What one tenant lacks is no reason to leave the others as they are; what ends the run is.
        let ends = repaired.trouble.as_ref().is_some_and(|trouble| trouble.failure.code() != INCOMPLETE);
        done.push((tenant, repaired));
        if ends {
            break;
        }
    }
    let text = match arguments.format {
        Format::Text => words::summary(&done, app, arguments.dry_run),
        Format::Json => format!("{:#}\n", words::json(&done)),
    };
    let trouble = done.into_iter().find_map(|(_, repaired)| repaired.trouble);
    let answer = trouble.map_or_else(|| Answer::good(String::new()), Answer::bad);
    let trouble = answer.trouble.filter(|_| arguments.format == Format::Text);
    Ok(Answer { text, trouble, ..answer })
}
