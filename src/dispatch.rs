//! Runs the subcommand of the command line: one arm per subcommand.

use std::path::PathBuf;

use crate::{
    actions::{
        context::RunContext,
        doctor::{DoctorInput, Loaded},
        run_state::RunState,
    },
    cli::{self, Cli, Command, Format},
    commands,
    config::{self, Config, Overrides, environment::Environment},
    failure::Failure,
    notify,
    outcome::FailureDetails,
    process::{self, Inherited},
    report::{
        self, Output,
        cli_progress::CliProgress,
        command_output::{CommandOutput, Render},
        streams::Stream,
        style,
    },
    run::{self, Globals},
    runtime, watch,
};

/// Runs every subcommand except for `init`, which has run already.
#[expect(clippy::too_many_lines, reason = "one arm a subcommand")]
pub(crate) fn dispatch(
    cli: Cli,
    env: &Environment,
    inherited: &Inherited,
    out: &Output,
    colour: bool,
) -> CommandOutput {
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
        Command::Init(_) => CommandOutput::code(0),
        Command::Exec(arguments) => CommandOutput::bad(commands::exec::exec(inherited, arguments).into()),
        Command::Health { live } => {
            let health = process::interruptible(inherited, || commands::health::run(&path, env, *live));
            CommandOutput::of(health, Format::Text, false)
        }
        Command::InitConfig { database } => {
            let env = commands::detect::environment(env, database.as_deref());
            let draft = process::interruptible(inherited, || commands::init_config::read(&path, &env));
            let written = draft.and_then(|mut draft| {
                if let Some(config) = &draft.database {
                    out.arm(config);
                    runtime::until_signalled(inherited, async |_| {
                        draft.add_database(database.is_some()).await
                    })?;
                }
                draft.write()
            });
            CommandOutput::of(written, Format::Text, false)
        }
        Command::Detect { database, output } => {
            let env = commands::detect::environment(env, database.as_deref());
            let config = || commands::detect::config(&path, &env, &given, database.is_some());
            let detected = process::interruptible(inherited, config).and_then(|config| {
                out.arm(&config);
                runtime::until_signalled(inherited, async |_| commands::detect::run(&config).await)
            });
            CommandOutput::of(detected, output.format(), false)
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
        Command::Verify(arguments @ cli::Verify { every: Some(every), .. }) => {
            let ended =
                configured().and_then(|config| watch::watch(config, arguments, *every, inherited, out));
            ended.map_or_else(|failure| CommandOutput::bad(failure.into()), |()| CommandOutput::code(0))
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
        Command::Compat(arguments) => {
            let compared = process::interruptible(inherited, || commands::compat::run(arguments));
            CommandOutput::of(compared, arguments.format, false)
        }
        Command::Migrate(arguments) => {
            let cli_progress = CliProgress::new("migrate", out, colour);
            let on_event = |event| cli_progress.on_event(event);
            let work = async |state: &RunState| {
                // A plan is large.
                cli_progress.watch(Box::pin(commands::migrate::run(state, arguments, &on_event))).await
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
        Command::Token { reader, direct, output } => {
            let token = if Stream::Out.is_terminal() {
                let message =
                    "standard output is a terminal, which would show the password: redirect it".into();
                Err(Failure::Usage { message })
            } else {
                configured().and_then(|config| {
                    let token = async |_| commands::token::run(&config, *reader, *direct).await;
                    runtime::until_signalled(inherited, token)
                })
            };
            CommandOutput::of(token, output.format(), false)
        }
        Command::Manifest { framework } => {
            let cli_progress = CliProgress::new("manifest", out, colour);
            let on_event = |event| cli_progress.on_event(event);
            let config = configured().and_then(|config| commands::manifest::config(config, framework, env));
            let result = config.and_then(|config| {
                out.arm(&config);
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
            state.context.provide_password_file().await;
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
