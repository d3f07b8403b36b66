//! `bootstrap`: makes the configured demo tenants whole, those that are absent.

use super::Context;
use crate::{actions::provision, report::event::Trouble};

pub(super) async fn run(
    tenants: &[String],
    run: &[String],
    context: &Context<'_>,
) -> Result<String, Trouble> {
    provision::bootstrap(context.work, tenants, run, &|text| context.note(text)).await
}
