//! Reads what is seen from outside: `[log]`, `[status]`, `[notify]` and `[metrics]`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{Log, Notify, Status, child, fill::Node, problem::Problem, table::Table, values};
use crate::cli::{LogFormat, LogLevel};

const NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn log(table: Option<Table<'_>>) -> Log {
    let default = Log { format: LogFormat::Auto, level: LogLevel::Info };
    let Some(mut table) = table else {
        return default;
    };
    let formats = [
        ("auto", LogFormat::Auto),
        ("pretty", LogFormat::Pretty),
        ("plain", LogFormat::Plain),
        ("json", LogFormat::Json),
    ];
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
    ];
    let log = Log {
        format: table.read("format", values::word(&formats)).unwrap_or(default.format),
        level: table.read("level", values::word(&levels)).unwrap_or(default.level),
    };
    table.finish();
    log
}

pub(super) fn status(table: Option<Table<'_>>) -> Status {
    let Some(mut table) = table else {
        return Status::default();
    };
    let status = Status { listen: table.read("listen", address), file: table.read("file", values::path) };
    table.finish();
    status
}

pub(super) fn notify(mut table: Table<'_>) -> Option<Notify> {
    let command = child::argv(&mut table, "command");
    if command.as_ref().is_none_or(Vec::is_empty) {
        table.missing("command");
    }
    let timeout = table.read("timeout", values::duration).unwrap_or(NOTIFY_TIMEOUT);
    table.finish();
    Some(Notify { command: command.filter(|command| !command.is_empty())?, timeout })
}

pub(super) fn metrics(mut table: Table<'_>) -> Option<PathBuf> {
    let file = table.require("file", values::path);
    table.finish();
    file
}

/// An address to listen at: numbers only, because a name may be several.
fn address(node: &Node) -> Result<SocketAddr, Problem> {
    let expected = "an address to listen at, such as \"0.0.0.0:8080\" or \"[::]:8080\"";
    let text = values::text(node)?;
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    address.ok_or_else(|| values::wrong(node, expected))
}
