//! `portcullis tenant bootstrap`: what the `bootstrap` steps do, by hand.

use crate::{
    actions::{migrate::ProgressEvent, provision, run_state::RunState},
    cli::TenantBootstrap,
    commands::Answer,
    config::Action,
    failure::Failure,
    outcome::{FailureDetails, bootstrap::Bootstrapped},
    report::{Output, by_hand::ByHand, tenants},
};

pub(crate) async fn run(
    work: &RunState,
    arguments: &TenantBootstrap,
    out: &Output,
) -> Result<Answer, Failure> {
    work.history.at("portcullis tenant bootstrap");
    let mut all = Bootstrapped::default();
    let mut trouble: Option<FailureDetails> = None;
    let mut asked = false;
    for step in &work.context.config.steps {
        let Action::Bootstrap { tenants, run } = &step.action else { continue };
        asked = true;
        let by_hand = ByHand::new("bootstrap", out);
        let on_event = |event| match event {
            ProgressEvent::Note(text) => out.say(&text),
            ProgressEvent::Output { tenant, stream, line } => by_hand.child(tenant, stream, &line),
            ProgressEvent::Progress { done, total } => by_hand.tell(done, total, "demo tenants complete"),
        };
        let (became, failed) =
            provision::bootstrap::bootstrap(work, tenants, run, arguments.stop, &on_event).await;
        all.created.extend(became.created);
        all.kept.extend(became.kept);
        all.failed.extend(became.failed);
        if let Some(failed) = failed {
            trouble.get_or_insert(failed);
            if arguments.stop {
                break;
            }
        }
    }
    work.close(trouble.as_ref().map_or(Ok(()), |trouble| Err(&trouble.failure))).await;
    if !asked {
        return Err(Failure::ConfigLacks {
            what: "this".into(),
            needs: "bootstrap = { tenants = [...] } in a step",
        });
    }
    let text = if arguments.json {
        format!("{:#}\n", tenants::bootstrapped(&all, trouble.as_ref()))
    } else {
        format!("{}, {} failed\n", all.summary(), all.failed.len())
    };
    let Some(trouble) = trouble else { return Ok(Answer::good(text)) };
    super::tell(work, all.failed.first().map_or("", |(tenant, _)| tenant), &trouble, out).await;
    let answer = Answer { text, ..Answer::bad(trouble) };
    Ok(if arguments.json { Answer { trouble: None, ..answer } } else { answer })
}
