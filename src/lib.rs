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

mod dispatch;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod run;
mod runtime;
mod watch;

mod notify;
mod quarantine_list;
mod status;

mod engine;
mod steps;

mod actions;
mod commands;

mod credentials;
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
mod ordered;
mod outcome;
mod report;
mod retry;
mod signal_names;
mod threads;
mod words;

use std::{ffi::OsString, io, panic, sync::OnceLock};

use crate::{
    cli::{Cli, Command},
    config::environment::Environment,
    failure::Failure,
    process::Inherited,
    report::{
        Output, command_output::CommandOutput, running::Running, streams::Stream, style, terminal_filter,
    },
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
        _ => dispatch::dispatch(cli, &env, &inherited, out, colour),
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
    let printed =
        if output.is_secret { Output::print_secret(&output.text) } else { out.print_result(&output.text) };
    if let Err(error) = printed
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
