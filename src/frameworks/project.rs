//! A project whose framework applies the migrations, and the execution of its programs.

use std::{collections::BTreeMap, future::pending, io};

use super::framework::External;
use crate::{
    config::{self, secret::Secret},
    deadline::Deadline,
    failure::Failure,
    outcome::ActionEvent,
    process::{Child, Finished, Processes, Stream},
};

/// The time between TERM and KILL: Docker's grace period minus the time of Portcullis's own shutdown.
const GRACE: std::time::Duration = std::time::Duration::from_secs(8);

/// libpq's variable for a session's settings.
const OPTIONS: &str = "PGOPTIONS";

/// The variable by which most tools find their database.
const DATABASE_URL: &str = "DATABASE_URL";

#[derive(Clone, Copy)]
pub(crate) struct Project<'a> {
    pub(crate) framework: &'static dyn External,
    /// The command that derives the manifest.
    pub(super) make: &'static str,
    pub(super) settings: &'a config::Project,
    pub(super) processes: &'a Processes,
    /// The run's id, which is part of its sessions' application names.
    pub(super) run: &'a str,
    /// None if its programs change nothing.
    pub(super) sessions: Option<&'a ProgramSessions>,
}

/// The properties of the database sessions of programs that change the database.
#[derive(Debug, Clone)]
pub(crate) struct ProgramSessions {
    /// The identity of the configured database, which the project's own programs compare with theirs.
    pub(crate) identity: String,
    /// libpq's options with the time-outs; None behind a pooler.
    pub(crate) options: Option<String>,
    /// libpq's options in the environment.
    pub(crate) given_options: Option<String>,
    /// The database of the only tenant that the program migrates, if it is not the configured one.
    pub(crate) database_url: Option<Secret>,
}

impl ProgramSessions {
    pub(crate) fn without_time_outs(&self) -> Self {
        Self { options: None, ..self.clone() }
    }

    pub(crate) fn in_database(self, database_url: Option<Secret>) -> Self {
        Self { database_url, ..self }
    }
}

/// The exit of a project's program.
pub(super) struct ProgramExit {
    pub(super) program: String,
    pub(super) finished: Finished,
}

impl Project<'_> {
    /// Runs a program to its end. `on_line` receives each line and may return a new deadline. Once `stop` is ready, the
    /// program receives TERM.
    pub(super) async fn start(
        &self,
        argv: Vec<String>,
        deadline: Deadline,
        stop: impl Future<Output = ()>,
        on_line: impl FnMut(Stream, &str) -> Option<Deadline>,
    ) -> Result<ProgramExit, Failure> {
        let program = argv.first().cloned().unwrap_or_default();
        let mut child = child(self.run, self.sessions, self.framework.about().env, &self.settings.env, argv);
        child.privileges.clone_from(&self.settings.privileges);
        let identity =
            self.sessions.map(|sessions| ("PORTCULLIS_DATABASE".into(), sessions.identity.clone()));
        child.env.extend(identity);
        let stop = async {
            stop.await;
            libc::SIGTERM
        };
        match self.processes.spawn_fenced(&child) {
            Ok(tree) => Ok(ProgramExit { program, finished: tree.run(deadline, stop, on_line).await }),
            Err(error) => Err(Failure::CommandMissing { program, why: error.to_string() }),
        }
    }
}

/// A program of the project whose database sessions have the run's application name and time-outs.
pub(crate) fn child(
    run: &str,
    sessions: Option<&ProgramSessions>,
    framework_env: &[(&str, &str)],
    configured_env: &BTreeMap<String, Secret>,
    argv: Vec<String>,
) -> Child {
    let mut env = vec![("PGAPPNAME".to_owned(), format!("portcullis:{run}"))];
    env.extend(framework_env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env.extend(configured_env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())));
    if let Some(ProgramSessions { options: Some(options), given_options, .. }) = sessions {
        let given = configured_env.get(OPTIONS).map(Secret::expose).or(given_options.as_deref());
        // The last setting of a name applies.
        let options = [options.as_str()].into_iter().chain(given).collect::<Vec<_>>().join(" ");
        env.retain(|(name, _)| name != OPTIONS);
        env.push((OPTIONS.into(), options));
    }
    if let Some(url) = sessions.and_then(|sessions| sessions.database_url.as_ref()) {
        env.retain(|(name, _)| name != DATABASE_URL);
        env.push((DATABASE_URL.into(), url.expose().to_owned()));
    }
    Child {
        argv,
        env,
        cwd: None,
        privileges: config::Privileges::default(),
        exports: false,
        logs_in: true,
        grace: GRACE,
    }
}

/// Runs a program without a tenant to its end and passes its output on.
pub(crate) async fn run_to_end(
    processes: &Processes,
    child: &Child,
    deadline: Deadline,
    on_event: &dyn Fn(ActionEvent),
) -> io::Result<Finished> {
    let on_line = |stream, line: &str| {
        on_event(ActionEvent::Output { tenant: None, stream, line: line.to_owned() });
        None
    };
    Ok(processes.spawn_fenced(child)?.run(deadline, pending(), on_line).await)
}
