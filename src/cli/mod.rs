//! The command line: arguments and help. It reads no file and no environment.

mod format;
mod init;
mod manifest;
mod own_command;
mod schemas;
mod tenant;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};

pub(crate) use self::{
    format::{Format, TextOrJson},
    init::Init,
    manifest::ManifestOf,
    schemas::{Migrate, Repair, Verify},
    tenant::{State, Tenant, TenantBootstrap, TenantCreate, TenantDelete, TenantList, TenantShow},
};
use crate::logging::{LogFormat, LogLevel};

/// With the revision in a release (scripts/release).
pub(crate) const VERSION: &str = match option_env!("PORTCULLIS_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Runs the start-up steps, proves that every tenant is completely migrated, and then starts the
/// server.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version = VERSION,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "In a Dockerfile:
  ENTRYPOINT [\"/portcullis\", \"run\", \"--\"]
  CMD [\"gunicorn\", \"app.wsgi\"]

First steps:
  portcullis init-config     writes a first config.toml for this folder
  portcullis check           validates config.toml
  portcullis plan            shows the steps of a start
  portcullis verify          proves that every migration is applied; reads only
  portcullis run -- SERVER   runs the steps, then starts the server

Variables, besides those that the file names:
  PORTCULLIS_CONFIG           the configuration file
  PORTCULLIS_OVERRIDE         opens the gate once: \"gate:REASON\"
  PORTCULLIS_RUN_WITH         the words before a command in the box,
                              such as `docker compose run --rm web`
  PORTCULLIS_LOG_FORMAT       the log format
  PORTCULLIS_TERMINATION_LOG  the file for the termination message
  PORTCULLIS_LOG              a level for the developers' log
  NO_COLOR, FORCE_COLOR       without and with colour

Exit codes: 0 done, 1 incomplete, 64 usage, 69 not ready in time, 70 internal, 73 provisioning, 74 not proven, \
75 lock, 77 refused, 78 configuration, 79 a command failed, 124 timed out, 126 and 127 the server cannot be started, \
128+n ended by signal n."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses the command line; the error holds the help, the version or a usage message.
    pub(crate) fn of(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let cli = Self::without_options(arguments)
            .map_or_else(|| Self::try_parse_from(arguments).map_err(with_tip), Ok)?;
        cli.or_own_command(arguments.first())
    }

    /// Parses the most frequent forms, `run -- SERVER`, `run --no-config -- SERVER` and `init -- ARGV`, without clap: its
    /// parser takes as long as everything else before the program starts.
    fn without_options(arguments: &[OsString]) -> Option<Self> {
        let dashes = arguments.iter().position(|word| word == "--")?;
        let subcommand: Vec<&str> =
            arguments.get(1..dashes)?.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
        let argv: Vec<String> = arguments[dashes + 1..]
            .iter()
            .map(|word| word.to_str().map(str::to_owned))
            .collect::<Option<_>>()?;
        let command = match subcommand[..] {
            ["run"] => Command::Run(Run { no_server: false, no_config: false, server: argv }),
            ["run", "--no-config"] if !argv.is_empty() => {
                Command::Run(Run { no_server: false, no_config: true, server: argv })
            }
            ["init"] if !argv.is_empty() => Command::Init(Init::of(argv)),
            _ => return None,
        };
        Some(Self { global: Global::default(), command })
    }
}

/// A program in the place of a subcommand is the command line of another init.
fn with_tip(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::InvalidSubcommand && error.get(ContextKind::SuggestedSubcommand).is_none() {
        let tips = ["init -- PROGRAM` runs a program as an init", "run -- PROGRAM` runs the steps before it"];
        let tips = tips.map(|tip| format!("`portcullis {tip}").into()).to_vec();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// The options of every subcommand.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The configuration file [default: PORTCULLIS_CONFIG, else config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The role of this container; overrides `role` in the file
    #[arg(long, global = true)]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) output_options: OutputOptions,
}

/// The options of the output.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct OutputOptions {
    /// The log format of `run` [default: PORTCULLIS_LOG_FORMAT, else the file's `[log] format`, else auto]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// The lowest level that `run` logs [default: the file's `[log] level`, else info]
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,
    /// When to use colour; overrides NO_COLOR, FORCE_COLOR and the detection of a terminal
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) color: Colour,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The entrypoint: run the steps, then exec the server
    #[command(after_help = "Examples:
  portcullis run                          runs the steps, then [server] command
  portcullis run -- gunicorn app.wsgi     runs the steps, then this server
  portcullis run --no-server              in an init container or a Job
  portcullis run --no-config -- sleep 60  runs no step")]
    Run(Run),
    /// A plain init: forward signals, reap orphans, and exit with the child's code
    #[command(after_help = "Examples:
  portcullis init -- gunicorn app.wsgi
  portcullis init -r TERM:QUIT -- nginx        QUIT lets nginx finish requests
  portcullis init -e 143 -- java -jar app.jar  an end by TERM is a success")]
    Init(Init),
    /// Become a program with the environment of the container's server, for `docker exec`
    #[command(after_help = "Examples:
  docker exec -it web /portcullis exec -- python manage.py shell
  kubectl exec deploy/web -- /portcullis exec -- env
  portcullis exec --pid 42 -- env                  the process 42 is the server")]
    Exec(Exec),
    /// Write a first config.toml from the files of this folder; overwrites nothing
    #[command(
        after_help = "It reads manage.py and settings, folders of SQL migrations, compose files, .env files, a Dockerfile, a Procfile and \
package.json. It runs nothing. If DATABASE_URL (or DB_HOST, POSTGRES_HOST, PGHOST) or --database gives a database, it \
reads from there which tool's ledger it has and which table lists the tenants.

Examples:
  portcullis init-config
  DATABASE_URL=postgres://app@db/app portcullis init-config
  portcullis init-config --config deploy/config.toml"
    )]
    InitConfig {
        /// Also read the ledgers of this database; a password is safer in DATABASE_URL
        #[arg(long, value_name = "URL")]
        database: Option<String>,
    },
    /// Show which migration ledgers a database has, which files fit, and the configuration for them; reads only
    #[command(
        after_help = "It reads the database of --database, else of config.toml, else of DATABASE_URL (or DB_HOST, POSTGRES_HOST, \
PGHOST), and the migration files of this folder.

Exit codes: 0 a ledger was found, 1 none was found, 74 a ledger cannot be read.

Examples:
  portcullis detect
  DATABASE_URL=postgres://app@db/app portcullis detect"
    )]
    Detect {
        /// The database; a password is safer in DATABASE_URL
        #[arg(long, value_name = "URL")]
        database: Option<String>,
        #[command(flatten)]
        output: TextOrJson,
    },
    /// Show the steps in order, and why some are skipped; changes nothing
    #[command(after_help = "Examples:
  portcullis plan
  portcullis plan --role worker            the plan of a worker
  portcullis plan --format json")]
    Plan {
        #[command(flatten)]
        output: TextOrJson,
    },
    /// Read the configuration offline and report every error at once
    #[command(after_help = "Exit codes: 0 valid, 78 invalid.

Examples:
  portcullis check
  portcullis check --config docker/config.toml")]
    Check,
    /// Run the gate: prove that everything is completely migrated; reads only
    #[command(after_help = "Exit codes: 0 complete, 1 incomplete, 74 not proven.

Examples:
  portcullis verify
  portcullis verify demo acme
  portcullis verify --app finance                    only this Django app
  portcullis verify --every 5m                       as a sidecar
  portcullis verify --format junit > verify.xml")]
    Verify(Verify),
    /// Apply pending migrations
    #[command(after_help = "Examples:
  portcullis migrate                 the shared schema, then every tenant
  portcullis migrate --shared
  portcullis migrate acme
  portcullis migrate --dry-run       lists what is pending, changes nothing
  portcullis migrate --plan          prints the SQL, its locks and a hash
  portcullis migrate --approve plan.json
  portcullis migrate --waves 1       only the first wave of apply.waves")]
    Migrate(Migrate),
    /// Make one tenant complete in five steps: exists, state, apply, verify, read its tables
    #[command(
        after_help = "Exit codes: 0 complete, 1 incomplete or a migration failed, 74 not proven, 75 lock.

Examples:
  portcullis repair acme                   applies what is pending, verifies
  portcullis repair acme --dry-run         changes nothing
  portcullis repair acme --record          ledger rows are lost, tables exist
  portcullis repair acme --print-sql       the SQL that creates lost tables
  portcullis repair acme --restore         runs that SQL in one transaction
  portcullis repair acme --replay finance  Django: the app's tables are lost
  portcullis repair --all-affected --replay finance"
    )]
    Repair(Repair),
    /// Create, list, show and delete tenants
    #[command(after_help = "Examples:
  portcullis tenant list --state incomplete
  portcullis tenant create acme
  portcullis help tenant create            all its options")]
    Tenant {
        #[command(subcommand)]
        command: Tenant,
    },
    /// Check configuration, process, database, tenants and code; changes nothing
    #[command(after_help = "Exit codes: 0 no check failed, 1 a check failed.

Examples:
  portcullis doctor
  portcullis doctor --format json
  portcullis doctor --format junit > doctor.xml")]
    Doctor {
        /// The format of the output
        #[arg(long, value_parser = format::only(&[Format::Text, Format::Json, Format::Junit]), default_value = "text",
            value_name = "FORMAT")]
        format: Format,
    },
    /// Write the manifest, which lists what the code expects; run it when the image is built
    #[command(after_help = "Examples:
  portcullis manifest sql
  portcullis manifest django --check   in CI: compares with the committed file")]
    Manifest {
        #[command(subcommand)]
        framework: ManifestOf,
    },
    /// Compare two releases offline: does the code of one work on the schema of the other?
    #[command(after_help = "OLD is the manifest of the release that serves, NEW that of the next release.

Exit codes: 0 the old code works on the new schema, 1 it does not, 78 not comparable.

Examples:
  portcullis compat old.json portcullis.manifest.json
  portcullis compat old.json new.json --format github")]
    Compat(Compat),
    /// Report the status of the start-up, for probes in an image without a shell
    #[command(
        after_help = "It reads the file of `[status] file`, else it requests the endpoint of `[status] listen`.

Exit codes: 0 yes, 1 no.

Examples:
  portcullis health         0 once the start-up has finished: readiness
  portcullis health --live  0 also while the start-up is running: liveness"
    )]
    Health {
        /// Succeed also while the start-up is running
        #[arg(long)]
        live: bool,
    },
    /// Print the current password of the database, for programs that log in themselves
    #[command(
        after_help = "With a token of a cloud (`password = { aws_rds = {} }`), it prints a token that is valid now. It refuses to print to a \
terminal.

Examples:
  PGPASSWORD=$(portcullis token) psql -h db -U app app
  portcullis token --format json    also tells when it expires"
    )]
    Token {
        /// Of `[database] reader`
        #[arg(long, conflicts_with = "direct")]
        reader: bool,
        /// Of `[database] direct`
        #[arg(long)]
        direct: bool,
        #[command(flatten)]
        output: TextOrJson,
    },
    /// Show the changes of earlier runs, the newest first
    #[command(after_help = "Examples:
  portcullis history
  portcullis history --limit 100 --format json")]
    History(History),
    /// Print the JSON Schema of config.toml, for editors
    #[command(after_help = "Example:
  portcullis schema > portcullis.schema.json
and in the first line of config.toml:
  #:schema ./portcullis.schema.json")]
    Schema,
    /// Print the completion script of a shell
    #[command(after_help = "Examples:
  portcullis completions bash > /etc/bash_completion.d/portcullis
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish")]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page of the program or of a subcommand
    #[command(after_help = "Examples:
  portcullis man | man -l -
  portcullis man tenant create | man -l -")]
    Man {
        subcommand: Vec<String>,
        /// Write the pages of every subcommand to this folder
        #[arg(long, value_name = "FOLDER", conflicts_with = "subcommand", hide = true)]
        all: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Exit with 0 after the steps
    #[arg(long)]
    pub(crate) no_server: bool,
    /// Read no configuration file and run no step
    #[arg(long, requires = "server")]
    pub(crate) no_config: bool,
    /// The server to start; overrides `[server] command`
    #[arg(last = true, value_name = "SERVER")]
    pub(crate) server: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// The server's process [default: PID 1, or the program of PID 1 if that is an init]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: Option<i32>,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "ARGV")]
    pub(crate) argv: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Compat {
    /// The manifest of the release that serves
    pub(crate) old: PathBuf,
    /// The manifest of the next release
    pub(crate) new: PathBuf,
    /// Exit with 1 also if the new code does not work on the old schema
    #[arg(long)]
    pub(crate) both_ways: bool,
    /// Exit with 0 unless something certainly breaks
    #[arg(long)]
    pub(crate) allow_unproven: bool,
    /// The format of the output
    #[arg(long, value_parser = format::only(&[Format::Text, Format::Json, Format::Github]), default_value = "text",
        value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// The number of runs to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: TextOrJson,
}
