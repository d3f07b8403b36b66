//! `bootstrap`: makes the configured demo tenants whole, those that are absent.

use super::Context;
use crate::{actions::provision, report::event::Trouble};

pub(super) async fn run(
    tenants: &[String],
    run: &[String],
    context: &Context<'_>,
) -> Result<String, Trouble> {
    match provision::bootstrap(context.work, tenants, run, false, &|text| context.note(text)).await {
        (became, None) => Ok(became.summary()),
        (_, Some(trouble)) => Err(trouble),
    }
}
