//! Reads the tables for observers of the start-up: `[log]`, `[status]`, `[notify]` and `[metrics]`.

use std::path::PathBuf;

use super::{Log, Notify, Status, command_fields::argv, fields::Table, keys::Keyword};
use crate::logging::{LogFormat, LogLevel};

impl Keyword for LogFormat {
    const KEYWORDS: &'static [(&'static str, Self)] = &[
        ("auto", LogFormat::Auto),
        ("pretty", LogFormat::Pretty),
        ("plain", LogFormat::Plain),
        ("json", LogFormat::Json),
    ];
}

impl Keyword for LogLevel {
    const KEYWORDS: &'static [(&'static str, Self)] = &[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
    ];
}

pub(super) fn log(mut table: Table<'_>) -> Log {
    let log = Log {
        format: table.get("format").unwrap_or(LogFormat::Auto),
        level: table.get("level").unwrap_or(LogLevel::Info),
    };
    table.finish();
    log
}

pub(super) fn status(mut table: Table<'_>) -> Status {
    let status = Status {
        listen: table.get("listen"),
        file: table.get("file"),
        hides_details: table.get("details") == Some(false),
    };
    table.finish();
    status
}

pub(super) fn notify(mut table: Table<'_>) -> Option<Notify> {
    let (command, timeout) = (argv(&mut table, "command"), table.value("timeout"));
    table.finish();
    Some(Notify { command: command?, timeout })
}

pub(super) fn metrics(mut table: Table<'_>) -> Option<PathBuf> {
    let file = table.get("file");
    table.finish();
    file
}
