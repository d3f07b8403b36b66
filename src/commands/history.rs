//! `portcullis history`: what earlier runs changed, as the database remembers it.

use crate::{
    actions::Work,
    cli::{self, Format},
    commands::Answer,
    failure::Failure,
    report,
};

pub(crate) async fn run(work: &Work, arguments: &cli::History) -> Result<Answer, Failure> {
    let runs = work.history(arguments.limit).await?;
    let text = match arguments.format {
        Format::Text => report::history::text(&runs),
        Format::Json => format!("{:#}\n", serde_json::json!(runs)),
    };
    Ok(Answer::good(text))
}
