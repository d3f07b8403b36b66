//! `migrate`: applies what is pending in the shared schema or in every tenant.

use super::Context;
use crate::{
    actions::apply::{self, Said},
    config::Scope,
    outcome::{FailureDetails, event::Event},
};

pub(super) async fn run(scope: Scope, context: &Context<'_>) -> Result<String, FailureDetails> {
    let say = |said| match said {
        Said::Note(text) => context.note(text),
        Said::Output { tenant, stream, line } => {
            (context.tell)(Event::Output { step: context.step, stream, tenant, line });
        }
        Said::Progress { done, total } => {
            context.done.replace(Some(format!("{done} of {total} tenants")));
            context.progress(done, total, "tenants migrated");
        }
    };
    apply::scope(context.work, scope, &say).await.map(|applied| applied.summary())
}
