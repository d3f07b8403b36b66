//! Ledgers that the configuration describes: Flyway's with a row for each migration, golang-migrate's with one row.

use super::{
    framework::{Framework, PLAIN, each, table},
    model::State,
};

pub const FLYWAY: Framework = Framework {
    name: "custom",
    title: "Flyway",
    settings: "tenant = \"migrations\"\nledger = { table = \"flyway_schema_history\", id = \"version\", applied_when = \"success\", \
               where = \"version IS NOT NULL AND type NOT IN ('BASELINE', 'SCHEMA', 'DELETE')\", files = [\"V{id}__{name}.sql\"] }",
    files: || each(|k| (format!("migrations/V{}__m{k}.sql", k + 1), table(k))),
    ledger: "flyway_schema_history (installed_rank serial PRIMARY KEY, version varchar(50), type varchar(20) NOT NULL, \
             success boolean NOT NULL)",
    row: |_, id, _, state| {
        let kind = if state == State::RolledBack { "DELETE" } else { "SQL" };
        format!("(version, type, success) VALUES ('{id}', '{kind}', {})", state != State::Failed)
    },
    unknown: "99",
    has_failures: true,
    has_attempts: true,
    ..PLAIN
};

pub const GOLANG_MIGRATE: Framework = Framework {
    name: "custom",
    title: "golang-migrate",
    settings: "tenant = \"migrations\"\nledger = { table = \"schema_migrations\", id = \"version\", applied_when = \"NOT dirty\", \
               rows = \"latest\", files = [\"{number}_{name}.up.sql\"] }",
    files: || each(|k| (format!("migrations/{}_m{k}.up.sql", k + 1), table(k))),
    ledger: "schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)",
    row: |_, id, _, state| format!("VALUES ({id}, {})", state == State::Failed),
    unknown: "99",
    has_failures: true,
    has_heads: true,
    ..PLAIN
};
