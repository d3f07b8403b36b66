//! Portcullis: a container entrypoint that proves every tenant is completely migrated before it starts the server.
//!
//! Data flows through `config -> plan -> engine -> steps -> (judgement in tenants, effects in database and process)
//! -> handover`, and `report` receives every event. The modules are in the order in which data passes them.

// `print!` and similar macros panic if the stream is full or closed: use `report`, or return the text.
#![deny(clippy::print_stderr, clippy::print_stdout)]
// A start-up is one future, as deep as its calls.
#![recursion_limit = "256"]
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests write files directly"))]

mod cli;
mod config;
mod plan;

mod run;
mod runtime;

mod notify;
mod quarantine_list;
mod status;

mod engine;
mod steps;

mod actions;
mod commands;

mod database;
mod process;
mod tenants;

mod cause;
mod deadline;
mod failure;
mod files;
mod frameworks;
mod logging;
mod net;
mod outcome;
mod report;
mod retry;
mod signal_names;
mod words;

use std::{ffi::OsString, io, panic, path::PathBuf, sync::OnceLock};

use crate::{
    actions::{
        context::RunContext,
        doctor::{DoctorInput, Loaded},
        run_state::RunState,
    },
    cli::{Cli, Command, Format},
    config::{Config, Overrides, environment::Environment},
    failure::Failure,
    outcome::FailureDetails,
    process::Inherited,
    report::{
        Output,
        cli_progress::CliProgress,
        command_output::{CommandOutput, Render},
        running::Running,
        streams::Stream,
        style, terminal_filter,
    },
    run::Globals,
};

/// The output for a panic's message, once the secrets are known.
static OUTPUT: OnceLock<Output> = OnceLock::new();

/// Makes a panic print its message and its place, and then call `end`.
pub fn catch_panics(end: fn()) {
    panic::set_hook(Box::new(move |panic| {
        let line = format!("portcullis: internal error: {panic}");
        match OUTPUT.get() {
            Some(out) => out.print_panic(&line),
            None => Output::print_without_mask(&line),
        }
        end();
    }));
}

/// Runs the command and returns the exit code. It does not return if it executes a server.
#[must_use]
pub fn main(arguments: &[OsString]) -> u8 {
    if let Some(code) = process::stub_main(arguments) {
        return code;
    }
    let inherited = process::take_over();
    let cli = Cli::of(arguments);
    // `init` runs before the preparations of the other commands, which would delay its program.
    let init = match &cli {
        Ok(Cli { command: Command::Init(arguments), .. }) => {
            Some(commands::init::init(&inherited, arguments))
        }
        _ => None,
    };
    if let Some(Ok(code)) = init {
        return code;
    }
    let env = Environment::of_process();
    let out = OUTPUT.get_or_init(|| Output::new(&env));
    let cli = match cli {
        Ok(cli) => cli,
        Err(error) => return print_usage(out, &error, &env),
    };
    let colour = style::colour(cli.global.output_options.color, &env, Stream::Err.is_terminal());
    report::advice::invocation::started_with(&env, arguments.first(), cli.global.config.as_deref());
    let running = Running::from(&cli.command);
    let output = match (init, report::trace::start(&env, out)) {
        (Some(Err(failure)), _) | (_, Err(failure)) => CommandOutput::bad(failure.into()),
        _ => dispatch(cli, &env, &inherited, out, colour),
    };
    print_output(out, running, &output, &inherited, colour)
}

/// Prints help and versions to standard output, and errors to standard error.
fn print_usage(out: &Output, error: &clap::Error, env: &Environment) -> u8 {
    let stream = if error.use_stderr() { Stream::Err } else { Stream::Out };
    let text = error.render();
    let colour = style::colour(cli::Colour::Auto, env, stream.is_terminal());
    let text = if colour { terminal_filter::rendered(&text.ansi().to_string()) } else { text.to_string() };
    if error.use_stderr() {
        out.print_error(&text);
        return Failure::Usage { message: String::new() }.code();
    }
    // A closed standard output cannot be reported.
    let _ = out.print_result(&text);
    0
}

#[expect(clippy::too_many_lines, reason = "one arm a subcommand")]
fn dispatch(cli: Cli, env: &Environment, inherited: &Inherited, out: &Output, colour: bool) -> CommandOutput {
    let path = cli
        .global
        .config
        .or_else(|| env.get("PORTCULLIS_CONFIG").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("config.toml"));
    // Standard output may be a terminal while standard error is not, and vice versa.
    let output_colour = style::colour(cli.global.output_options.color, env, Stream::Out.is_terminal());
    let given = overrides(&cli.command, cli.global.role.as_deref());
    let configured = || -> Result<Config, Failure> {
        let config = process::interruptible(inherited, || config::load::load(&path, env, &given))?;
        out.arm(&config);
        Ok(config)
    };
    match &cli.command {
        Command::Run(run) => {
            let globals =
                Globals { path: &path, overrides: &given, output_options: &cli.global.output_options };
            run::run(run, &globals, env, inherited, out)
                .map_or_else(|failure| CommandOutput::bad(failure.into()), CommandOutput::code)
        }
        // `main` has run it already.
        Command::Init(_) => CommandOutput::code(0),
        Command::Health { live } => {
            let health = process::interruptible(inherited, || commands::health::run(&path, env, *live));
            CommandOutput::of(health, Format::Text, false)
        }
        Command::InitConfig => {
            let written = process::interruptible(inherited, || commands::init_config::run(&path));
            CommandOutput::of(written, Format::Text, false)
        }
        Command::Schema => CommandOutput::good(config::schema::schema()),
        Command::Completions { shell } => {
            CommandOutput::of(commands::completions::script(*shell), Format::Text, false)
        }
        Command::Man { subcommand, all } => {
            let page = all.as_deref().map_or_else(
                || commands::manual::page(subcommand),
                |folder| commands::manual::write_pages(folder).map(|()| String::new()),
            );
            CommandOutput::of(page, Format::Text, false)
        }
        Command::Check => {
            let checked = process::interruptible(inherited, || commands::check::run(&path, &given, env));
            CommandOutput::of(checked, Format::Text, output_colour)
        }
        Command::Plan { output } => {
            let plan = process::interruptible(inherited, || commands::plan::run(&path, &given, env));
            CommandOutput::of(plan, output.format(), output_colour)
        }
        Command::Verify(arguments) => {
            let cli_progress = CliProgress::new("verify", out, colour);
            let verified = configured().and_then(|config| {
                runtime::until_signalled(inherited, async |processes| {
                    let on_event = |event| cli_progress.on_event(event);
                    let state = RunState::new(config, processes);
                    cli_progress.watch(commands::verify::run(&state, arguments, &on_event)).await
                })
            });
            CommandOutput::of(verified, arguments.format, false)
        }
        Command::Doctor { format } => {
            let loaded = process::interruptible(inherited, || Loaded::read(&path, env, &given));
            let checks = runtime::until_signalled(inherited, async |processes| {
                let input = DoctorInput {
                    path: &path,
                    processes: &processes,
                    termination: report::termination::path(env),
                };
                Ok(commands::doctor::run(&input, &loaded).await)
            });
            CommandOutput::of(checks, *format, output_colour)
        }
        Command::Repair(arguments) => {
            let cli_progress = CliProgress::new("repair", out, colour);
            let on_event = |event| cli_progress.on_event(event);
            let work = async |state: &RunState| {
                // A repair is large.
                cli_progress.watch(Box::pin(commands::repair::run(state, arguments, &on_event))).await
            };
            let repairs = configured().and_then(|config| changing(inherited, config, out, &work));
            CommandOutput::of(repairs, arguments.output.format(), false)
        }
        Command::Migrate(arguments) => {
            let cli_progress = CliProgress::new("migrate", out, colour);
            let on_event = |event| cli_progress.on_event(event);
            let work = async |state: &RunState| {
                cli_progress.watch(commands::migrate::run(state, arguments, &on_event)).await
            };
            let migrated = configured().and_then(|config| changing(inherited, config, out, &work));
            CommandOutput::of(migrated, arguments.output.format(), false)
        }
        Command::Tenant { command } => {
            let cli_progress = CliProgress::new("bootstrap", out, colour);
            let on_event = |event| cli_progress.on_event(event);
            let work = async |state: &RunState| {
                let outcome =
                    Box::pin(cli_progress.watch(commands::tenant::run(state, command, &on_event))).await;
                if let Ok(outcome) = &outcome {
                    notify::not_created(&state.context, outcome, out).await;
                }
                outcome
            };
            configured()
                .and_then(|config| changing(inherited, config, out, &work))
                .unwrap_or_else(|failure| commands::tenant::failed(command, failure))
                .render(command.format(), output_colour)
        }
        Command::History(arguments) => {
            let runs = configured().and_then(|config| {
                runtime::until_signalled(inherited, async |processes| {
                    commands::history::run(&RunContext::new(config, processes), arguments).await
                })
            });
            CommandOutput::of(runs, arguments.output.format(), false)
        }
        Command::Manifest { framework } => {
            let cli_progress = CliProgress::new("manifest", out, colour);
            let on_event = |event| cli_progress.on_event(event);
            let result = configured().and_then(|config| {
                runtime::until_signalled(inherited, async |processes| {
                    let context = RunContext::new(config, processes);
                    let write = commands::manifest::write(&context, framework, &on_event);
                    Ok(cli_progress.watch(write).await)
                })
            });
            CommandOutput::of(
                result.map_err(FailureDetails::from).and_then(|result| result),
                Format::Text,
                false,
            )
        }
    }
}

/// Runs a command that may change the database: it ends if the lock is lost, and a signal rolls back the work in progress.
fn changing<T>(
    inherited: &Inherited,
    config: Config,
    out: &Output,
    work: &impl AsyncFn(&RunState) -> Result<T, Failure>,
) -> Result<T, Failure> {
    runtime::until_signalled_then(
        inherited,
        |processes| RunState::new(config, processes),
        async |state| {
            let result = Box::pin(state.lock.fenced(work(state))).await;
            if let Some(text) = state.history.record_error() {
                out.print_line(&format!("warning: {text}"));
            }
            result
        },
        async |state, failure| {
            if let Some(text) = state.shut_down(failure).await {
                out.print_line(&text);
            }
        },
    )
}

/// The settings of the command line, which override the file.
fn overrides(command: &Command, role: Option<&str>) -> Overrides {
    let role = role.filter(|role| !role.is_empty()).map(str::to_owned);
    match command {
        Command::Migrate(arguments) => {
            Overrides { role, jobs: arguments.jobs.map(usize::from), cooperate: arguments.cooperate }
        }
        _ => Overrides { role, ..Overrides::default() },
    }
}

/// Prints a command's output and waits for a slow reader. A closed pipe is not a failure.
fn print_output(
    out: &Output,
    running: Running,
    output: &CommandOutput,
    inherited: &Inherited,
    colour: bool,
) -> u8 {
    out.flush();
    let error_text = output.error_text(running, colour);
    if output.text.is_empty() && error_text.is_none() {
        return output.code;
    }
    process::end_at_once(inherited);
    let mut code = output.code;
    if let Err(error) = out.print_result(&output.text)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        out.print_error(&format!("portcullis: cannot write to standard output: {error}\n"));
        let (what, why) = ("everything was printed".into(), error.to_string().into());
        code = code.max(Failure::Unproven { what, why }.code());
    }
    if let Some(error_text) = error_text {
        out.print_error(&error_text);
    }
    code
}
