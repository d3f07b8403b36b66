//! The running command: the title of its box, and how to run it again.

use crate::cli::{Command, Tenant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Running {
    Run,
    /// `init` or `exec`.
    Init,
    Plan,
    Check,
    InitConfig,
    Detect,
    Verify,
    Migrate,
    Manifest,
    /// `manifest --check`
    ManifestCheck,
    Doctor,
    History,
    Repair,
    /// `repair --replay`
    Replay,
    Compat,
    TenantCreate,
    TenantBootstrap,
    TenantTemplate,
    TenantDelete,
    TenantShow,
    Health,
    Token,
    /// `schema`, `completions` or `man`.
    Printing,
}

impl Running {
    /// The title of the failure box.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Running::Run => "THE SERVER WAS NOT STARTED",
            Running::Init => "THE PROGRAM WAS NOT STARTED",
            Running::Plan => "CANNOT MAKE THE PLAN",
            Running::InitConfig => "THE CONFIGURATION WAS NOT WRITTEN",
            Running::Detect => "NOT EVERY LEDGER WAS READ",
            Running::Check => "THE CONFIGURATION IS NOT VALID",
            Running::Verify => "THE GATE IS CLOSED",
            Running::Migrate => "NOT EVERYTHING WAS APPLIED",
            Running::Manifest => "THE MANIFEST WAS NOT WRITTEN",
            Running::ManifestCheck => "THE MANIFEST CHECK FAILED",
            Running::Doctor => "THE DOCTOR DID NOT RUN",
            Running::History => "CANNOT READ THE HISTORY",
            Running::Repair | Running::Replay => "THE TENANT IS NOT COMPLETE",
            Running::Compat => "THE RELEASES WERE NOT COMPARED",
            Running::TenantCreate => "THE TENANT WAS NOT CREATED",
            Running::TenantBootstrap => "NOT EVERY DEMO TENANT IS COMPLETE",
            Running::TenantTemplate => "THE TEMPLATE WAS NOT WRITTEN",
            Running::TenantDelete => "THE TENANT WAS NOT DELETED",
            Running::TenantShow => "CANNOT SHOW TENANTS",
            Running::Token => "NO PASSWORD WAS PRINTED",
            Running::Health => "CANNOT READ THE STATUS",
            Running::Printing => "NOTHING WAS PRINTED",
        }
    }

    /// The step after the correction of the cause.
    pub(super) fn again(self) -> &'static str {
        match self {
            Running::Run => "start again",
            _ => "run this command again",
        }
    }
}

impl From<&Command> for Running {
    fn from(command: &Command) -> Self {
        match command {
            Command::Run(_) => Running::Run,
            Command::Init(_) | Command::Exec(_) => Running::Init,
            Command::Plan { .. } => Running::Plan,
            Command::InitConfig { .. } => Running::InitConfig,
            Command::Detect { .. } => Running::Detect,
            Command::Check => Running::Check,
            Command::Verify(_) => Running::Verify,
            Command::Migrate(_) => Running::Migrate,
            Command::Manifest { framework } if framework.check() => Running::ManifestCheck,
            Command::Manifest { .. } => Running::Manifest,
            Command::Compat(_) => Running::Compat,
            Command::Doctor { .. } => Running::Doctor,
            Command::History(_) => Running::History,
            Command::Repair(repair) if repair.replay.is_some() => Running::Replay,
            Command::Repair(_) => Running::Repair,
            Command::Tenant { command: Tenant::Create(_) } => Running::TenantCreate,
            Command::Tenant { command: Tenant::Bootstrap(_) } => Running::TenantBootstrap,
            Command::Tenant { command: Tenant::Template } => Running::TenantTemplate,
            Command::Tenant { command: Tenant::Delete(_) } => Running::TenantDelete,
            Command::Tenant { command: Tenant::List(_) | Tenant::Show(_) } => Running::TenantShow,
            Command::Health { .. } => Running::Health,
            Command::Token { .. } => Running::Token,
            Command::Schema | Command::Completions { .. } | Command::Man { .. } => Running::Printing,
        }
    }
}
