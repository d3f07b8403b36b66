//! The arguments of `portcullis tenant`.

use clap::{Args, Subcommand, ValueEnum};

use super::format::{Format, TextOrJson};

#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Create a tenant completely (rows, schema, every migration, verified), or not at all
    #[command(
        after_help = "Exit codes: 0 the tenant is complete, 73 it could not be created (rolled back, or the message names what exists), \
75 the lock could not be acquired in time, 77 refused, 78 configuration or manifest.

Examples:
  portcullis tenant create acme
  portcullis tenant create Acme --schema acme_gmbh --domain acme.example.com
  portcullis tenant create acme --set plan=team --format json"
    )]
    Create(TenantCreate),
    /// Create the configured demo tenants that are absent, and migrate those that exist
    #[command(after_help = "Exit codes: 0 all of them are complete, 73 at least one could not be created.

Examples:
  portcullis tenant bootstrap
  portcullis tenant bootstrap --stop --format json")]
    Bootstrap(TenantBootstrap),
    /// List the tenants with the gate's verdict on each; reads only
    #[command(after_help = "Examples:
  portcullis tenant list
  portcullis tenant list --state incomplete --format json
  portcullis tenant list --names               for scripts")]
    List(TenantList),
    /// Show one tenant; reads only
    #[command(after_help = "Examples:
  portcullis tenant show acme
  portcullis tenant show acme --format json")]
    Show(TenantShow),
    /// Build the tenant template for this release (Django)
    #[command(after_help = "Example:
  portcullis tenant template            after each change of the migrations")]
    Template,
    /// Delete a tenant: its registry rows and its schema with everything in it
    #[command(after_help = "Examples:
  portcullis tenant delete acme                asks for the name again
  portcullis tenant delete acme --yes --format json   for programs")]
    Delete(TenantDelete),
}

impl Tenant {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Create(TenantCreate { output, .. })
            | Self::Bootstrap(TenantBootstrap { output, .. })
            | Self::List(TenantList { output, .. })
            | Self::Show(TenantShow { output, .. })
            | Self::Delete(TenantDelete { output, .. }) => output.format(),
            Self::Template => Format::Text,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TenantCreate {
    /// The tenant's name; also its schema's name unless --schema is given
    pub(crate) name: String,
    /// The exact name of the schema: nothing is folded, cut or escaped
    #[arg(long, value_name = "NAME")]
    pub(crate) schema: Option<String>,
    /// The host name that requests use (django-tenants)
    #[arg(long, value_name = "HOST")]
    pub(crate) domain: Option<String>,
    /// Set a registry column; repeatable
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = assignment)]
    pub(crate) set: Vec<(String, String)>,
    /// Set a column of the domain's row; repeatable
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = assignment, requires = "domain")]
    pub(crate) domain_set: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) output: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct TenantBootstrap {
    /// Stop at the first failure
    #[arg(long)]
    pub(crate) stop: bool,
    #[command(flatten)]
    pub(crate) output: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct TenantList {
    /// List only tenants in this state
    #[arg(long, value_enum)]
    pub(crate) state: Option<State>,
    /// Print only the names, one per line
    #[arg(long, conflicts_with_all = ["format", "json"])]
    pub(crate) names: bool,
    #[command(flatten)]
    pub(crate) output: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct TenantShow {
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: TextOrJson,
}

#[derive(Debug, Args)]
pub(crate) struct TenantDelete {
    /// The schema's name
    pub(crate) name: String,
    /// Do not ask for the name again
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) output: TextOrJson,
}

/// The gate's verdict on a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    Complete,
    Incomplete,
    /// Neither proven complete nor proven incomplete
    Unproven,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, value)) if !column.is_empty() => Ok((column.to_owned(), value.to_owned())),
        _ => Err("write COLUMN=VALUE".into()),
    }
}
