//! The arguments of `manifest`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ManifestOf {
    /// From native SQL migrations, which are applied to a temporary schema
    #[command(
        after_help = "Exit codes: 0 written or unchanged, 1 a migration cannot be applied, 78 --check found a difference.

Examples:
  portcullis manifest sql               after a new migration; commit both
  RUN portcullis manifest sql --check   in a Dockerfile: a stale one fails there"
    )]
    Sql {
        /// Compare with the existing file instead of writing it
        #[arg(long)]
        check: bool,
    },
    /// From a Django project, which its own Python loads; needs no database
    #[command(after_help = "Examples:
  RUN portcullis manifest django       in a Dockerfile: a start runs no Python
  portcullis manifest django --check   in CI, if the manifest is committed")]
    Django {
        /// Compare with the existing file instead of writing it
        #[arg(long)]
        check: bool,
    },
    /// From the migration files of another framework, and the tables of a database that its command has just migrated
    #[command(
        after_help = "It reads the configured [database], or that of --from, which must be completely migrated, and changes nothing in it.

Exit codes: 0 written or unchanged, 1 the database is not completely migrated.

Examples:
  portcullis manifest structure --tenant demo   in CI, in a migrated database
  portcullis manifest structure                 without tenants
  portcullis manifest structure --from postgres://ci@db/fresh --tenant demo"
    )]
    Structure {
        /// The schema of a migrated tenant
        #[arg(long, value_name = "SCHEMA")]
        tenant: Option<String>,
        /// A migrated database instead of the configured one; a password is safer in DATABASE_URL
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
    /// From the migration files of another framework, which are read without starting it; needs no database
    #[command(after_help = "Examples:
  RUN portcullis manifest files       in a Dockerfile, after the migrations
  portcullis manifest files --check   in CI, if the manifest is committed")]
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
