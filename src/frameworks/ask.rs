//! Derives the manifest from a project with its own program, and detects a stale manifest.

use std::{future::pending, io, path::Path, time::Duration};

use super::{
    channel::{self, Message},
    framework::argument,
    output::LastLines,
    project::{ProgramExit, Project},
};
use crate::{
    deadline::Deadline,
    failure::Failure,
    files,
    outcome::{ActionEvent, FailureDetails},
    process::Stream,
    tenants::manifest::Manifest,
};

/// Loading a large project takes seconds; a longer run is a hang.
const TIMEOUT: Duration = Duration::from_mins(2);

impl Project<'_> {
    /// The manifest's text from the project's program, which writes it to a temporary file next to `path`.
    pub(crate) async fn ask(
        &self,
        path: &Path,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<String, FailureDetails> {
        let mut lines = LastLines::default();
        self.run_manifest_program(path, &mut lines, on_event)
            .await
            .map_err(|failure| FailureDetails { output: lines.into_vec(), ..FailureDetails::from(failure) })
    }

    async fn run_manifest_program(
        &self,
        path: &Path,
        lines: &mut LastLines,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<String, Failure> {
        let output = path.with_extension("json.asked");
        let argv = self.framework.ask(self.settings, argument(&output)?)?;
        // A killed run may have left it.
        let old = output.clone();
        let _ = files::within(files::TIMEOUT, move || files::remove_now(&old)).await;
        let mut error = None;
        let on_line = |stream, line: &str| {
            match (stream, channel::message(line)) {
                (Stream::Out, Some(Message::Failed(failed))) => error = Some(failed),
                (Stream::Out, Some(Message::Warning(text))) => {
                    on_event(ActionEvent::Note(format!("warning: {text}")));
                }
                _ => {
                    lines.push(line);
                    on_event(ActionEvent::Output { tenant: None, stream, line: line.to_owned() });
                }
            }
            None
        };
        let ProgramExit { program, finished } =
            self.start(argv, Deadline::after(TIMEOUT), pending(), on_line).await?;
        finished.accepted(&program, &[0], TIMEOUT).map_err(|failure| match failure {
            Failure::TimedOut { after, .. } => Failure::TimedOut {
                what: format!("deriving the manifest from {}", self.framework.about().title),
                after,
            },
            Failure::CommandFailed { program, ended } => {
                let (why, variable) =
                    error.map_or((None, None), |error| (Some(error.summary()), error.variable));
                let why = why.as_deref().or_else(|| lines.last()).unwrap_or("it printed nothing");
                let ended = format!("{ended}: {why}");
                match variable {
                    Some(variable) => Failure::VariableMissing { program, ended, variable, make: self.make },
                    None => Failure::CommandFailed { program, ended },
                }
            }
            other => other,
        })?;
        let invalid =
            |why: String| Failure::ManifestInvalid { path: output.clone(), why, make: self.make.into() };
        let file = output.clone();
        let read = move || {
            let text = files::read_now(&file, u64::MAX).and_then(files::text);
            // If the file cannot be removed, the next run replaces it.
            let _ = files::remove_now(&file);
            text
        };
        files::within(files::TIMEOUT, read).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let ended =
                    "exited with 0 and did not write the manifest; the project may end the program".into();
                Failure::CommandFailed { program, ended }
            }
            _ => invalid(error.to_string()),
        })
    }

    /// Whether the manifest's migrations follow from the files on disk, without the project's program.
    pub(crate) fn reads_files(&self) -> bool {
        self.framework.reads_files()
    }

    /// The manifest from the files on disk; None if only the project's program can derive it.
    pub(crate) async fn read(&self) -> Option<Result<Manifest, Failure>> {
        if !self.reads_files() {
            return None;
        }
        let (framework, settings) = (self.framework, self.settings.clone());
        let read = files::within(files::TIMEOUT, move || Ok(framework.read(&settings))).await;
        Some(read.unwrap_or_else(|error| Err(Failure::unreadable(self.settings.folder(), &error))))
    }

    /// The reason why the manifest no longer matches the migrations on disk; None if it matches.
    pub(crate) async fn staleness(&self, manifest: &Manifest) -> Option<String> {
        let (framework, manifest, settings) = (self.framework, manifest.clone(), self.settings.clone());
        files::within(files::TIMEOUT, move || Ok(framework.staleness(&manifest, &settings)))
            .await
            .unwrap_or_else(|error| Some(format!("the project's migrations cannot be read: {error}")))
    }
}
