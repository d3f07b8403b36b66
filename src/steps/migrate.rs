//! `migrate`: applies what is pending in the shared schema or in every tenant.

use std::cell::Cell;

use tokio::time::{Duration, Instant};

use super::Context;
use crate::{
    actions::apply::{self, Said},
    config::Scope,
    report::event::{Event, Trouble},
};

/// How often progress is worth a line.
const EVERY: Duration = Duration::from_secs(5);

pub(super) async fn run(scope: Scope, context: &Context<'_>) -> Result<String, Trouble> {
    let last = Cell::new(Instant::now());
    let say = |said| match said {
        Said::Note(text) => context.note(text),
        Said::Output { tenant, stream, line } => {
            (context.tell)(Event::Output { step: context.step, stream, tenant, line });
        }
        Said::Progress { done, total } => {
            context.done.replace(Some(format!("{done} of {total} tenants")));
            if last.get().elapsed() >= EVERY {
                last.set(Instant::now());
                let what = "tenants migrated".into();
                (context.tell)(Event::Progress { step: context.step, done, total, what });
            }
        }
    };
    apply::scope(context.work, scope, &say).await.map(|applied| applied.summary())
}
