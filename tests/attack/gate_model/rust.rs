//! The ledgers of tools in Rust: sqlx's, which `sql` has too, and those of refinery, Diesel and SeaORM.

use super::{
    framework::{Framework, PLAIN, each, table},
    model::State,
};

pub const SQL: Framework = Framework {
    name: "sql",
    title: "sql",
    settings: "shared = \"shared\"\ntenant = \"tenant\"",
    manifest: Some("sql"),
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
    has_creations: true,
    ..PLAIN
};

pub const REFINERY: Framework = Framework {
    name: "refinery",
    title: "refinery",
    files: || each(|k| (format!("migrations/V{}__m{k}.sql", k + 1), table(k))),
    ledger: "refinery_schema_history (version int4 PRIMARY KEY, name varchar(255), applied_on varchar(255), checksum varchar(255))",
    row: |k, id, checksum, _| format!("VALUES ({id}, 'm{k}', '2024-01-01T00:00:00Z', '{checksum}')"),
    unknown: "99",
    has_checksum: true,
    ..PLAIN
};

pub const DIESEL: Framework = Framework {
    name: "diesel",
    title: "Diesel",
    files: || each(|k| (format!("migrations/2024-01-01-00000{k}_m{k}/up.sql"), table(k))),
    ledger: "__diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    ..PLAIN
};

const DERIVED: &str = "#[derive(DeriveMigrationName)]\npub struct Migration;\n";

pub const SEA_ORM: Framework = Framework {
    name: "sea-orm",
    title: "SeaORM",
    files: || each(|k| (format!("migrations/m20240101_00000{k}_m{k}.rs"), DERIVED.to_owned())),
    ledger: "seaql_migrations (version varchar PRIMARY KEY, applied_at bigint NOT NULL)",
    row: |_, id, _, _| format!("VALUES ('{id}', 1704067200)"),
    ..PLAIN
};
