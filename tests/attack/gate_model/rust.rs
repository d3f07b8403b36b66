//! The ledgers of tools in Rust, `sql` with sqlx's ledger among them.

use super::{
    framework::{Framework, PLAIN, each, table},
    model::State,
};

pub const SQL: Framework = Framework {
    name: "sql",
    files: || each(|k| (format!("tenant/{}_m{k}.sql", k + 1), table(k))),
    ledger: "_sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamp NOT NULL \
             DEFAULT CURRENT_TIMESTAMP, success boolean NOT NULL, checksum BINARY NOT NULL, execution_time bigint NOT NULL)",
    row: |_, id, checksum, state| {
        let success = state == State::Applied;
        format!(
            "(version, description, success, checksum, execution_time) VALUES ({id}, 'm', {success}, HEX{checksum}END, 0)"
        )
    },
    unknown: "1999999999999",
    has_checksum: true,
    has_failures: true,
    ..PLAIN
};
