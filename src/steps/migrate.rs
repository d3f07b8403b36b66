//! `migrate`: applies what is pending in the shared schema or in every tenant.

use std::cell::Cell;

use tokio::time::{Duration, Instant};

use super::Context;
use crate::{
    actions::apply::{self, Said},
    config::Scope,
    report::event::{Event, Trouble},
};

/// How often progress is worth telling; what of it becomes a line, the report decides.
const EVERY: Duration = Duration::from_millis(200);

pub(super) async fn run(scope: Scope, context: &Context<'_>) -> Result<String, Trouble> {
    let last: Cell<Option<Instant>> = Cell::new(None);
    let say = |said| match said {
        Said::Note(text) => context.note(text),
        Said::Output { tenant, stream, line } => {
            (context.tell)(Event::Output { step: context.step, stream, tenant, line });
        }
        Said::Progress { done, total } => {
            context.done.replace(Some(format!("{done} of {total} tenants")));
            if done == total || last.get().is_none_or(|last| last.elapsed() >= EVERY) {
                last.set(Some(Instant::now()));
                let what = "tenants migrated".into();
                (context.tell)(Event::Progress { step: context.step, done, total, what });
            }
        }
    };
    apply::scope(context.work, scope, &say).await.map(|applied| applied.summary())
}
