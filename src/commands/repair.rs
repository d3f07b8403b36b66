//! `portcullis repair`: brings one tenant to completeness in five steps, or each that has lost an app.

use crate::{
    actions::{
        Work,
        repair::{self, Asked, Heard},
    },
    cli::{self, Format},
    commands::Answer,
    failure::Failure,
    report::{
        self,
        repair::{self as words, Repaired},
    },
};

pub(crate) async fn run(work: &Work, arguments: &cli::Repair, colour: bool) -> Result<Answer, Failure> {
    let app = arguments.replay.as_deref();
    let tenants = match (arguments.tenant.as_slice(), app) {
        ([], Some(app)) => repair::affected(work, app).await?,
        (named, _) => named.to_vec(),
    };
    let mut done: Vec<(String, Repaired)> = Vec::new();
    for tenant in tenants {
        let asked = Asked {
            tenant: &tenant,
            replay: app,
            allow_code: arguments.allow_code,
            dry_run: arguments.dry_run,
        };
        if arguments.all_affected {
            report::say(&format!("{tenant}:"));
        }
        let hear = |heard: Heard<'_>| match heard {
            Heard::Step(number, step) => report::say(&words::line(number, step, colour)),
            Heard::Note(text) => report::say(&format!("     {text}")),
        };
        let repaired = repair::repair(work, &asked, &hear).await;
        let failed = repaired.trouble.is_some();
        done.push((tenant, repaired));
        if failed {
            break;
        }
    }
    let text = match arguments.format {
        Format::Text => words::summary(&done, app, arguments.dry_run),
        Format::Json => format!("{:#}\n", words::json(&done)),
    };
    let trouble = done.pop().and_then(|(_, repaired)| repaired.trouble);
    let answer = trouble.map_or_else(|| Answer::good(String::new()), Answer::bad);
    let trouble = answer.trouble.filter(|_| arguments.format == Format::Text);
    Ok(Answer { text, trouble, ..answer })
}
