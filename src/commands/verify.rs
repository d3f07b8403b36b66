//! `portcullis verify`: the gate alone.

use crate::{
    actions::{Work, expectation},
    cli::{self, Format},
    commands::Answer,
    config::Selection,
    database::DatabaseError,
    failure::{Failure, words},
    report::{event::Trouble, judgement},
    tenants::gate::Outcome,
};

/// How long the look may take.
const TIMEOUT: std::time::Duration = std::time::Duration::from_mins(2);

pub(crate) async fn run(work: &Work, arguments: &cli::Verify) -> Result<Answer, Failure> {
    let manifest = match &arguments.manifest {
        Some(path) => {
            expectation::read(path, work.migrations().map_or(expectation::MAKE, expectation::make_command))?
        }
        None => work.expectation().await?.manifest.clone(),
    };
    let named = Selection::Named(arguments.tenant.clone());
    let selection = if arguments.tenant.is_empty() { &Selection::All } else { &named };
    let unproven = |why| Failure::Unproven { what: "everything is complete".into(), why };
    let found = work.look(&manifest, arguments.tenant.is_empty(), Some(selection), TIMEOUT).await.map_err(
        |error| match error {
            DatabaseError::Failed(why) | DatabaseError::NotYet(why) => unproven(why),
            DatabaseError::TimedOut => unproven(format!("looking ran longer than {}", words(TIMEOUT))),
            never @ DatabaseError::Never(_) => never.into_failure("verifying"),
        },
    )?;
    let judgement = work.judge(&manifest, &found);
    let outcome = judgement.outcome();
    let summary = judgement::summary(&judgement);
    let mut answer = match outcome {
        Outcome::Complete => Answer::good(String::new()),
        Outcome::Incomplete => Answer::bad(Failure::Incomplete { summary: summary.clone() }.into()),
        Outcome::Unproven => Answer::bad(unproven(summary.clone()).into()),
    };
    match arguments.format {
        Format::Json => {
            answer.text = format!("{:#}\n", judgement::json(&judgement));
            answer.trouble = None;
        }
        Format::Text if arguments.quiet && outcome == Outcome::Complete => {}
        Format::Text => {
            for warning in judgement::warnings(&judgement) {
                answer.text += &format!("warning: {warning}\n");
            }
            if outcome == Outcome::Complete {
                answer.text += &format!("complete: {summary}\n");
            }
            answer.trouble = answer.trouble.map(|trouble| Trouble { judgement: Some(judgement), ..trouble });
        }
    }
    Ok(answer)
}
