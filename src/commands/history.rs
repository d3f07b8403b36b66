//! `portcullis history`: the changes of earlier runs, as recorded in the database.

use crate::{
    actions::{context::RunContext, history},
    cli,
    database::history::Run,
    failure::Failure,
};

pub(crate) async fn run(context: &RunContext, arguments: &cli::History) -> Result<Vec<Run>, Failure> {
    history::recent(context, arguments.limit).await
}
