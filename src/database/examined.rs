//! The facts that the doctor reads from a database, each fetched independently. None means that the engine has no such fact.

use crate::cause::Cause;

/// A fact, or the reason why it is unknown.
pub(crate) type Fact<T> = Option<Result<T, String>>;

/// A server of tenants' databases.
#[derive(Debug)]
pub(crate) struct ExaminedServer {
    pub(crate) address: String,
    /// The number of tenants' databases on it.
    pub(crate) databases: usize,
    /// Its facts, or why no login was possible.
    pub(crate) examined: Result<Examined, Cause>,
}

#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// The role that makes changes.
    pub(crate) writer: Fact<Writer>,
    /// The gate's role, if it has its own.
    pub(crate) reader: Fact<Reader>,
    pub(crate) pooler: Fact<Pooler>,
    pub(crate) limits: Fact<ServerLimits>,
    /// The server's major version.
    pub(crate) major: Fact<String>,
    /// How many milliseconds the database's clock is ahead of this machine's.
    pub(crate) ahead: Fact<i64>,
    /// Names that occur more than once in the registry.
    pub(crate) duplicates: Fact<Vec<String>>,
    /// Descriptions of what killed runs have left behind.
    pub(crate) leftovers: Fact<Vec<String>>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate privilege")]
pub(crate) struct Writer {
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) creates_roles: bool,
    /// May create databases.
    pub(crate) creates_databases: bool,
    /// May create schemas.
    pub(crate) creates_schemas: bool,
    /// May create tables in the shared schema; true if the schema does not exist yet.
    pub(crate) creates_shared: bool,
    /// May read, insert and delete rows of the registry; true if the table does not exist yet.
    pub(crate) registers: bool,
    /// Tenants' schemas in which it may not create tables.
    pub(crate) closed: Vec<String>,
    /// Examples of tenants' tables that another role owns.
    pub(crate) others: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) creates_roles: bool,
    /// Descriptions of its privileges beyond reading.
    pub(crate) writes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooler {
    /// Each client has its own server process.
    None,
    /// One client's statements reach several server processes.
    Transaction {
        /// The configured direct connection bypasses the pooler.
        bypassed: bool,
    },
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServerLimits {
    pub(crate) max_connections: u64,
    /// Connections that this role cannot use.
    pub(crate) reserved: u64,
    /// The current number of sessions.
    pub(crate) used: u64,
    /// The role's own connection limit, if it has one, and its current number of sessions.
    pub(crate) role: Option<(u64, u64)>,
    /// The capacity of the server's lock table.
    pub(crate) locks: u64,
}
