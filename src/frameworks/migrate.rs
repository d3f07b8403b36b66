//! Applies a project's migrations with its own program: one start per batch of schemas, or the configured command per
//! schema.

use std::{cell::Cell, future::pending, time::Duration};

use super::{
    batch::{Batch, MigrateError, SchemaOutcome, Step, channel_name},
    framework::StopPolicy,
    project::{ProgramExit, Project},
};
use crate::{
    config::secret::Secret, deadline::Deadline, failure::Failure, outcome::ActionEvent, process::StopReason,
    tenants::recording::Recorded, words::duration,
};

/// Large enough that the start of the program does not matter, small enough for visible progress and little memory.
const BATCH: usize = 25;

/// How a project applies its migrations.
#[derive(Clone, Copy)]
pub(crate) struct Migrating<'a> {
    pub(crate) stop_policy: StopPolicy,
    /// For one schema.
    pub(crate) timeout: Duration,
    /// The name of the shared schema in the configured command.
    pub(crate) shared_schema: &'a str,
    /// A concurrent index build waits for older transactions: a time-out would leave an invalid index.
    pub(crate) without_time_outs: bool,
    /// The database of the only tenant, if it is not the configured one.
    pub(crate) database_url: Option<&'a Secret>,
    /// Receives the recording of a batch of one tenant, if the framework can record.
    pub(crate) recorded: Option<&'a RecordingSlot>,
}

/// The place for a recording.
pub(crate) type RecordingSlot = Cell<Option<Recorded>>;

impl Project<'_> {
    /// Whether the project's configuration has the command that migrates one schema.
    pub(crate) fn has_command(&self) -> bool {
        !self.settings.run.is_empty()
    }

    /// Whether the configured command may be repeated after a lock time-out.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.has_command() && self.framework.is_atomic()
    }

    /// Splits the schemas into batches, one per start of a program.
    pub(crate) fn batches(&self, schemas: &[Option<String>], jobs: usize) -> Vec<Vec<Option<String>>> {
        batches(schemas, jobs, self.settings.run.is_empty())
    }

    /// Migrates one batch and returns the result of each schema that was started. `on_event` receives every output
    /// line. Once `stop` is ready, the current schema is the last one; a configured command may finish its only schema.
    pub(crate) async fn migrate(
        &self,
        schemas: &[Option<String>],
        migrating: Migrating<'_>,
        stop: impl Future<Output = ()>,
        on_event: &dyn Fn(ActionEvent),
    ) -> Vec<SchemaOutcome> {
        self.run_batch(schemas, migrating, stop, on_event).await.unwrap_or_else(|failure| {
            vec![(schemas.first().cloned().flatten(), Err(MigrateError::Run(failure)))]
        })
    }

    async fn run_batch(
        &self,
        schemas: &[Option<String>],
        migrating: Migrating<'_>,
        stop: impl Future<Output = ()>,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<Vec<SchemaOutcome>, Failure> {
        let Migrating { stop_policy, timeout, shared_schema, without_time_outs, database_url, recorded } =
            migrating;
        let command = &self.settings.run;
        let record = match (schemas, recorded) {
            ([Some(tenant)], Some(_)) => self.framework.record(self.settings, tenant),
            _ => None,
        };
        let argv = if let Some(argv) = record {
            argv?
        } else if command.is_empty() {
            let names: Vec<String> = schemas.iter().map(|schema| channel_name(schema.as_ref())).collect();
            self.framework.migrate(self.settings, &names, stop_policy)?
        } else {
            let schema = schemas.first().and_then(Option::as_deref).unwrap_or(shared_schema);
            command.iter().map(|word| word.replace("{schema}", schema)).collect()
        };
        let read_line = |line: &str| self.framework.read_line(line).map(Step::from);
        let commands = self.framework.about().commands;
        let mut batch = Batch::new(schemas, (!command.is_empty()).then_some(&read_line), commands, on_event);
        let on_line = |stream, line: &str| batch.line(stream, line).then(|| Deadline::after(timeout));
        let stop = async {
            stop.await;
            if !command.is_empty() {
                pending::<()>().await;
            }
        };
        let sessions = self.sessions.map(|sessions| {
            let own = if without_time_outs { sessions.without_time_outs() } else { sessions.clone() };
            own.in_database(database_url.cloned())
        });
        let project = Project { sessions: sessions.as_ref(), ..*self };
        let ProgramExit { program, finished } =
            project.start(argv, Deadline::after(timeout), stop, on_line).await?;
        if let Some(why) = batch.other_database.take() {
            return Err(Failure::OtherDatabase { why });
        }
        if let Some(recorded) = recorded {
            recorded.set(serde_json::from_str(&batch.recorded).ok());
        }
        let ended = match (finished.reason.accepted(&program, &[0]), finished.cut) {
            (Err(failure @ (Failure::CommandMissing { .. } | Failure::CommandNotSpawned { .. })), _) => {
                return Err(failure);
            }
            (_, Some(StopReason::TimedOut)) => Err(format!("ran longer than {}", duration(timeout))),
            (Ok(_), None) if batch.begin_missing() => {
                Err(format!("`{program}` exited with 0 before it had migrated every schema"))
            }
            (Ok(_), _) => Ok(()),
            // It was stopped between two schemas.
            (Err(_), Some(StopReason::Stopped(_))) if batch.current.is_none() => Ok(()),
            (Err(_), _) => Err(format!("`{program}` {}", finished.reason.words())),
        };
        Ok(batch.into_outcomes(ended))
    }
}

fn batches(schemas: &[Option<String>], jobs: usize, many: bool) -> Vec<Vec<Option<String>>> {
    let size = if many { schemas.len().div_ceil(jobs.max(1)).clamp(1, BATCH) } else { 1 };
    schemas.chunks(size).map(<[_]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn many_schemas_share_one_start_and_a_configured_command_starts_per_schema() {
        let names: Vec<Option<String>> = (0..120).map(|n: u32| Some(n.to_string())).collect();
        let sizes = |many, jobs| batches(&names, jobs, many).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(true, 4), [25, 25, 25, 25, 20]);
        assert_eq!(sizes(true, 40)[..2], [3, 3]);
        assert!(sizes(false, 4).iter().all(|size| *size == 1));
    }
}
