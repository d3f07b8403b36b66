//! The server to start, and its settings.

use std::time::Duration;

use crate::{
    cli,
    config::{self, Mode},
    failure::Failure,
    process::{self, Inherited},
    report::{Output, output::NOT_PID_1},
};

/// The server and its settings.
pub(super) struct Server {
    pub(super) argv: Vec<String>,
    mode: Mode,
    grace: Duration,
    crash_grace: Duration,
    /// Added to its environment.
    pub(super) variables: Vec<(String, String)>,
}

impl Server {
    pub(super) fn plain(argv: &[String]) -> Self {
        Self {
            argv: argv.to_vec(),
            mode: Mode::Exec,
            grace: Duration::ZERO,
            crash_grace: Duration::ZERO,
            variables: Vec::new(),
        }
    }

    pub(super) fn of(server: &config::Server, arguments: &cli::Run) -> Self {
        let given = &arguments.server;
        let argv = if given.is_empty() { &server.command } else { given };
        Self {
            argv: argv.clone(),
            mode: server.mode,
            grace: server.grace,
            crash_grace: server.crash_grace.unwrap_or(process::CRASH_GRACE),
            variables: Vec::new(),
        }
    }

    /// Executes or supervises it; without an argv, there is nothing to start.
    pub(super) fn start(&self, inherited: &Inherited) -> Result<u8, Failure> {
        match (self.argv.as_slice(), self.mode) {
            ([], _) => Ok(0),
            (argv, Mode::Exec) => Err(process::handover(inherited, argv, &self.variables)),
            (argv, Mode::Supervise) => {
                let options = process::SuperviseOptions {
                    rewrites: Vec::new(),
                    target: process::Target::Main,
                    own_session: true,
                    parent_death: None,
                    remap: Vec::new(),
                    grace: self.grace,
                    crash_grace: self.crash_grace,
                    main_grace: Some(self.grace),
                    after_steps: true,
                    variables: self.variables.clone(),
                };
                if !inherited.is_pid_1() {
                    Output::note(NOT_PID_1);
                }
                process::supervise(inherited, &options, argv)
            }
        }
    }
}
