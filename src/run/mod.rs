//! The entrypoint: configuration, plan, steps, handover.

mod server;
mod start_up;
mod trace_export;

use std::path::Path;

use self::{server::Server, start_up::start_up, trace_export::Exporter};
use crate::{
    cli,
    config::{self, Config, environment::Environment, load::Refused},
    failure::{self, Failure},
    outcome::event::Event,
    plan,
    process::{self, Inherited},
    report::{
        Files, Output, Report,
        streams::Stream,
        style::{self, Style},
    },
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
        None => Server::plain(&arguments.server).start(inherited),
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
        Some(server) if plan::passes_through(&server.passthrough, argv) => Server::of(&server, arguments)?,
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
    let mut server = Server::of(&config.server, arguments)?;
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
        let exporter = exporter(env, report);
        let (code, variables) =
            start_up(&plan, reason.as_deref(), config, &server.argv, inherited, report, exporter.as_ref())?;
        if code != 0 {
            return Ok(code);
        }
        server.variables.extend(variables);
    }
    server.start(inherited)
}

/// A wrong variable of OpenTelemetry is a warning.
fn exporter(env: &Environment, report: &Report) -> Option<Exporter> {
    let secrets = Exporter::secrets(env);
    if !secrets.is_empty() {
        report.output().mask_too(secrets.into_iter());
    }
    let warn = |why| report.emit(&Event::Remark { text: format!("no trace is sent: {why}") });
    Exporter::new(env).map_err(warn).ok().flatten()
}

fn pass_through(server: &Server, inherited: &Inherited, report: &Report) -> Result<u8, Failure> {
    let program = server.argv.first().map_or("", String::as_str);
    let text = format!("`{program}` is in `passthrough`: no step runs and nothing is proved");
    report.emit(&Event::Remark { text });
    report.flush();
    server.start(inherited)
}
