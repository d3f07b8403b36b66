//! `portcullis verify`: the gate alone.

use crate::{
    actions::{
        expectation,
        judge::{INSPECTION, stale_accepts},
        run_state::RunState,
        verify::{self, Asked},
    },
    cli::{self, VerifyFormat},
    commands::Answer,
    config::Selection,
    failure::Failure,
    frameworks::{self, Framework},
    outcome::{FailureDetails, wording},
    report::{Output, by_hand::ByHand, foreign, github::annotation, judgement},
    tenants::manifest::Manifest,
};

pub(crate) async fn run(work: &RunState, arguments: &cli::Verify, out: &Output) -> Result<Answer, Failure> {
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
    let named = Selection::Named(arguments.tenant.clone());
    let by_hand = ByHand::new("verify", out);
    let asked = Asked {
        manifest,
        shared: arguments.tenant.is_empty(),
        tenants: if arguments.tenant.is_empty() { &Selection::All } else { &named },
        timeout: INSPECTION,
        wait: None,
        looked: &|done, total| {
            if !arguments.quiet {
                by_hand.tell(done, total, verify::LOOKED);
            }
        },
    };
    let mut judgement = verify::verify(&work.context, &work.lock, &asked, &|why, _| out.say(&why)).await?;
    drop(by_hand);
    let stale = stale_accepts(&work.context, &judgement);
    if let Some(app) = &arguments.app {
        judgement.only(app, manifest);
    }
    let warning = |text: String| match arguments.format {
        VerifyFormat::Github => format!("{}\n", annotation("warning", "portcullis", &text)),
        _ => foreign::line(&format!("warning: {text}")),
    };
    let warnings: String = wording::warnings(&judgement).into_iter().chain(stale).map(warning).collect();
    let (instead, before) = match arguments.format {
        VerifyFormat::Json => (Some(format!("{:#}\n", judgement::json(&judgement))), String::new()),
        VerifyFormat::Junit => (Some(judgement::junit(&judgement)), String::new()),
        VerifyFormat::Github => (None, judgement::annotations(&judgement) + &warnings),
        VerifyFormat::Text => (None, warnings),
    };
    let of_app = arguments.app.as_ref().map(|app| format!(", as far as `{app}` is concerned"));
    let of_app = of_app.unwrap_or_default();
    let answer = match FailureDetails::unless_complete(judgement) {
        Ok(_) if arguments.quiet => Answer::good(String::new()),
        Ok(summary) => Answer::good(format!("{before}complete: {summary}{of_app}\n")),
        Err(trouble) => Answer { text: before, ..Answer::bad(trouble) },
    };
    Ok(match instead {
        Some(text) => Answer { text, trouble: None, ..answer },
        None => answer,
    })
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
