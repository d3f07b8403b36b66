//! The entrypoint: configuration, plan, steps, handover.

use std::path::Path;

use tokio::time::Instant;

use crate::{
    actions::{
        context::RunContext, expectation::make_command, gate_bypass::GateBypasses, run_state::RunState,
    },
    cli,
    config::{self, Action, Config, Mode, environment::Environment, load::Refused},
    engine,
    failure::{self, Failure},
    frameworks,
    notify::{self, NotifyError},
    outcome::event::Event,
    plan::{self, Decision, Plan},
    process::{self, Inherited, Processes, Signals},
    quarantine_list,
    report::{
        Files, Output, Report,
        output::{NOT_PID_1, ORPHANS_LOST},
        startup_status::StartupStatus,
        streams::Stream,
        style::{self, Style},
    },
    runtime,
    status::Endpoint,
};

/// Runs the steps and executes the server. If it returns an exit code, the cause is already reported; a failure is one
/// that occurred before there was a report.
pub(crate) fn run(
    arguments: &cli::Run,
    globals: &Globals<'_>,
    env: &Environment,
    inherited: &Inherited,
    out: &Output,
) -> Result<u8, Failure> {
    let terminal = Stream::Err.is_terminal();
    let loaded = if arguments.no_config {
        None
    } else {
        let colour = style::colour(globals.output_options.color, env, terminal);
        let load = || config::load::load_with_warnings(globals.path, env, globals.overrides, colour);
        Some(process::interruptible(inherited, load))
    };
    let config = match &loaded {
        Some(Ok((config, _))) => Some(config),
        _ => None,
    };
    if let Some(config) = config {
        out.arm(config);
    }
    let style = Style::new(globals.output_options, env, config.map(|config| &config.log), terminal)?;
    let files =
        config.map(|config| Files { state: config.status.file.clone(), metrics: config.metrics.clone() });
    let report = Report::start(style, out, files.unwrap_or_default(), env);
    let result = match loaded {
        None => start_server(inherited, &Server::plain(&arguments.server)),
        Some(Err(refused)) => pass_through_despite_invalid_config(arguments, inherited, &report, refused),
        Some(Ok((config, warnings))) => {
            if !warnings.is_empty() {
                report.emit(&Event::ConfigWarnings { rendered: warnings });
            }
            gate(arguments, config, env, inherited, &report)
        }
    };
    result.or_else(|failure| Ok(report_failure(&report, failure)))
}

/// The global options of the command line.
pub(crate) struct Globals<'a> {
    pub(crate) path: &'a Path,
    pub(crate) overrides: &'a config::Overrides,
    pub(crate) output_options: &'a cli::OutputOptions,
}

/// Starts an argv of `[server] passthrough`, or a command of Portcullis, although the configuration is invalid, so that a shell in the container stays
/// usable.
fn pass_through_despite_invalid_config(
    arguments: &cli::Run,
    inherited: &Inherited,
    report: &Report,
    refused: Refused,
) -> Result<u8, Failure> {
    let Refused { failure, server } = refused;
    let argv = &arguments.server;
    let server = match server {
        Some(server) if plan::passes_through(&server.passthrough, argv) => Server::of(&server, arguments),
        _ if plan::is_own_command(argv) => Server::plain(argv),
        _ => return Err(failure),
    };
    report.emit(&Event::Remark { text: failure::chain(&failure) });
    pass_through(&server, inherited, report)
}

/// Reports a failure outside of the steps, and returns its exit code.
fn report_failure(report: &Report, failure: Failure) -> u8 {
    let code = failure.code();
    let (_, took) = report.status().now();
    report.emit(&Event::Blocked { step: None, took, details: failure.into() });
    report.flush();
    code
}

fn gate(
    arguments: &cli::Run,
    config: Config,
    env: &Environment,
    inherited: &Inherited,
    report: &Report,
) -> Result<u8, Failure> {
    let mut server = Server::of(&config.server, arguments);
    // Only for an argv of the command line: the file's command always passes the gate.
    if plan::passes_through(&config.server.passthrough, &arguments.server) {
        return pass_through(&server, inherited, report);
    }
    // Masked here, because the reason is recorded in the database and compared with earlier records.
    let reason = config::gate_override::reason(env)?.map(|reason| report.output().masked(&reason));
    let plan = plan::plan(&config)?;
    if arguments.no_server {
        server.argv.clear();
    }
    if !plan.steps.is_empty() {
        let (code, variables) = start_up(&plan, reason.as_deref(), config, &server.argv, inherited, report)?;
        if code != 0 {
            return Ok(code);
        }
        server.variables = variables;
    }
    start_server(inherited, &server)
}

/// The server and its settings.
struct Server {
    argv: Vec<String>,
    mode: Mode,
    grace: std::time::Duration,
    crash_grace: std::time::Duration,
    /// Added to its environment.
    variables: Vec<(String, String)>,
}

impl Server {
    fn plain(argv: &[String]) -> Self {
        Self {
            argv: argv.to_vec(),
            mode: Mode::Exec,
            grace: std::time::Duration::ZERO,
            crash_grace: std::time::Duration::ZERO,
            variables: Vec::new(),
        }
    }

    fn of(server: &config::Server, arguments: &cli::Run) -> Self {
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
}

fn pass_through(server: &Server, inherited: &Inherited, report: &Report) -> Result<u8, Failure> {
    let program = server.argv.first().map_or("", String::as_str);
    let text = format!("`{program}` is in `passthrough`: no step runs and nothing is proved");
    report.emit(&Event::Remark { text });
    report.flush();
    start_server(inherited, server)
}

fn start_server(inherited: &Inherited, server: &Server) -> Result<u8, Failure> {
    match (server.argv.as_slice(), server.mode) {
        ([], _) => Ok(0),
        (argv, Mode::Exec) => Err(process::handover(inherited, argv, &server.variables)),
        (argv, Mode::Supervise) => {
            let options = process::SuperviseOptions {
                rewrites: Vec::new(),
                target: process::Target::Main,
                own_session: true,
                parent_death: None,
                remap: Vec::new(),
                grace: server.grace,
                crash_grace: server.crash_grace,
                main_grace: Some(server.grace),
                after_steps: true,
                variables: server.variables.clone(),
            };
            if !inherited.is_pid_1() {
                Output::note(NOT_PID_1);
            }
            process::supervise(inherited, &options, argv)
        }
    }
}

/// Runs the plan. Returns 0 and the server's variables if the server may start, else the exit code after the report of
/// the failure.
fn start_up(
    plan: &Plan,
    reason: Option<&str>,
    config: Config,
    server: &[String],
    inherited: &Inherited,
    report: &Report,
) -> Result<(u8, Vec<(String, String)>), Failure> {
    let endpoint = config.status.listen.and_then(|address| {
        let opened =
            Endpoint::open(address, report.status(), report.output().clone(), config.status.hides_details);
        // A port that is in use must not block the start.
        let warn =
            |error| report.emit(&Event::Remark { text: format!("cannot listen at {address}: {error}") });
        opened.map_err(warn).ok()
    });
    inherited.declare_stop_signal(config.server.stop_signal);
    let budget = shutdown_budget(plan, &config);
    if inherited.loses_orphans() {
        Output::note(ORPHANS_LOST);
    }
    let result = runtime::block_on(inherited, budget, async |processes, mut signals| {
        let started = Instant::now();
        let bypasses = GateBypasses::with_reason(reason.map(str::to_owned));
        let state = RunState { bypasses, ..RunState::new(config, processes.clone()) };
        let context = &state.context;
        let steps = plan.steps.iter().map(|planned| planned.step.name.clone()).collect();
        report.emit(&Event::Started { run: context.run.clone(), role: plan.role.clone(), steps });
        let ready = tokio::select! {
            biased;
            signal = signals.next() => {
                Err(Failure::Interrupted { signal, doing: "before the first step".into() })
            }
            ready = preflight(plan, context, report) => ready,
        };
        let mut result = match ready {
            Ok(()) => tokio::select! {
                result = engine::run(plan, &state, &mut signals, report) => result,
                never = report.report_silence() => never,
            },
            Err(failure) => Err(failure.into()),
        };
        let overridden =
            |status: StartupStatus| status.bypasses.iter().any(|bypass| bypass.how == "override");
        if result.is_ok() && reason.is_some() && !overridden(report.status().now().0) {
            let text = "PORTCULLIS_OVERRIDE is set, and the gate did not need it: remove it".into();
            report.emit(&Event::Remark { text });
        }
        let notify = context.config.notify.as_ref();
        // Warnings are sent before the handover; after a failure, the box comes before the notification.
        if let (true, Some(notify)) = (result.is_ok(), notify) {
            result = notify_about(notify, report, &processes, &mut signals).await;
        }
        let gone = processes.finish(result.is_ok() && !server.is_empty()).await;
        if result.is_ok() {
            result = check_handover(gone, signals.arrived());
            if result.is_err() {
                processes.finish(false).await;
            }
        }
        let mut variables = Vec::new();
        if result.is_ok() {
            result = quarantine_list::variables(&context.config.gate, &state.bypasses.quarantined())
                .await
                .map(|list| variables = list)
                .map_err(engine::Blocked::from);
        }
        let took = started.elapsed();
        let code = match result {
            Ok(()) if server.is_empty() => {
                report.emit(&Event::Finished { took });
                0
            }
            Ok(()) => {
                report.emit(&Event::HandingOver { argv: server.to_vec(), took });
                0
            }
            Err(engine::Blocked { step, details }) => {
                let code = details.failure.code();
                report.emit(&Event::Blocked { step, took, details });
                if let Some(notify) = notify {
                    // The start-up has failed already: a signal changes nothing.
                    let notified = notify_about(notify, report, &processes, &mut signals);
                    if processes.shutdown().has_started() {
                        let _ = processes.shutdown().deadline().limit(notified).await;
                    } else {
                        let _ = notified.await;
                    }
                    processes.finish(false).await;
                }
                code
            }
        };
        Ok((code, variables))
    });
    report.flush();
    if let Some(endpoint) = endpoint {
        endpoint.close();
    }
    result
}

/// The time limit of a shutdown during the steps: the longest of the graces of the server and the steps.
fn shutdown_budget(plan: &Plan, config: &Config) -> std::time::Duration {
    let steps = plan.steps.iter().filter_map(|planned| match (&planned.decision, &planned.step.action) {
        (Decision::Skip { .. }, _) => None,
        (_, Action::Command(command)) => Some(command.grace),
        _ => Some(runtime::SHUTDOWN_BUDGET),
    });
    steps.fold(config.server.grace, std::time::Duration::max)
}

/// Runs the command of `[notify]` if the outcome is notable; fails only if a signal arrives during it.
async fn notify_about(
    command: &config::Notify,
    report: &Report,
    processes: &Processes,
    signals: &mut Signals,
) -> Result<(), engine::Blocked> {
    if !report.status().now().0.is_notable() {
        return Ok(());
    }
    match notify::notify(command, report, processes, signals).await {
        Ok(()) => Ok(()),
        Err(NotifyError::Failed(why)) => {
            report.emit(&Event::Remark { text: format!("[notify] command: {why}") });
            Ok(())
        }
        Err(NotifyError::Signal(signal)) => {
            let failure = Failure::Interrupted { signal, doing: "while the notification was sent".into() };
            Err(failure.into())
        }
    }
}

/// Two events still prevent the handover after the last step: a process that cannot be killed, and a signal that
/// arrived too late for the engine.
fn check_handover(gone: bool, arrived: Option<i32>) -> Result<(), engine::Blocked> {
    let failure = match arrived {
        Some(signal) => Failure::Interrupted { signal, doing: "after the last step".into() },
        None if gone => return Ok(()),
        None => Failure::Internal { what: "a process that a step left behind cannot be killed".into() },
    };
    Err(failure.into())
}

/// Finds a missing or stale manifest before the first step does anything.
async fn preflight(plan: &Plan, context: &RunContext, report: &Report) -> Result<(), Failure> {
    let derived = context.config.migrations.as_ref().is_none_or(|migrations| migrations.auto_manifest);
    let needed = plan.steps.iter().any(|planned| match &planned.decision {
        Decision::Skip { .. } => false,
        Decision::DecidedAtItsTurn { .. } => true,
        Decision::Run => planned.step.action.is_locked() || matches!(planned.step.action, Action::Verify(_)),
    });
    if needed && !derived {
        context.expectation().await?;
    }
    if let Some(migrations) = &context.config.migrations
        && let (true, true, Some(external)) = (needed, derived, frameworks::of(migrations).external())
    {
        let (make, about) = (make_command(migrations), external.about());
        let reads = match about.interpreter {
            "" => format!("reads what {} expects from the files", about.title),
            interpreter => {
                format!("runs {interpreter} an additional time to read what {} expects", about.title)
            }
        };
        let text = format!(
            "`manifest.auto`: this start {reads}, and it proves only this container's code; in production, put \
             `RUN {make}` into the Dockerfile"
        );
        report.emit(&Event::Remark { text });
    }
    Ok(())
}
