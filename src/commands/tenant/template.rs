//! `portcullis tenant template`: writes down what new tenants are copied from.

use crate::{
    actions::{run_state::RunState, template},
    commands::Answer,
    failure::Failure,
    report::Output,
};

pub(super) async fn run(work: &RunState, out: &Output) -> Result<Answer, Failure> {
    let made = template::make(work, &|text| out.say(&text)).await;
    work.lock.release().await;
    let (path, template) = match (&work.context.migrations()?.template, made) {
        (Some(path), Ok(template)) => (path.display(), template),
        (None, Ok(_)) => return Ok(Answer::good(String::new())),
        (_, Err(trouble)) => return Ok(Answer::bad(trouble)),
    };
    Ok(Answer::good(format!(
        "{path}: written, release {}, PostgreSQL {}\n",
        template.release, template.server
    )))
}
