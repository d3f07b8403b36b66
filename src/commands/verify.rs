//! `portcullis verify`: the gate alone.

use crate::{
    actions::{
        Work, expectation,
        look::LOOK,
        verify::{self, Asked},
    },
    cli::{self, Format},
    commands::Answer,
    config::Selection,
    failure::Failure,
    report::{self, by_hand::ByHand, event::Trouble, judgement},
};

/// `bar` where standard error can show one.
pub(crate) async fn run(work: &Work, arguments: &cli::Verify, bar: bool) -> Result<Answer, Failure> {
    let make = work.migrations().map_or(expectation::MAKE, expectation::make_command);
    let given = arguments.manifest.as_ref().map(|path| expectation::read(path, make)).transpose()?;
    let named = Selection::Named(arguments.tenant.clone());
    let by_hand = ByHand::new("verify", bar);
    let asked = Asked {
        manifest: match &given {
            Some(manifest) => manifest,
            None => &work.expectation().await?.manifest,
        },
        shared: arguments.tenant.is_empty(),
        tenants: if arguments.tenant.is_empty() { &Selection::All } else { &named },
        timeout: LOOK,
        wait: None,
        looked: &|done, total| {
            if !arguments.quiet {
                by_hand.tell(done, total, verify::LOOKED);
            }
        },
    };
    let judgement = verify::verify(work, &asked, &|why, _| report::say(&why)).await?;
    drop(by_hand);
    let json = (arguments.format == Format::Json).then(|| format!("{:#}\n", judgement::json(&judgement)));
    let mut warnings = judgement::warnings(&judgement);
    warnings.extend(work.stale_accepts(&judgement));
    let mut answer = match Trouble::unless_complete(judgement) {
        Ok(_) if arguments.quiet => Answer::good(String::new()),
        Ok(summary) => Answer::good(format!("complete: {summary}\n")),
        Err(trouble) => Answer::bad(trouble),
    };
    if let Some(json) = json {
        return Ok(Answer { text: json, trouble: None, ..answer });
    }
    if !arguments.quiet || answer.code != 0 {
        let warnings = warnings.into_iter().map(|warning| format!("warning: {warning}\n"));
        answer.text = warnings.collect::<Vec<_>>().concat() + &answer.text;
    }
    Ok(answer)
}
