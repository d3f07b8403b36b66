//! Collects the schemas' results as they arrive: migrated, failed, locked by another run, or left to the framework.

use std::time::Duration;

use futures_util::{StreamExt, stream::LocalBoxStream};
use tokio::time;

use super::{Applied, MigrateError, StopRequest};
use crate::{
    actions::{
        context::RunContext,
        history::{self, RunHistory},
        lock::Locked,
    },
    config::Source,
    failure::Failure,
    outcome::{ActionEvent, FailureDetails, SchemaFailure},
    tenants::recording::Difference,
};

/// The unit of progress.
const MIGRATED: &str = "tenants migrated";

/// The failures of the pool.
#[derive(Default)]
pub(super) struct Failed {
    pub(super) schemas: Vec<SchemaFailure>,
    /// The last lines of output, by schema.
    output: Vec<(Option<String>, Vec<String>)>,
    /// A failure of the whole run, which ended the remaining work.
    pub(super) run: Option<Failure>,
    /// The judgement of a wave that is not complete, which ended the remaining work.
    pub(super) wave: Option<Box<FailureDetails>>,
}

/// The number of failed schemas whose last lines are shown.
const SHOWN_SCHEMAS: usize = 4;
/// The number of lines shown for each, if several failed.
const SHOWN_LINES: usize = 3;

impl Failed {
    /// The last lines: all lines of a single schema, or the end of each of several, with its name.
    pub(super) fn last_lines(&mut self) -> Vec<String> {
        let output = std::mem::take(&mut self.output);
        if let [(_, lines)] = output.as_slice() {
            return lines.clone();
        }
        let several = output.iter().take(SHOWN_SCHEMAS).flat_map(|(tenant, lines)| {
            let name = tenant.as_deref().unwrap_or("the shared schema");
            let lines: Vec<&String> = lines.iter().filter(|line| !line.trim().is_empty()).collect();
            let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            last.iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>()
        });
        several.collect()
    }
}

/// The schemas that were tried and neither migrated nor failed.
#[derive(Default)]
pub(super) struct Unmigrated {
    pub(super) locked_by_others: Vec<Option<String>>,
    pub(super) differing: Vec<(Option<String>, Difference)>,
}

/// The result of one schema, and its time or its share of the time of several.
pub(super) type SchemaResult = (Option<String>, Result<Vec<String>, MigrateError>, Duration);

pub(super) struct Results<'a> {
    pub(super) context: &'a RunContext,
    pub(super) locked: &'a Locked<'a>,
    pub(super) history: &'a RunHistory,
    pub(super) applied: &'a mut Applied,
    pub(super) on_event: &'a dyn Fn(ActionEvent),
    pub(super) failed: Failed,
    done: usize,
    total: usize,
}

impl<'a> Results<'a> {
    pub(super) fn new(
        context: &'a RunContext,
        locked: &'a Locked<'a>,
        history: &'a RunHistory,
        applied: &'a mut Applied,
        total: usize,
        on_event: &'a dyn Fn(ActionEvent),
    ) -> Self {
        if total > 1 {
            on_event(ActionEvent::Progress { done: 0, total, what: MIGRATED });
        }
        let failed = Failed::default();
        Self { context, locked, history, applied, on_event, failed, done: 0, total }
    }

    /// Collects the results as they arrive. After too many failures, it requests the stop.
    pub(super) async fn collect(
        &mut self,
        mut results: LocalBoxStream<'_, SchemaResult>,
        stop: &StopRequest,
        at_most: usize,
    ) -> Result<Unmigrated, Failure> {
        let mut unmigrated = Unmigrated::default();
        let mut ended = Ok(());
        let context = self.context;
        let is_sql = matches!(context.migrations()?.source, Source::Sql { .. });
        loop {
            // Progress is also written while one tenant hangs, because waiting runs read it.
            let Ok(next) = time::timeout(history::EVERY, results.next()).await else {
                self.history.record_progress(context, self.done, self.total).await;
                continue;
            };
            let Some((tenant, result, took)) = next else { break };
            match result {
                Ok(migrations) if migrations.is_empty() => {}
                Ok(migrations) => {
                    if is_sql {
                        self.history.record_migrated(tenant.as_deref(), &migrations, took);
                    } else {
                        self.applied.times.insert(tenant.clone(), took);
                    }
                    self.applied.migrations.insert(tenant, migrations);
                }
                Err(MigrateError::LockedByOther) => {
                    unmigrated.locked_by_others.push(tenant);
                    continue;
                }
                Err(MigrateError::Differs(difference)) => {
                    unmigrated.differing.push((tenant, difference));
                    continue;
                }
                Err(MigrateError::Schema(mut failure, output)) => {
                    let manifest = &context.expectation().await?.manifest;
                    failure.dirty |=
                        failure.migration.as_ref().is_some_and(|id| manifest.commits_by_itself(id));
                    if !output.is_empty() {
                        self.failed.output.push((tenant, output));
                    }
                    self.failed.schemas.push(failure);
                }
                Err(MigrateError::Run(failure)) => {
                    ended = ended.and(Err(failure));
                    stop.request();
                    continue;
                }
            }
            self.advance(1).await;
            if self.failed.schemas.len() >= at_most {
                stop.request();
            }
        }
        ended.map(|()| unmigrated)
    }

    pub(super) async fn advance(&mut self, more: usize) {
        self.done = (self.done + more).min(self.total);
        if more > 0 && self.total > 1 {
            let (done, total) = (self.done, self.total);
            (self.on_event)(ActionEvent::Progress { done, total, what: MIGRATED });
            self.history.record_progress(self.context, self.done, self.total).await;
        }
    }
}
