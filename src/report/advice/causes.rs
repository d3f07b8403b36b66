//! The advice for a cause: an SQLSTATE, an SQLite code, an error of the system or of the network.

use std::io;

use super::{
    invocation,
    steps::{self, Steps, names},
};
use crate::{
    cause::{Cause, Code, Kind},
    outcome::SchemaFailure,
    tenants::gate::Judgement,
};

/// The likely cause, and what to do.
type CauseAdvice = (&'static str, &'static str);

/// Lists blocked sessions and the sessions that block them.
const BLOCKERS: &str = "SELECT pid, pg_blocking_pids(pid), state, query FROM pg_stat_activity WHERE \
                        cardinality(pg_blocking_pids(pid)) > 0";
const SESSIONS: &str =
    "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3";

/// `schemas` are the schemas in which the cause occurred, if any. `record` is the command that records the failed
/// migration as applied.
pub(super) fn advise(steps: &mut Steps, cause: &Cause, schemas: &[Option<&str>], record: Option<String>) {
    let by_kind = || of_kind(cause.kind);
    // The server's code says less than the kind.
    let is_special =
        matches!(cause.kind, Kind::RowSecurity | Kind::RdsToken | Kind::CloudSqlToken | Kind::AzureToken);
    let found = if is_special { by_kind() } else { of_code(cause).or_else(by_kind) };
    let Some((likely_cause, advice)) = found else { return };
    steps.cause(likely_cause);
    let place = if schemas.is_empty() { String::new() } else { format!("{}: ", names(schemas)) };
    let text = format!("{place}{advice}");
    match cause.kind {
        Kind::Exists if let Some(record) = record => steps.paste(text, record),
        Kind::Locked if cause.sqlstate() == Some("55P03") => steps.paste(text, BLOCKERS),
        Kind::TooManyConnections if cause.sqlstate().is_some() => steps.paste(text, SESSIONS),
        _ if cause.sqlstate() == Some("55006") => steps.paste(text, SESSIONS),
        _ => steps.add_step(text),
    }
    if cause.kind == Kind::Permission && cause.sqlstate().is_some() {
        steps.see("see which privileges the role lacks", steps::doctor());
    }
}

/// The advice for schemas in which a migration failed. `created` if their creation was rolled back.
/// Those with an unrecorded migration have the advice for that finding.
pub(super) fn of_migrations(
    steps: &mut Steps,
    failed: &[SchemaFailure],
    judgement: Option<&Judgement>,
    created: bool,
) {
    let unrecorded = |failure: &&SchemaFailure| {
        let mut verdicts = judgement.into_iter().flat_map(Judgement::verdicts);
        verdicts
            .any(|(schema, verdict)| schema == failure.tenant.as_deref() && failure.is_unrecorded(verdict))
    };
    let mut pending: Vec<&SchemaFailure> = failed.iter().filter(|failure| !unrecorded(failure)).collect();
    while let Some(first) = pending.first().copied() {
        let has_same_cause = |other: &&SchemaFailure| {
            (other.dirty, other.why.kind, other.why.code) == (first.dirty, first.why.kind, first.why.code)
        };
        let (same, others): (Vec<_>, Vec<_>) = pending.into_iter().partition(has_same_cause);
        pending = others;
        let schemas: Vec<Option<&str>> = same.iter().map(|failure| failure.tenant.as_deref()).collect();
        if first.dirty {
            steps.cause("a migration that cannot run in a transaction is half applied");
            steps.add_step(format!(
                "{}: undo by hand what the migration did, and delete its ledger row",
                names(&schemas)
            ));
        }
        if of_code(&first.why).is_none() && of_kind(first.why.kind).is_none() {
            steps.cause(if first.migration.is_some() {
                "the migration does not fit the data or the schema; it was rolled back"
            } else {
                "the schema's command failed, or the schema cannot be migrated in its current state"
            });
            let correct = format!("correct the cause in {}", names(&schemas));
            if created {
                steps.add_step(correct);
            } else {
                steps.apply(format!("{correct}, then apply again"), steps::migrate(&schemas));
            }
        } else {
            advise(steps, &first.why, &schemas, record(first));
            if !created {
                steps.apply(format!("then apply again in {}", names(&schemas)), steps::migrate(&schemas));
            }
        }
    }
}

/// The framework's command that records the failed migration as applied, with the names filled in.
fn record(failed: &SchemaFailure) -> Option<String> {
    let (app, migration) = failed.migration.as_deref()?.split_once('.')?;
    let names = [("{app}", app), ("{migration}", migration), ("{tenant}", failed.tenant.as_deref()?)];
    let line = failed.commands.record?.to_owned();
    Some(names.into_iter().fold(line, |line, (place, name)| line.replace(place, &invocation::quoted(name))))
}

fn of_code(cause: &Cause) -> Option<CauseAdvice> {
    match &cause.code {
        Some(Code::SqlState(_)) => cause.sqlstate().and_then(of_sqlstate),
        Some(Code::Sqlite(code)) => of_sqlite(*code),
        Some(Code::Io(kind)) => of_io(*kind),
        None => None,
    }
}

fn of_sqlstate(code: &str) -> Option<CauseAdvice> {
    of_server(code).or_else(|| of_statement(code))
}

/// The server, the session or another session is the cause.
fn of_server(code: &str) -> Option<CauseAdvice> {
    Some(match code {
        "28P01" => (
            "the password is wrong",
            "correct the password in `[database]`, or in the variable or file that it comes from",
        ),
        "28000" => (
            "the role does not exist or may not log in, or pg_hba.conf has no entry for it from this address",
            "correct the user name in `[database]`, or add an entry to the server's pg_hba.conf",
        ),
        "3D000" => {
            ("the database does not exist", "create the database, or correct its name in `[database]`")
        }
        "42501" => (
            "the database user lacks a privilege, or does not own the object",
            "GRANT the privilege that the message names (USAGE and CREATE on the schema; SELECT on its tables to read; \
             ownership to alter them), or connect as the role that owns the schemas",
        ),
        "53300" => (
            "the server, the database or the role has reached its connection limit",
            "end unneeded sessions, raise max_connections, or lower `[migrations] apply.jobs`; this query lists the sessions",
        ),
        "53100" | "58030" => (
            "the server's disk is full or fails",
            "free space on the database server's disk; uncommitted changes are rolled back",
        ),
        "53200" => (
            "the server ran out of memory, or its lock table is full",
            "raise max_locks_per_transaction if the message names shared memory (requires a restart), else give the server more memory",
        ),
        "53400" => (
            "a limit of the server's configuration is exceeded",
            "raise the limit that the message names, for example temp_file_limit",
        ),
        "25006" => (
            "the server is read-only: a standby, a failover, a hosting provider's reaction to a full disk, or \
             default_transaction_read_only",
            "connect to the primary, or check why it accepts no writes: SHOW transaction_read_only",
        ),
        "57P01" | "57P02" | "57P03" => (
            "the server is starting, shutting down or failing over",
            "wait until the server accepts connections; its log has the reason",
        ),
        "57P04" => ("the database was dropped", "create the database, or correct its name in `[database]`"),
        "55P03" => (
            "another session holds a table lock (probably a running or stuck migration)",
            "end the blocking session, or wait for it; this query lists it",
        ),
        "57014" => (
            "the statement ran longer than `statement_timeout`, or it was cancelled",
            "make the statement faster, or raise `[migrations] apply.statement_timeout` (or the role's setting)",
        ),
        "25P03" | "25P04" => (
            "the server ended the transaction because of its idle or transaction time-out",
            "raise the role's idle_in_transaction_session_timeout or transaction_timeout",
        ),
        "40001" | "40P01" => (
            "the transaction conflicted with another one (a deadlock or a serialization failure)",
            "stop other sessions that write to these tables; the transaction was rolled back",
        ),
        "55006" => (
            "another session uses the object",
            "end the session that uses it, or wait for it; this query lists the sessions",
        ),
        "54000" | "54001" | "54011" | "54023" => (
            "a limit of the server is exceeded (stack depth, size of a row, number of columns or arguments)",
            "make the statement smaller, or raise the limit that the message names",
        ),
        "53000" | "58000" | "58P02" | "XX000" => (
            "the server reports an internal error or a lack of resources",
            "check the server's log for the reason; uncommitted changes are rolled back",
        ),
        "XX001" | "XX002" => (
            "the server reports damaged data",
            "stop writing, check the server's disks, and restore from a backup",
        ),
        _ => return None,
    })
}

/// The statement, or the objects and rows that it meets, are the cause.
fn of_statement(code: &str) -> Option<CauseAdvice> {
    Some(match code {
        "42P04" | "42P06" | "42P07" | "42701" | "42710" | "42723" => (
            "the object exists already: the ledger row of the migration was deleted, or the object was created by hand",
            "if the object differs from the migration's, drop it; if it is the same, restore the migration's ledger row",
        ),
        "3F000" | "42P01" | "42703" | "42704" | "42883" => (
            "a schema, table, column or function that is used does not exist",
            "restore it, or correct the migration that uses it; SQL files find names only in their own schema and in \
             `[migrations] search_path` (for extensions)",
        ),
        "42601" => ("the SQL has a syntax error", "correct the statement that the message shows"),
        "23505" => ("existing rows have duplicate values", "merge or delete the duplicate rows"),
        "23502" => (
            "existing rows have no value for a column that requires one",
            "fill the column in the existing rows, or give it a default",
        ),
        "23503" => (
            "existing rows refer to rows that do not exist",
            "delete or correct the rows that the message names",
        ),
        "23514" | "23P01" => {
            ("existing rows violate the constraint", "correct the rows that the message names")
        }
        "0A000" => (
            "the server does not support this: its version is too old, or an extension is not installed",
            "install the extension that the message names, upgrade the server, or correct the migration",
        ),
        "58P01" => (
            "a file of the server is missing, for example an extension that is not installed",
            "install the extension that the message names on the database server, or correct the migration",
        ),
        "2BP01" => (
            "other objects depend on an object that the migration drops or changes",
            "drop or change the dependent objects first; the message names them",
        ),
        "55P04" => (
            "a new value of an enum cannot be used in the transaction that adds it",
            "add the value in a migration of its own, before the one that uses it",
        ),
        "25001" => (
            "the statement cannot run inside a transaction",
            "mark the migration as not transactional (SQL files: `-- no-transaction` in the first line)",
        ),
        _ => return None,
    })
}

fn of_sqlite(code: i32) -> Option<CauseAdvice> {
    Some(match code & 0xff {
        11 => (
            "the database file is damaged",
            "restore the file from a backup; `PRAGMA integrity_check` shows what is damaged",
        ),
        26 => (
            "the file is not an SQLite database",
            "restore the file from a backup, or correct `[database] url`",
        ),
        13 => ("the disk is full", "free space on the volume that holds the database files"),
        8 => (
            "the file, its folder or the volume is read-only for this user",
            "make the file and its folder writable for this user; mount the volume read-write",
        ),
        5 | 6 => (
            "another process is writing to the file",
            "wait for the other process, or end it (`fuser FILE` names it)",
        ),
        14 => (
            "the file or its folder does not exist, or this user may not open it",
            "create the folder, give this user access to it, or correct `[database] url`",
        ),
        10 => (
            "the disk or the network file system failed",
            "check the volume; SQLite requires one with working locks",
        ),
        3 | 23 => {
            ("this user lacks a permission on the file", "give this user access to the file and its folder")
        }
        19 => ("existing rows violate the constraint", "correct the rows that the message names"),
        _ => return None,
    })
}

fn of_io(kind: io::ErrorKind) -> Option<CauseAdvice> {
    use io::ErrorKind as Io;
    Some(match kind {
        Io::ConnectionRefused => (
            "nothing listens at that address: the server is not running yet, or the port is wrong",
            "start the server, or correct the address; the server's log has the reason",
        ),
        Io::HostUnreachable | Io::NetworkUnreachable | Io::NetworkDown | Io::AddrNotAvailable => {
            ("the network has no route to that address", "check the network, the address and the firewalls")
        }
        Io::NotFound => ("the file or socket does not exist", "create it, or correct its path"),
        Io::PermissionDenied => ("this user may not use the file or socket", "give this user access to it"),
        _ => return None,
    })
}

fn of_kind(kind: Kind) -> Option<CauseAdvice> {
    Some(match kind {
        Kind::Other | Kind::Rejected => return None,
        Kind::Unreachable => (
            "the server is not running, or its name or port is wrong",
            "start the server, or correct the address; check that the name resolves in this container",
        ),
        Kind::Authentication => (
            "the credentials are wrong, or the account may not log in",
            "correct the user name and the password",
        ),
        Kind::PasswordSource => (
            "the source of the password refuses the request, or is not set up for this container",
            "correct `password` in `[database]`, or the rights that this container has there; `portcullis token` asks the source alone",
        ),
        Kind::RdsToken => (
            "the role lacks `rds_iam`, or the policy of this container does not allow `rds-db:connect`",
            "GRANT rds_iam to the role in the database, allow `rds-db:connect` on its `dbuser` in the IAM policy, and enable \
             IAM authentication of the server; `host` must be the name that RDS gives it",
        ),
        Kind::CloudSqlToken => (
            "the service account is not a user of the Cloud SQL server, or lacks the role `roles/cloudsql.instanceUser`",
            "add the service account as an IAM user of the server, give it that role, and set the flag \
             `cloudsql.iam_authentication`; the user is its name without `.gserviceaccount.com`",
        ),
        Kind::AzureToken => (
            "the identity is not a role of the database server",
            "create the role as the Entra administrator in the database `postgres` (`pgaadauth_create_principal`), and name \
             it as the identity",
        ),
        Kind::Certificate => (
            "the server's certificate is for another name, its authority is not trusted, or the TLS settings do not match",
            "set the authority's certificate (`sslrootcert`), correct the host name, or renew the certificate",
        ),
        Kind::TooManyConnections => (
            "the server has reached its connection limit",
            "end unneeded connections, or raise the server's limit",
        ),
        Kind::Lost => (
            "the connection was lost: the server ended, or the network failed",
            "check the server's log for a crash or a restart; the ledgers record the committed migrations",
        ),
        Kind::Silent => (
            "the server or the network did not respond in time (overload, a paused machine, a firewall that drops packets)",
            "check the server's load and the network",
        ),
        Kind::Protocol => (
            "what answers at that address is another service, or a proxy changes the server's answers",
            "correct the host and the port; connect without the proxy to see whether it is the cause",
        ),
        Kind::ReadOnly => (
            "the server or the file system is read-only",
            "connect to the primary, or make the file system writable",
        ),
        Kind::DiskFull => ("the disk is full", "free space on the disk"),
        Kind::OutOfMemory => ("the memory is exhausted", "raise the memory limit"),
        Kind::Permission => {
            ("this user lacks a privilege", "give this user the privilege that the message names")
        }
        Kind::RowSecurity => (
            "a row-level security policy hides rows of the table from the role, and hidden rows prove nothing",
            "give the role access to every row: ALTER ROLE ... BYPASSRLS, or connect as the table's owner without FORCE ROW \
             LEVEL SECURITY; a policy that shows every row is not enough",
        ),
        Kind::Locked => ("another session holds the lock", "wait for the other session, or end it"),
        Kind::Cancelled => {
            ("the statement was cancelled or timed out", "raise the time limit, or make the statement faster")
        }
        Kind::Corrupt => ("the data are damaged", "restore them from a backup"),
        Kind::Exists => {
            ("an object with that name exists already", "drop it, or record the migration as applied")
        }
        Kind::Missing => {
            ("a required object does not exist", "restore it, or correct the migration that uses it")
        }
        Kind::Constraint => ("existing rows violate a constraint", "correct the rows that the message names"),
        Kind::File => ("a local file cannot be used", "correct its path, its permissions or its content"),
    })
}
