//! The entrypoint: configuration, plan, steps, handover.

use std::{io::IsTerminal, path::Path, rc::Rc};

use tokio::time::Instant;

use crate::{
    actions::Work,
    cli,
    config::{self, Action, Config, Mode, environment::Environment},
    engine,
    failure::Failure,
    plan::{self, Decision, Plan},
    process::{self, Inherited},
    report::{self, Report, event::Event},
    runtime,
};

/// Runs the steps and starts the server; returns only with an exit code or a failure that is still to be
/// worded.
pub(crate) fn run(
    arguments: &cli::Run,
    path: &Path,
    role: Option<&str>,
    env: &Environment,
    inherited: &Inherited,
) -> Result<u8, Failure> {
    if arguments.no_config {
        return serve(inherited, &Server::plain(&arguments.server));
    }
    let colour = report::colour(env, std::io::stderr().is_terminal());
    let (config, warnings) = config::load::load_with_warnings(path, env, colour)?;
    eprint!("{warnings}");
    let mut server = Server::of(&config, arguments);
    // Only an argv that somebody typed: the file's own command is never let past the gate.
    if plan::passes_through(&config, &arguments.server) {
        return serve(inherited, &server);
    }
    if arguments.no_server {
        server.argv.clear();
    }
    let plan = plan::plan(&config, env, role)?;
    if !plan.steps.is_empty() {
        let role = role.map(str::to_owned).or_else(|| config.role.clone());
        let code = start_up(&plan, role, config, env, &server.argv, inherited)?;
        if code != 0 {
            return Ok(code);
        }
    }
    serve(inherited, &server)
}

/// The server, and how it is started.
struct Server {
    argv: Vec<String>,
    mode: Mode,
    grace: std::time::Duration,
}

impl Server {
    fn plain(argv: &[String]) -> Self {
        Self { argv: argv.to_vec(), mode: Mode::Exec, grace: std::time::Duration::ZERO }
    }

    fn of(config: &Config, arguments: &cli::Run) -> Self {
        let given = &arguments.server;
        let argv = if given.is_empty() { &config.server.command } else { given };
        Self { argv: argv.clone(), mode: config.server.mode, grace: config.server.grace }
    }
}

fn serve(inherited: &Inherited, server: &Server) -> Result<u8, Failure> {
    match (server.argv.as_slice(), server.mode) {
        ([], _) => Ok(0),
        (argv, Mode::Exec) => Err(process::handover(inherited, argv)),
        (argv, Mode::Supervise) => {
            let options = process::SuperviseOptions {
                rewrites: Vec::new(),
                target: process::Target::Main,
                own_session: true,
                parent_death: None,
                remap: Vec::new(),
                grace: server.grace,
                main_grace: Some(server.grace),
            };
            process::supervise(inherited, &options, argv)
        }
    }
}

/// Works through the plan; 0 if the server may start, else the exit code, with the box printed.
fn start_up(
    plan: &Plan,
    role: Option<String>,
    config: Config,
    env: &Environment,
    server: &[String],
    inherited: &Inherited,
) -> Result<u8, Failure> {
    let grace = config.server.grace;
    runtime::block_on(inherited, async |processes, mut signals| {
        let begun = Instant::now();
        let report = Report::start(env);
        let work = Rc::new(Work::new(config));
        work.start_with(processes.clone());
        let steps = plan.steps.iter().map(|step| step.name.clone()).collect();
        report.tell(&Event::Started { run: work.run.clone(), role, steps });
        let mut result = match preflight(plan, &work).await {
            Ok(()) => engine::run(plan, &work, &processes, &mut signals, &report).await,
            Err(failure) => Err(engine::Blocked { step: None, trouble: failure.into() }),
        };
        let gone = processes.finish(grace, result.is_ok() && !server.is_empty()).await;
        if result.is_ok() {
            result = may_serve(gone, signals.arrived());
            if result.is_err() {
                processes.finish(grace, false).await;
            }
        }
        let took = begun.elapsed();
        let code = match result {
            Ok(()) if server.is_empty() => {
                report.tell(&Event::Finished { took });
                0
            }
            Ok(()) => {
                report.tell(&Event::HandingOver { argv: server.to_vec(), took });
                0
            }
            Err(blocked) => {
                report.blocked(blocked.step, &blocked.trouble);
                blocked.trouble.failure.code()
            }
        };
        report.flush();
        Ok(code)
    })
}

/// What can still come between the last step and the server: somebody who cannot be killed, and a signal that
/// was read too late for the engine, so that nobody else will hear of it.
fn may_serve(gone: bool, arrived: Option<i32>) -> Result<(), engine::Blocked> {
    let failure = match arrived {
        Some(signal) => Failure::Interrupted { signal, doing: "after the last step".into() },
        None if gone => return Ok(()),
        None => Failure::Internal { what: "a process that a step left behind cannot be killed".into() },
    };
    Err(engine::Blocked { step: None, trouble: failure.into() })
}

/// Finds a missing or stale manifest before the first step does anything.
async fn preflight(plan: &Plan, work: &Work) -> Result<(), Failure> {
    let derived = work.config.migrations.as_ref().is_none_or(|migrations| migrations.auto_manifest);
    let needed = plan.steps.iter().zip(&work.config.steps).any(|(planned, step)| match &planned.decision {
        Decision::Skip { .. } => false,
        Decision::DecidedAtItsTurn { .. } => true,
        Decision::Run => {
            matches!(step.action, Action::Migrate(_) | Action::Bootstrap { .. } | Action::Verify(_))
        }
    });
    if needed && !derived {
        work.expectation().await?;
    }
    Ok(())
}
