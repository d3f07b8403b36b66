//! `portcullis tenant create`: for people, and for the web application that calls it.

use tokio::time::Instant;

use crate::{
    actions::{
        migrate::ProgressEvent,
        provision::{create, tenant_request::TenantRequest},
        run_state::RunState,
        template,
    },
    cli::TenantCreate,
    commands::Answer,
    failure::Failure,
    outcome::FailureDetails,
    report::{Output, tenants},
};

pub(crate) async fn run(work: &RunState, arguments: &TenantCreate, out: &Output) -> Result<Answer, Failure> {
    let wanted = TenantRequest {
        name: arguments.name.clone(),
        schema: arguments.schema.clone(),
        domain: arguments.domain.clone(),
        set: arguments.set.clone(),
    };
    let schema = wanted.schema.as_ref().unwrap_or(&wanted.name).clone();
    work.history.at("portcullis tenant create");
    let begun = Instant::now();
    let result = create(work, &wanted, out).await;
    let took = begun.elapsed();
    work.close(result.as_ref().map(drop).map_err(|trouble| &trouble.failure)).await;
    let text = if arguments.json {
        format!("{:#}\n", tenants::created(&wanted.name, &schema, took, result.as_ref().err()))
    } else if result.is_ok() {
        format!("`{schema}` created, migrated and verified\n")
    } else {
        String::new()
    };
    let trouble = match result {
        Ok(()) => return Ok(Answer::good(text)),
        Err(trouble) => trouble,
    };
    super::tell(work, &schema, &trouble, out).await;
    let answer = Answer { text, ..Answer::bad(trouble) };
    Ok(if arguments.json { Answer { trouble: None, ..answer } } else { answer })
}

async fn create(work: &RunState, wanted: &TenantRequest, out: &Output) -> Result<(), FailureDetails> {
    let new = wanted.creation(&work.context).await?;
    let locked = work.acquire(&|text| out.say(&text)).await?;
    let template = template::configured(&work.context).await?;
    let on_event = |event| {
        if let ProgressEvent::Note(text) = event {
            out.say(&text);
        }
    };
    create::create(work, &locked, &new, template.as_ref(), &on_event).await
}
