//! The server to start, and its settings.

use std::time::Duration;

use crate::{
    cli,
    config::{self, Mode},
    failure::Failure,
    plan,
    process::{self, Inherited, Privileges},
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
    privileges: Privileges,
}

impl Server {
    pub(super) fn plain(argv: &[String]) -> Self {
        Self {
            argv: argv.to_vec(),
            mode: Mode::Exec,
            grace: Duration::ZERO,
            crash_grace: Duration::ZERO,
            variables: Vec::new(),
            privileges: Privileges::default(),
        }
    }

    /// Portcullis' own commands keep its user and its privileges.
    pub(super) fn of(server: &config::Server, arguments: &cli::Run) -> Result<Self, Failure> {
        let given = &arguments.server;
        let argv = if given.is_empty() { &server.command } else { given };
        let privileges = if arguments.no_server || plan::is_own_command(argv) {
            Privileges::default()
        } else {
            let refused = |why| Failure::PrivilegesUnavailable { what: "the server".into(), why };
            Privileges::resolve(&server.privileges).map_err(refused)?
        };
        Ok(Self {
            argv: argv.clone(),
            mode: server.mode,
            grace: server.grace,
            crash_grace: server.crash_grace.unwrap_or(process::CRASH_GRACE),
            variables: privileges.variables().into_iter().collect(),
            privileges,
        })
    }

    /// Executes or supervises it; without an argv, there is nothing to start.
    pub(super) fn start(&self, inherited: &Inherited) -> Result<u8, Failure> {
        match (self.argv.as_slice(), self.mode) {
            ([], _) => Ok(0),
            (argv, Mode::Exec) => Err(process::handover(inherited, argv, &self.variables, &self.privileges)),
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
                    privileges: self.privileges.clone(),
                };
                if !inherited.is_pid_1() {
                    Output::note(NOT_PID_1);
                }
                process::supervise(inherited, &options, argv)
            }
        }
    }
}
