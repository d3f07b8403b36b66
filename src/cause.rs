//! Why a server, a file or a connection failed: kind and code as fields, and the text for people.
//!
//! The kind comes from the SQLSTATE, SQLite's result code or the kind of I/O error, never from a message, because servers
//! translate their messages.

use std::{fmt, io};

/// The cause of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) kind: Kind,
    pub(crate) code: Option<Code>,
    /// For people: the original message of the server or the system, with its place and code.
    pub(crate) text: String,
}

/// The original code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    SqlState([u8; 5]),
    /// SQLite's extended result code.
    Sqlite(i32),
    Io(io::ErrorKind),
}

/// Why a service cannot be used now, and whether a later attempt may succeed.
#[derive(Debug, Clone)]
pub(crate) enum Unavailable {
    Temporary(Cause),
    Permanent(Cause),
}

/// Each kind needs another action of the operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Detected by Portcullis itself, or without a known code.
    #[default]
    Other,
    /// No connection: nothing listens, the name is unknown, or the server is starting or stopping.
    Unreachable,
    /// The credentials, the database's name or `pg_hba.conf` are wrong.
    Authentication,
    /// The source of the password refuses, or cannot be used.
    PasswordSource,
    /// The database refuses a token of Amazon RDS, of Google Cloud SQL, or of Azure.
    RdsToken,
    CloudSqlToken,
    AzureToken,
    /// The certificate or the TLS settings.
    Certificate,
    /// The server, the database or the role has reached its limit of connections.
    TooManyConnections,
    /// An open connection ended: the outcome of its transaction is unknown.
    Lost,
    /// No response in time.
    Silent,
    /// The answer is not in the expected protocol, or exceeds a limit.
    Protocol,
    /// The server or the transaction is read-only, or the server is a standby.
    ReadOnly,
    DiskFull,
    OutOfMemory,
    /// The role or the user lacks a privilege.
    Permission,
    /// Row-level security would hide rows of a table from the role.
    RowSecurity,
    /// Another session holds a lock that was not released in time.
    Locked,
    /// The statement ran longer than its time-out, or was cancelled.
    Cancelled,
    /// The file is damaged or is not a database.
    Corrupt,
    /// An object with that name exists already.
    Exists,
    /// A named object does not exist.
    Missing,
    /// The data violate a constraint.
    Constraint,
    /// The server rejected the statement for another reason.
    Rejected,
    /// A local file or folder cannot be used.
    File,
}

impl Kind {
    /// The kind of an SQLSTATE in an open session.
    pub(crate) fn of_sqlstate(code: &str) -> Self {
        match code {
            "53300" => Self::TooManyConnections,
            "53100" | "58030" => Self::DiskFull,
            "53200" | "53400" => Self::OutOfMemory,
            "25006" => Self::ReadOnly,
            "42501" => Self::Permission,
            "55P03" | "40P01" => Self::Locked,
            "57014" | "25P03" | "25P04" => Self::Cancelled,
            "XX001" | "XX002" => Self::Corrupt,
            "42P04" | "42P06" | "42P07" | "42701" | "42710" | "42723" => Self::Exists,
            "3F000" | "42P01" | "42703" | "42704" | "42883" => Self::Missing,
            "3D000" => Self::Authentication,
            "57P03" => Self::Unreachable,
            _ => match code.get(..2) {
                Some("08" | "57") => Self::Lost,
                Some("28") => Self::Authentication,
                Some("23") => Self::Constraint,
                _ => Self::Rejected,
            },
        }
    }

    /// The kind of an SQLite result code, whose low byte is the primary code.
    pub(crate) fn of_sqlite(code: i32) -> Self {
        match code & 0xff {
            3 | 23 => Self::Permission,
            5 | 6 => Self::Locked,
            7 => Self::OutOfMemory,
            8 => Self::ReadOnly,
            9 => Self::Cancelled,
            10 | 14 => Self::File,
            11 | 26 => Self::Corrupt,
            13 => Self::DiskFull,
            19 => Self::Constraint,
            _ => Self::Rejected,
        }
    }

    pub(crate) fn of_io(kind: io::ErrorKind) -> Self {
        use io::ErrorKind as Io;
        match kind {
            Io::TimedOut => Self::Silent,
            Io::ConnectionRefused
            | Io::HostUnreachable
            | Io::NetworkUnreachable
            | Io::NetworkDown
            | Io::AddrNotAvailable => Self::Unreachable,
            Io::ConnectionReset
            | Io::ConnectionAborted
            | Io::BrokenPipe
            | Io::NotConnected
            | Io::UnexpectedEof => Self::Lost,
            Io::PermissionDenied => Self::Permission,
            Io::ReadOnlyFilesystem => Self::ReadOnly,
            Io::StorageFull | Io::QuotaExceeded => Self::DiskFull,
            Io::OutOfMemory => Self::OutOfMemory,
            _ => Self::File,
        }
    }
}

impl Cause {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, code: None, text: text.into() }
    }

    /// The cause of an I/O error; `text` names the file or the socket.
    pub(crate) fn io(text: &str, error: &io::Error) -> Self {
        Self {
            kind: Kind::of_io(error.kind()),
            code: Some(Code::Io(error.kind())),
            text: format!("{text}: {error}"),
        }
    }

    /// The same cause with another text.
    pub(crate) fn with_text(self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self }
    }

    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match &self.code {
            Some(Code::SqlState(code)) => std::str::from_utf8(code).ok(),
            _ => None,
        }
    }

    /// The state of the database is unknown: the connection failed, ended or does not respond.
    pub(crate) fn is_connection(&self) -> bool {
        matches!(
            self.kind,
            Kind::Unreachable | Kind::TooManyConnections | Kind::Lost | Kind::Silent | Kind::Protocol
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self::new(Kind::Other, text)
    }
}

impl From<&str> for Cause {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Code {
    /// None unless it has five characters.
    pub(crate) fn sqlstate(code: &str) -> Option<Self> {
        code.as_bytes().try_into().ok().map(Self::SqlState)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_alone_determines_the_kind() {
        for (code, kind) in [
            ("25006", Kind::ReadOnly),
            ("53100", Kind::DiskFull),
            ("53300", Kind::TooManyConnections),
            ("42501", Kind::Permission),
            ("55P03", Kind::Locked),
            ("57014", Kind::Cancelled),
            ("57P01", Kind::Lost),
            ("57P03", Kind::Unreachable),
            ("08006", Kind::Lost),
            ("28P01", Kind::Authentication),
            ("42P07", Kind::Exists),
            ("23505", Kind::Constraint),
            ("22012", Kind::Rejected),
        ] {
            assert_eq!(Kind::of_sqlstate(code), kind, "{code}");
        }
        // SQLITE_CORRUPT_VTAB, SQLITE_NOTADB, SQLITE_BUSY_SNAPSHOT, SQLITE_READONLY_ROLLBACK
        for (code, kind) in
            [(267, Kind::Corrupt), (26, Kind::Corrupt), (517, Kind::Locked), (776, Kind::ReadOnly)]
        {
            assert_eq!(Kind::of_sqlite(code), kind, "{code}");
        }
    }
}
