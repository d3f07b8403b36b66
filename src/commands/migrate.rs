//! `portcullis migrate`: applies what is pending, by hand.

use crate::{
    actions::{
        Work,
        apply::{self, Said},
        look::LOOK,
    },
    cli,
    commands::Answer,
    config::Selection,
    failure::Failure,
    outcome::wording,
    report::{Output, by_hand::ByHand, foreign},
};

pub(crate) async fn run(work: &Work, arguments: &cli::Migrate, out: &Output) -> Result<Answer, Failure> {
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
    let say = |said| match said {
        Said::Note(text) => out.say(&text),
        Said::Output { tenant, stream, line } => by_hand.child(tenant, stream, &line),
        Said::Progress { done, total } => by_hand.tell(done, total, "tenants migrated"),
    };
    work.record.at("portcullis migrate");
    let mut text = String::new();
    let parts = [shared.then_some(None), tenants.as_ref().map(Some)];
    for part in parts.into_iter().flatten() {
        let what = if part.is_none() { "shared schema" } else { "tenants" };
        match apply::apply(work, part, &say).await {
            Ok(applied) => text += &format!("{what}: {}\n", applied.summary()),
            Err(trouble) => {
                work.finish(Err(&trouble.failure)).await;
                return Ok(Answer { text, ..Answer::bad(trouble) });
            }
        }
    }
    work.finish(Ok(())).await;
    Ok(Answer::good(text))
}

async fn pending(work: &Work, shared: bool, tenants: Option<&Selection>) -> Result<Answer, Failure> {
    let manifest = &work.expectation().await?.manifest;
    let found = work
        .look(manifest, shared, tenants, LOOK)
        .await
        .map_err(|error| error.into_failure("looking for pending migrations"))?;
    let judgement = work.judge(manifest, &found);
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
