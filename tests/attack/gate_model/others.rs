//! The ledgers of dbmate, Rails and Laravel. Rails and Laravel projects delete old migrations, whose rows do not count.

use super::framework::{Framework, PLAIN, each};

pub const DBMATE: Framework = Framework {
    name: "dbmate",
    title: "dbmate",
    files: || {
        each(|k| (format!("migrations/2024010100000{k}_m{k}.sql"), "-- migrate:up\nSELECT 1;\n".into()))
    },
    ledger: "schema_migrations (version varchar(128) PRIMARY KEY)",
    unknown: "20990101000000",
    ..PLAIN
};

pub const RAILS: Framework = Framework {
    name: "rails",
    title: "Rails",
    files: || each(|k| (format!("migrations/2024010100000{k}_m{k}.rb"), "class M; end\n".into())),
    ledger: "schema_migrations (version varchar PRIMARY KEY)",
    unknown: "20990101000000",
    ignored: Some("20200101000000"),
    ..PLAIN
};

pub const LARAVEL: Framework = Framework {
    name: "laravel",
    title: "Laravel",
    files: || each(|k| (format!("migrations/2024_01_01_00000{k}_m{k}.php"), "<?php\n".into())),
    ledger: "migrations (id serial PRIMARY KEY, migration varchar(255) NOT NULL, batch int NOT NULL)",
    row: |_, id, _, _| format!("(migration, batch) VALUES ('{id}', 1)"),
    unknown: "2099_01_01_000000_future",
    ignored: Some("2020_01_01_000000_deleted"),
    ..PLAIN
};
