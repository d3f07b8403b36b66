//! `portcullis history`: what earlier runs changed, as the database remembers it.

use crate::{
    actions::{context::RunContext, history},
    cli,
    database::history::Run,
    failure::Failure,
};

pub(crate) async fn run(context: &RunContext, arguments: &cli::History) -> Result<Vec<Run>, Failure> {
    history::recent(context, arguments.limit).await
}
