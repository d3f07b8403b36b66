//! What the doctor asks of a database: facts, each fetched on its own. None has no meaning on this engine.

/// A fact, or why it could not be had.
pub(crate) type Fact<T> = Option<Result<T, String>>;

#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// The role that changes things.
    pub(crate) writer: Fact<Writer>,
    /// The role of the gate, where it has one of its own.
    pub(crate) reader: Fact<Reader>,
    pub(crate) pooler: Fact<Pooler>,
    pub(crate) limits: Fact<ServerLimits>,
    /// The server's major version.
    pub(crate) major: Fact<String>,
    /// How many milliseconds the database's clock is ahead of ours.
    pub(crate) ahead: Fact<i64>,
    /// Names that the registry holds more than once.
    pub(crate) duplicates: Fact<Vec<String>>,
    /// What killed runs have left behind, in words.
    pub(crate) leftovers: Fact<Vec<String>>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a privilege of its own")]
pub(crate) struct Writer {
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) creates_roles: bool,
    /// May make schemas.
    pub(crate) creates_schemas: bool,
    /// May make tables in the shared schema; true if it is not there yet.
    pub(crate) creates_shared: bool,
    /// May read, write and take back rows of the registry; true if it is not there yet.
    pub(crate) registers: bool,
    /// Tenants' schemas in which it may not make tables.
    pub(crate) closed: Vec<String>,
    /// Tenants' tables that are another role's, some of them.
    pub(crate) others: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) creates_roles: bool,
    /// What it may do beside reading, in words.
    pub(crate) writes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooler {
    /// Each client has a server process of its own.
    None,
    /// Statements of one client reach several server processes.
    Transaction {
        /// The configured direct connection goes past it.
        bypassed: bool,
    },
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServerLimits {
    pub(crate) max_connections: u64,
    /// Those that this role cannot have.
    pub(crate) reserved: u64,
    /// How many sessions there are now.
    pub(crate) used: u64,
    /// How many sessions this role may have, if it has a limit of its own, and how many it has now.
    pub(crate) role: Option<(u64, u64)>,
    /// How many locks the server's table has room for.
    pub(crate) locks: u64,
}
