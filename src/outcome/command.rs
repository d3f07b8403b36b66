//! The results of the commands other than `run`.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

use super::{FailureDetails, bootstrap::Bootstrapped, migration_plan::MigrationPlan, repair::Repaired};
use crate::{
    failure::Failure,
    tenants::{
        gate::{Judgement, Verdict},
        inspection::Deleted,
    },
};

/// `check`
pub(crate) struct ConfigChecked {
    pub(crate) path: PathBuf,
    pub(crate) steps: usize,
    /// Rendered with their lines of the file.
    pub(crate) warnings: String,
    pub(crate) missing: Vec<MissingProgram>,
    pub(crate) manifest: Option<ManifestProblem>,
    /// The source that is asked for the database's password, if one is.
    pub(crate) password: Option<String>,
}

/// Why a start would refuse the manifest.
pub(crate) enum ManifestProblem {
    /// The manifest or the migrations are not on this machine.
    NotHere(Failure),
    Refused(Failure),
}

/// `init-config`
pub(crate) struct ConfigWritten {
    pub(crate) path: PathBuf,
    /// The files and settings that it comes from.
    pub(crate) found: Vec<String>,
    /// The command that writes the manifest.
    pub(crate) manifest: Option<&'static str>,
}

/// A configured program that cannot run on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MissingProgram {
    pub(crate) program: String,
    /// The step, or the key.
    pub(crate) used_by: String,
    pub(crate) why: String,
}

/// `verify`
pub(crate) struct Verified {
    pub(crate) judgement: Judgement,
    /// Entries of `[[accept]]` that have no effect.
    pub(crate) stale: Vec<String>,
    /// The only app that was checked.
    pub(crate) app: Option<String>,
    /// Print nothing if everything is complete.
    pub(crate) quiet: bool,
    /// The box lists every schema.
    pub(crate) lists_all: bool,
}

/// `migrate`
pub(crate) enum Migrated {
    Applied {
        /// Each part and its summary.
        parts: Vec<(&'static str, String)>,
        failure: Option<FailureDetails>,
    },
    /// The judgement of a dry run.
    Pending(Judgement),
    Planned(MigrationPlan),
}

/// `repair`
pub(crate) struct Repairs {
    pub(crate) tenants: Vec<(String, Repaired)>,
    /// The app that is replayed.
    pub(crate) app: Option<String>,
    pub(crate) dry_run: bool,
}

/// `manifest`
pub(crate) struct ManifestMade {
    pub(crate) path: PathBuf,
    pub(crate) release: String,
    /// The numbers of migrations and tables of the shared schema and of a tenant; None if it was only compared.
    pub(crate) written: Option<[(usize, usize); 2]>,
}

/// `tenant`
pub(crate) enum TenantOutcome {
    Created {
        tenant: String,
        schema: String,
        took: Duration,
        failure: Option<FailureDetails>,
    },
    Bootstrapped {
        tenants: Bootstrapped,
        failure: Option<FailureDetails>,
    },
    Listed(Judgement),
    /// The names only.
    Named(Vec<String>),
    Shown {
        tenant: String,
        verdict: Verdict,
    },
    Deleted {
        tenant: String,
        deleted: Deleted,
    },
    NotDeleted {
        tenant: String,
        failure: FailureDetails,
    },
    TemplateWritten {
        path: PathBuf,
        release: String,
        server: String,
    },
    /// A failure of one tenant, or of none in particular.
    Failed {
        tenant: Option<String>,
        failure: FailureDetails,
    },
}

impl TenantOutcome {
    pub(crate) fn failure(&self) -> Option<&FailureDetails> {
        match self {
            Self::Created { failure, .. } | Self::Bootstrapped { failure, .. } => failure.as_ref(),
            Self::NotDeleted { failure, .. } | Self::Failed { failure, .. } => Some(failure),
            Self::Listed(_)
            | Self::Named(_)
            | Self::Shown { .. }
            | Self::Deleted { .. }
            | Self::TemplateWritten { .. } => None,
        }
    }

    pub(crate) fn into_failure(self) -> Option<FailureDetails> {
        match self {
            Self::Created { failure, .. } | Self::Bootstrapped { failure, .. } => failure,
            Self::NotDeleted { failure, .. } | Self::Failed { failure, .. } => Some(failure),
            Self::Listed(_)
            | Self::Named(_)
            | Self::Shown { .. }
            | Self::Deleted { .. }
            | Self::TemplateWritten { .. } => None,
        }
    }

    /// The tenant that could not be created, and the failure.
    pub(crate) fn not_created(&self) -> Option<(&str, &FailureDetails)> {
        match self {
            Self::Created { schema, failure: Some(failure), .. } => Some((schema, failure)),
            Self::Bootstrapped { tenants, failure: Some(failure) } => {
                Some((tenants.failed.first().map_or("", |(tenant, _)| tenant), failure))
            }
            _ => None,
        }
    }
}
