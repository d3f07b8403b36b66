//! The arguments of the commands that verify, migrate and repair schemas.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args};

use super::format::{Format, TextOrJson};
use crate::words::read_duration;

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
    /// Repeat it at this interval until TERM, report each change once, and renew `quarantine_file`
    #[arg(long, value_name = "TIME", value_parser = interval,
        conflicts_with_all = ["tenants", "former", "app", "manifest", "quiet", "all"])]
    pub(crate) every: Option<Duration>,
    /// The format of the output; junit reports each schema as a test case
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// The shortest interval: each round inspects every schema.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_hours(24);

fn interval(text: &str) -> Result<Duration, &'static str> {
    let duration = read_duration(text).ok_or("expected a number and a unit, as in 30s or 5m")?;
    if duration < SHORTEST {
        return Err("each round inspects every schema: at least 2s");
    }
    if duration > LONGEST { Err("at most 24h") } else { Ok(duration) }
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
    /// Only the first N waves of `apply.waves`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with_all = ["shared", "tenants", "former", "dry_run"])]
    pub(crate) waves: Option<u16>,
    /// List pending migrations and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the tenants, the SQL, its locks and a hash, and change nothing
    #[arg(long, conflicts_with_all = ["dry_run", "approve"])]
    pub(crate) plan: bool,
    /// Migrate only if the plan is still the one with this hash, or the one in this JSON file
    #[arg(long, value_name = "HASH|FILE", conflicts_with_all = ["dry_run", "cooperate"])]
    pub(crate) approve: Option<String>,
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
