//! The command line: arguments and help. It reads no file and no environment.

mod format;
mod init;
mod tenant;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::{
    format::{Format, TextOrJson},
    init::Init,
    tenant::{State, Tenant, TenantBootstrap, TenantCreate, TenantDelete, TenantList, TenantShow},
};
use crate::logging::{LogFormat, LogLevel};

/// Works through the start-up steps, proves that every tenant is completely migrated, and only then
/// starts the server.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "In a Dockerfile:
  ENTRYPOINT [\"/portcullis\", \"run\", \"--\"]
  CMD [\"gunicorn\", \"app.wsgi\"]

First steps:
  portcullis check            is config.toml right?
  portcullis plan             what would a start do?
  portcullis verify           is everything migrated? Changes nothing
  portcullis run -- SERVER    do it, then start the server

Exit codes: 0 done, 1 incomplete, 64 usage, 69 not there in time, 70 internal, 73 provisioning,
74 not proven, 75 lock, 77 refused, 78 configuration, 79 a command failed, 124 out of time,
126 and 127 the server cannot be started, 128+n ended by signal n."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The command line, or what there is to say instead of obeying it.
    pub(crate) fn of(arguments: &[OsString]) -> Result<Self, clap::Error> {
        Self::without_options(arguments).map_or_else(|| Self::try_parse_from(arguments), Ok)
    }

    /// What stands in front of most programs: `run -- SERVER`, `run --no-config -- SERVER` and `init -- ARGV`. To prepare
    /// for all that could stand there would take as long as all the rest that happens before the program runs.
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

/// What every subcommand understands.
#[derive(Debug, Default, Args)]
pub(crate) struct Global {
    /// The configuration file [default: PORTCULLIS_CONFIG, else config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// This container's role; wins over `role` in the file
    #[arg(long, global = true)]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) output_options: OutputOptions,
}

/// How output looks.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OutputOptions {
    /// How `run` logs [default: PORTCULLIS_LOG_FORMAT, else the file's `[log] format`, else auto]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// The least important events that `run` logs [default: the file's `[log] level`, else info]
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,
    /// Wins over NO_COLOR, FORCE_COLOR and what is a terminal
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
    /// The entrypoint: work through the steps, then exec the server
    #[command(after_help = "Examples:
  portcullis run                            steps, then [server] command of the file
  portcullis run -- gunicorn app.wsgi       steps, then this server
  portcullis run --no-server                steps only: an init container or a Job
  portcullis run --no-config -- sleep 60    no steps at all")]
    Run(Run),
    /// A plain init: forward signals, reap, and exit with the child's code
    #[command(after_help = "Examples:
  portcullis init -- gunicorn app.wsgi
  portcullis init -r TERM:QUIT -- nginx        nginx finishes its requests at QUIT
  portcullis init -e 143 -- java -jar app.jar  ended by TERM is a success")]
    Init(Init),
    /// Show the steps in order, with what is skipped and why; touches nothing
    #[command(after_help = "Examples:
  portcullis plan
  portcullis plan --role worker            what a worker would do
  portcullis plan --format json")]
    Plan {
        #[command(flatten)]
        answer: TextOrJson,
    },
    /// Read the configuration offline and report every error at once
    #[command(after_help = "Exit codes: 0 it is valid, 78 it is not.

Examples:
  portcullis check
  portcullis check --config docker/config.toml")]
    Check,
    /// Ask the gate: is everything completely migrated? Reads only
    #[command(after_help = "Exit codes: 0 complete, 1 proven incomplete, 74 could not prove it.

Examples:
  portcullis verify
  portcullis verify demo acme
  portcullis verify --app finance                    what one Django app asks for
  portcullis verify --format junit > verify.xml")]
    Verify(Verify),
    /// Apply what is pending
    #[command(after_help = "Examples:
  portcullis migrate                 the shared schema, then every tenant
  portcullis migrate --shared
  portcullis migrate acme
  portcullis migrate --dry-run       say what is pending, change nothing")]
    Migrate(Migrate),
    /// Bring one tenant to completeness, in five steps: exists, state, apply, verify, tables answer
    #[command(
        after_help = "Exit codes: 0 complete, 1 incomplete or a migration failed, 74 not proven, 75 lock.

Examples:
  portcullis repair acme                                 apply what is pending, then verify
  portcullis repair acme --dry-run                       say what would be applied, change nothing
  portcullis repair acme --replay finance                a complete ledger, and none of the app's tables
  portcullis repair --all-affected --replay finance      an app that moved from SHARED_APPS to TENANT_APPS"
    )]
    Repair(Repair),
    /// Create tenants, list and show them, delete them
    #[command(after_help = "Examples:
  portcullis tenant list --state incomplete
  portcullis tenant create acme
  portcullis help tenant create            all that it understands")]
    Tenant {
        #[command(subcommand)]
        what: Tenant,
    },
    /// Make every check of configuration, process, database, tenants and code; changes nothing
    #[command(after_help = "Exit codes: 0 no check failed, 1 at least one did.

Examples:
  portcullis doctor
  portcullis doctor --format json
  portcullis doctor --format junit > doctor.xml")]
    Doctor {
        /// How to answer
        #[arg(long, value_parser = format::only(&[Format::Text, Format::Json, Format::Junit]), default_value = "text",
            value_name = "FORMAT")]
        format: Format,
    },
    /// Write down what the code expects; run it when the image is built
    #[command(after_help = "Examples:
  portcullis manifest sql
  portcullis manifest django --check       in CI: is the committed one right?")]
    Manifest {
        #[command(subcommand)]
        framework: ManifestOf,
    },
    /// Ask how the start-up stands, for probes in an image without a shell
    #[command(after_help = "It asks the file of `[status] file`, else the endpoint of `[status] listen`.
Exit codes: 0 yes, 1 no.

Examples:
  portcullis health           has the start-up finished? (readiness, Docker's HEALTHCHECK)
  portcullis health --live    is it alive, or finished? (liveness)")]
    Health {
        /// Ask whether it is alive instead of finished
        #[arg(long)]
        live: bool,
    },
    /// Show what earlier runs changed, the newest first
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
    /// Print a shell's completions
    #[command(after_help = "Examples:
  portcullis completions bash > /etc/bash_completion.d/portcullis
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish")]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, or that of a subcommand
    #[command(after_help = "Examples:
  portcullis man | man -l -
  portcullis man tenant create | man -l -")]
    Man { subcommand: Vec<String> },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// End after the steps, with 0
    #[arg(long)]
    pub(crate) no_server: bool,
    /// Read no configuration file and run no step
    #[arg(long, requires = "server")]
    pub(crate) no_config: bool,
    /// The server to start, instead of the file's
    #[arg(last = true, value_name = "SERVER")]
    pub(crate) server: Vec<String>,
}

/// The tenants that a command is for; none means all.
#[derive(Debug, Args)]
pub(crate) struct Tenants {
    /// Only these tenants
    #[arg(value_name = "TENANT")]
    tenants: Vec<String>,
    /// The former way to name one.
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
    /// Judge only what this app's migrations and models ask for (Django)
    #[arg(long)]
    pub(crate) app: Option<String>,
    /// Judge against this manifest, the next release's for example
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Say nothing when everything is complete
    #[arg(long)]
    pub(crate) quiet: bool,
    /// How to answer; junit makes each schema a test case
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
    /// Every tenant, and not the shared schema
    #[arg(long, conflicts_with_all = ["tenants", "former"])]
    pub(crate) all: bool,
    /// How many tenants at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    /// Share the tenants with other replicas that do the same
    #[arg(long)]
    pub(crate) cooperate: bool,
    /// Say what is pending and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) answer: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// How many runs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) answer: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// The tenants to repair, one after the other
    #[arg(required_unless_present = "all_affected", value_name = "TENANT")]
    pub(crate) tenant: Vec<String>,
    /// Forget this app's migrations in the tenant's ledger and run them again, in one transaction (Django)
    #[arg(long, value_name = "APP")]
    pub(crate) replay: Option<String>,
    /// Every tenant that has lost all of the app's tables
    #[arg(long, conflicts_with = "tenant", requires = "replay")]
    pub(crate) all_affected: bool,
    /// Also where its migrations run Python or SQL of their own
    #[arg(long, requires = "replay")]
    pub(crate) allow_code: bool,
    /// Say what would be applied and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) answer: TextOrJson,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ManifestOf {
    /// Of native SQL migrations: applied where nothing of it remains
    #[command(
        after_help = "Exit codes: 0 written (or the same), 1 a migration cannot be applied, 78 another one is there.

Examples:
  portcullis manifest sql                      after a change in the migrations; commit both
  RUN portcullis manifest sql --check          in a Dockerfile: a forgotten one ends the build"
    )]
    Sql {
        /// Compare with the file that is there instead of writing it
        #[arg(long)]
        check: bool,
    },
    /// Of a Django project, which is asked with its own Python; needs no database
    #[command(after_help = "Examples:
  RUN portcullis manifest django               in a Dockerfile: no start asks again
  portcullis manifest django --check           in CI, where it is committed")]
    Django {
        /// Compare with the file that is there instead of writing it
        #[arg(long)]
        check: bool,
    },
}

impl ManifestOf {
    pub(crate) fn check(&self) -> bool {
        match self {
            Self::Sql { check } | Self::Django { check } => *check,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_help_of_every_subcommand_teaches_by_an_example_that_it_understands() {
        fn walk(command: &clap::Command, path: &str) {
            for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
                let path = format!("{path} {}", subcommand.get_name());
                let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
                let examples: Vec<_> = help.lines().filter(|line| line.starts_with("  ")).collect();
                assert!(!examples.is_empty(), "`{path}` has no example");
                for line in examples {
                    let line = line.trim_start().trim_start_matches("RUN ");
                    // What explains it stands at a distance; what a shell does with it is the shell's.
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
    fn tenants_are_named_by_arguments_and_still_by_the_former_option() {
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
    fn a_command_line_without_options_is_read_as_clap_reads_it() {
        for (line, read) in [
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
            let ours = Cli::without_options(&words).map(|cli| format!("{cli:?}"));
            assert_eq!(ours.is_some(), read, "{line}");
            if read {
                let claps = Cli::try_parse_from(&words).map(|cli| format!("{cli:?}"));
                assert_eq!(ours, claps.ok(), "{line}");
            }
        }
    }
}
