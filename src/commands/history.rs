//! `portcullis history`: what earlier runs changed, as the database remembers it.

use crate::{
    actions::{context::RunContext, history},
    cli::{self, Format},
    commands::Answer,
    failure::Failure,
    report,
};

pub(crate) async fn run(context: &RunContext, arguments: &cli::History) -> Result<Answer, Failure> {
    let runs = history::recent(context, arguments.limit).await?;
    let text = match arguments.format {
        Format::Text => report::history::text(&runs),
        Format::Json => format!("{:#}\n", serde_json::json!(runs)),
    };
    Ok(Answer::good(text))
}
