//! The strictness of the gate.

use std::{path::PathBuf, time::Duration};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) ahead: Ahead,
    /// How long a tenant that advanced between two inspections is inspected again, because it is being created.
    pub(crate) settle: Duration,
    pub(crate) allow_standby: bool,
    pub(crate) mode: GateMode,
    pub(crate) incomplete: OnIncomplete,
    pub(crate) structure: StructureCheck,
    pub(crate) compat: CompatCheck,
}

/// Whether a start may migrate a schema on which the code of the release that serves does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompatCheck {
    /// The release that serves is not recorded.
    Off,
    Warn,
    /// Blocks what certainly breaks, and warns of the rest.
    Breaks,
    Block,
}

/// Whether the gate can block the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GateMode {
    Block,
    /// Reports every finding and never blocks.
    Report,
}

/// The treatment of incomplete tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnIncomplete {
    Block,
    /// Starts the server with a list of the incomplete tenants, up to a maximum number.
    Quarantine {
        at_most: usize,
        /// The path of the list; None for a file in memory.
        file: Option<PathBuf>,
    },
}

/// The result if a schema's structure differs from the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StructureCheck {
    /// The structure is not read.
    Off,
    Warn,
    Block,
}

/// The result if the database is ahead of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    Warn,
    Block,
}
