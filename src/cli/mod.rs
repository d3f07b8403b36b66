//! The command line: arguments and help. It reads no file and no environment.

mod format;
mod init;
mod own_command;
mod tenant;

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::{
    format::{Format, TextOrJson},
    init::Init,
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
  portcullis init-config      writes a first config.toml from the files of this folder
  portcullis check            validates config.toml
  portcullis plan             shows the steps of a start
  portcullis verify           proves that every migration is applied; reads only
  portcullis run -- SERVER    runs the steps, then starts the server

Variables: PORTCULLIS_CONFIG (the configuration file), PORTCULLIS_LOG_FORMAT, NO_COLOR, FORCE_COLOR,
PORTCULLIS_TERMINATION_LOG (the file for the termination message), PORTCULLIS_OVERRIDE (opens the
gate once: \"gate:REASON\"), PORTCULLIS_LOG (a level for the developers' log), and those that the
file names.

Exit codes: 0 done, 1 incomplete, 64 usage, 69 not ready in time, 70 internal, 73 provisioning,
74 not proven, 75 lock, 77 refused, 78 configuration, 79 a command failed, 124 timed out,
126 and 127 the server cannot be started, 128+n ended by signal n."
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
        let cli = Self::without_options(arguments).map_or_else(|| Self::try_parse_from(arguments), Ok)?;
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
  portcullis run                            runs the steps, then [server] command
  portcullis run -- gunicorn app.wsgi       runs the steps, then this server
  portcullis run --no-server                runs the steps only: an init container or a Job
  portcullis run --no-config -- sleep 60    runs no step")]
    Run(Run),
    /// A plain init: forward signals, reap orphans, and exit with the child's code
    #[command(after_help = "Examples:
  portcullis init -- gunicorn app.wsgi
  portcullis init -r TERM:QUIT -- nginx        QUIT lets nginx finish its requests
  portcullis init -e 143 -- java -jar app.jar  an end by TERM is a success")]
    Init(Init),
    /// Write a first config.toml from the files of this folder; overwrites nothing
    #[command(
        after_help = "It reads manage.py and settings, folders of SQL migrations, compose files, .env files, a Procfile and
package.json. It runs nothing and connects to nothing.

Examples:
  portcullis init-config
  portcullis init-config --config deploy/config.toml"
    )]
    InitConfig,
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
  portcullis verify --format junit > verify.xml")]
    Verify(Verify),
    /// Apply pending migrations
    #[command(after_help = "Examples:
  portcullis migrate                 the shared schema, then every tenant
  portcullis migrate --shared
  portcullis migrate acme
  portcullis migrate --dry-run       lists what is pending, changes nothing")]
    Migrate(Migrate),
    /// Make one tenant complete in five steps: exists, state, apply, verify, read its tables
    #[command(
        after_help = "Exit codes: 0 complete, 1 incomplete or a migration failed, 74 not proven, 75 lock.

Examples:
  portcullis repair acme                                 applies what is pending, then verifies
  portcullis repair acme --dry-run                       lists what would be applied, changes nothing
  portcullis repair acme --record                        ledger rows are lost, and the tables exist
  portcullis repair acme --print-sql                     the SQL that creates lost tables, columns, indexes
  portcullis repair acme --restore                       runs that SQL in one transaction
  portcullis repair acme --replay finance                the ledger is complete, and the app's tables are lost
  portcullis repair --all-affected --replay finance      an app that moved from SHARED_APPS to TENANT_APPS"
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
  portcullis manifest django --check       in CI: compares with the committed file")]
    Manifest {
        #[command(subcommand)]
        framework: ManifestOf,
    },
    /// Report the status of the start-up, for probes in an image without a shell
    #[command(
        after_help = "It reads the file of `[status] file`, else it requests the endpoint of `[status] listen`.
Exit codes: 0 yes, 1 no.

Examples:
  portcullis health           0 once the start-up has finished (readiness, Docker's HEALTHCHECK)
  portcullis health --live    0 also while the start-up is running (liveness)"
    )]
    Health {
        /// Succeed also while the start-up is running
        #[arg(long)]
        live: bool,
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

/// The tenants of a command; none means all.
#[derive(Debug, Args)]
pub(crate) struct Tenants {
    /// Only these tenants
    #[arg(value_name = "TENANT")]
    tenants: Vec<String>,
    /// The deprecated form of the argument.
    #[arg(long = "tenant", value_name = "NAME", hide = true)]
    former: Vec<String>,
}

impl Tenants {
    pub(crate) fn names(&self) -> Vec<String> {
        [self.tenants.as_slice(), &self.former].concat()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) only: Tenants,
    /// Check only the migrations and models of this app (Django)
    #[arg(long)]
    pub(crate) app: Option<String>,
    /// Compare types, constraints, indexes and other objects too, and fail if they differ
    #[arg(long)]
    pub(crate) structure: bool,
    /// Compare with this manifest, for example the one of the next release
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Print nothing if everything is complete
    #[arg(long)]
    pub(crate) quiet: bool,
    /// List every tenant of every group of findings
    #[arg(long)]
    pub(crate) all: bool,
    /// The format of the output; junit reports each schema as a test case
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Migrate {
    /// The shared schema only
    #[arg(long, conflicts_with_all = ["tenants", "former", "all"])]
    pub(crate) shared: bool,
    #[command(flatten)]
    pub(crate) only: Tenants,
    /// Every tenant, without the shared schema
    #[arg(long, conflicts_with_all = ["tenants", "former"])]
    pub(crate) all: bool,
    /// The number of tenants to migrate at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    /// Share the tenants with other replicas that use this option
    #[arg(long)]
    pub(crate) cooperate: bool,
    /// List pending migrations and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// The number of runs to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: TextOrJson,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("method").args(["replay", "record", "restore", "print_sql"])))]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Repair {
    /// The tenants to repair, one after the other
    #[arg(required_unless_present_any = ["all_affected", "shared"], value_name = "TENANT")]
    pub(crate) tenant: Vec<String>,
    /// The shared schema
    #[arg(long, conflicts_with_all = ["tenant", "all_affected", "replay"])]
    pub(crate) shared: bool,
    /// Delete this app's ledger rows of the tenant and run its migrations again, in one transaction (Django)
    #[arg(long, value_name = "APP")]
    pub(crate) replay: Option<String>,
    /// Record pending migrations whose tables and columns exist as applied, then apply the others
    #[arg(long)]
    pub(crate) record: bool,
    /// Create the tables, columns, indexes and other objects that a complete tenant has and this one lacks
    #[arg(long)]
    pub(crate) restore: bool,
    /// Print the SQL of --restore, for psql or sqlite3, and change nothing
    #[arg(long)]
    pub(crate) print_sql: bool,
    /// Every tenant that the given method can repair
    #[arg(long, conflicts_with = "tenant", requires = "method")]
    pub(crate) all_affected: bool,
    /// Also replay migrations that run custom Python or SQL
    #[arg(long, requires = "replay")]
    pub(crate) allow_code: bool,
    /// List what would be applied and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: TextOrJson,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ManifestOf {
    /// From native SQL migrations, which are applied to a temporary schema
    #[command(
        after_help = "Exit codes: 0 written or unchanged, 1 a migration cannot be applied, 78 --check found a difference.

Examples:
  portcullis manifest sql                      after a change in the migrations; commit both
  RUN portcullis manifest sql --check          in a Dockerfile: an outdated manifest fails the build"
    )]
    Sql {
        /// Compare with the existing file instead of writing it
        #[arg(long)]
        check: bool,
    },
    /// From a Django project, which its own Python loads; needs no database
    #[command(after_help = "Examples:
  RUN portcullis manifest django               in a Dockerfile: a start does not load the project
  portcullis manifest django --check           in CI, if the manifest is committed")]
    Django {
        /// Compare with the existing file instead of writing it
        #[arg(long)]
        check: bool,
    },
    /// From the migration files of another framework, and the tables of a database that its command has just migrated
    #[command(
        after_help = "It reads the configured [database], which must be completely migrated, and changes nothing in it.
Exit codes: 0 written or unchanged, 1 the database is not completely migrated.

Examples:
  portcullis manifest structure --tenant demo      in CI, after the framework has migrated a new database
  portcullis manifest structure                    without tenants: the shared schema only"
    )]
    Structure {
        /// The schema of a migrated tenant
        #[arg(long, value_name = "SCHEMA")]
        tenant: Option<String>,
    },
    /// From the migration files of another framework, which are read without starting it; needs no database
    #[command(after_help = "Examples:
  RUN portcullis manifest files                in a Dockerfile, after the migrations were copied
  portcullis manifest files --check            in CI, if the manifest is committed")]
    Files {
        /// Compare with the existing file instead of writing it
        #[arg(long)]
        check: bool,
    },
}

impl ManifestOf {
    pub(crate) fn check(&self) -> bool {
        match self {
            Self::Sql { check } | Self::Django { check } | Self::Files { check } => *check,
            Self::Structure { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    mod documents;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_of_every_subcommand_has_an_example_that_parses() {
        fn walk(command: &clap::Command, path: &str) {
            for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
                let path = format!("{path} {}", subcommand.get_name());
                let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
                let examples: Vec<_> = help.lines().filter(|line| line.starts_with("  ")).collect();
                assert!(!examples.is_empty(), "`{path}` has no example");
                for line in examples {
                    let line = line.trim_start().trim_start_matches("RUN ");
                    // Three blanks separate the explanation; `|` and `>` are for the shell.
                    let line = line.split("   ").next().unwrap_or_default();
                    let words =
                        line.split(' ').take_while(|word| !["|", ">"].contains(word)).map(OsString::from);
                    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
                    if words.first().is_some_and(|word| word == "portcullis") {
                        let error = Cli::of(&words).err().filter(clap::Error::use_stderr);
                        assert!(error.is_none(), "`{path}` shows `{line}`: {error:?}");
                    }
                }
                walk(subcommand, &path);
            }
        }
        walk(&Cli::command(), "portcullis");
    }

    #[test]
    fn tenants_are_named_by_arguments_and_by_the_deprecated_option() {
        let names = |line: &str| match Cli::try_parse_from(line.split(' ')).ok()?.command {
            Command::Verify(verify) => Some(verify.only.names()),
            Command::Migrate(migrate) => Some(migrate.only.names()),
            Command::Repair(repair) => Some(repair.tenant),
            _ => None,
        };
        let words = |words: [&str; 2]| Some(words.map(str::to_owned).to_vec());
        for command in ["verify", "migrate", "repair"] {
            assert_eq!(names(&format!("portcullis {command} acme -- -odd")), words(["acme", "-odd"]));
        }
        assert_eq!(names("portcullis verify --tenant acme --tenant b"), words(["acme", "b"]));
        assert_eq!(names("portcullis migrate --all acme"), None);
    }

    #[test]
    fn a_command_line_without_options_is_parsed_as_clap_parses_it() {
        for (line, is_simple) in [
            ("portcullis run --", true),
            ("portcullis run -- gunicorn --version -- x", true),
            ("portcullis run --no-config -- true", true),
            ("portcullis init -- sh -c true", true),
            ("portcullis run --no-config --", false),
            ("portcullis init --", false),
            ("portcullis run", false),
            ("portcullis -- run", false),
            ("portcullis init -g -- true", false),
            ("portcullis --role web run -- true", false),
            ("portcullis", false),
            ("--", false),
        ] {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            let parsed = Cli::without_options(&words).map(|cli| format!("{cli:?}"));
            assert_eq!(parsed.is_some(), is_simple, "{line}");
            if is_simple {
                let by_clap = Cli::try_parse_from(&words).map(|cli| format!("{cli:?}"));
                assert_eq!(parsed, by_clap.ok(), "{line}");
            }
        }
    }
}
