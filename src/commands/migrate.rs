//! `portcullis migrate`: applies what is pending, by hand.

use crate::{
    actions::{
        judge::inspect,
        migrate::{ProgressEvent, apply},
        run_state::RunState,
    },
    cli,
    commands::Answer,
    config::Selection,
    failure::Failure,
    outcome::wording,
    report::{Output, by_hand::ByHand, foreign},
};

pub(crate) async fn run(work: &RunState, arguments: &cli::Migrate, out: &Output) -> Result<Answer, Failure> {
    let all = arguments.all || (!arguments.shared && arguments.tenant.is_empty());
    let shared = arguments.shared || (!arguments.all && arguments.tenant.is_empty());
    let tenants = if all {
        Some(Selection::All)
    } else {
        (!arguments.tenant.is_empty()).then(|| Selection::Named(arguments.tenant.clone()))
    };
    if arguments.dry_run {
        return pending(work, shared, tenants.as_ref()).await;
    }
    let by_hand = ByHand::new("migrate", out);
    let on_event = |event| match event {
        ProgressEvent::Note(text) => out.say(&text),
        ProgressEvent::Output { tenant, stream, line } => by_hand.child(tenant, stream, &line),
        ProgressEvent::Progress { done, total } => by_hand.tell(done, total, "tenants migrated"),
    };
    work.history.at("portcullis migrate");
    let mut text = String::new();
    let parts = [shared.then_some(None), tenants.as_ref().map(Some)];
    for part in parts.into_iter().flatten() {
        let what = if part.is_none() { "shared schema" } else { "tenants" };
        match apply::apply(work, part, &on_event).await {
            Ok(applied) => text += &format!("{what}: {}\n", applied.summary()),
            Err(trouble) => {
                work.close(Err(&trouble.failure)).await;
                return Ok(Answer { text, ..Answer::bad(trouble) });
            }
        }
    }
    work.close(Ok(())).await;
    Ok(Answer::good(text))
}

async fn pending(work: &RunState, shared: bool, tenants: Option<&Selection>) -> Result<Answer, Failure> {
    let (_, judgement) = inspect(&work.context, shared, tenants).await?;
    let mut text = String::new();
    for (tenant, verdict) in judgement.verdicts() {
        for finding in &verdict.findings {
            let (what, which) = wording::words(finding);
            text += &foreign::line(&format!("{}: {what}: {which}", wording::name(tenant)));
        }
    }
    if text.is_empty() {
        text = "nothing pending\n".into();
    }
    Ok(Answer::good(text))
}
