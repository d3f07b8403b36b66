//! The ledgers of frameworks in JavaScript and TypeScript.

use serde_json::{Value, json};

use super::{
    framework::{Framework, MIGRATIONS, PLAIN, each, table},
    model::State,
};

pub const PRISMA: Framework = Framework {
    name: "prisma",
    title: "Prisma",
    files: || each(|k| (format!("migrations/2024010100000{k}_m{k}/migration.sql"), table(k))),
    ledger: "_prisma_migrations (id serial PRIMARY KEY, checksum text NOT NULL, finished_at timestamptz, migration_name text \
             NOT NULL, logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), \
             applied_steps_count int NOT NULL DEFAULT 0)",
    row: |_, id, checksum, state| {
        let (finished, rolled_back) = match state {
            State::Applied => ("now()", "NULL"),
            State::Failed => ("NULL", "NULL"),
            State::RolledBack => ("NULL", "now()"),
        };
        format!(
            "(checksum, finished_at, migration_name, rolled_back_at) VALUES ('{checksum}', {finished}, '{id}', {rolled_back})"
        )
    },
    has_checksum: true,
    has_failures: true,
    has_attempts: true,
    ..PLAIN
};

pub const DRIZZLE: Framework = Framework {
    name: "drizzle",
    title: "Drizzle",
    files: || {
        let mut files = each(|k| (format!("migrations/000{k}_m{k}.sql"), table(k)));
        let entry = |k| json!({ "idx": k, "version": "7", "when": 1_704_067_200_000_u64 + k as u64, "tag": format!("000{k}_m{k}"), "breakpoints": true });
        let entries: Vec<Value> = (0..MIGRATIONS).map(entry).collect();
        let journal = json!({ "version": "7", "dialect": "postgresql", "entries": entries });
        files.push(("migrations/meta/_journal.json".to_owned(), journal.to_string()));
        files
    },
    ledger: "__drizzle_migrations (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint)",
    row: |_, id, checksum, _| format!("(hash, created_at) VALUES ('{checksum}', {id})"),
    unknown: "1999999999999",
    has_checksum: true,
    ..PLAIN
};

pub const TYPEORM: Framework = Framework {
    name: "typeorm",
    title: "TypeORM",
    files: || {
        each(|k| {
            let text = format!("module.exports = class M{k}170406720000{k} {{}};\n");
            (format!("migrations/170406720000{k}-M{k}.js"), text)
        })
    },
    ledger: "migrations (id serial PRIMARY KEY, timestamp bigint NOT NULL, name varchar NOT NULL)",
    row: |k, id, _, _| format!("(timestamp, name) VALUES (170406720000{k}, '{id}')"),
    ..PLAIN
};

pub const KNEX: Framework = Framework {
    name: "knex",
    title: "Knex",
    files: || {
        each(|k| {
            (format!("migrations/2024010100000{k}_m{k}.js"), "exports.up = exports.down = () => {};\n".into())
        })
    },
    ledger: "knex_migrations (id serial PRIMARY KEY, name varchar(255), batch int, migration_time timestamptz)",
    row: |_, id, _, _| format!("(name, batch, migration_time) VALUES ('{id}', 1, now())"),
    ..PLAIN
};

pub const SEQUELIZE: Framework = Framework {
    name: "sequelize",
    title: "Sequelize",
    files: || each(|k| (format!("migrations/2024010100000{k}-m{k}.js"), "module.exports = {};\n".into())),
    ledger: "\"SequelizeMeta\" (name varchar(255) PRIMARY KEY)",
    ..PLAIN
};

pub const NODE_PG_MIGRATE: Framework = Framework {
    name: "node-pg-migrate",
    title: "node-pg-migrate",
    files: || {
        each(|k| (format!("migrations/170406720000{k}_m{k}.sql"), "-- Up Migration\nSELECT 1;\n".into()))
    },
    ledger: "pgmigrations (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL)",
    row: |_, id, _, _| format!("(name, run_on) VALUES ('{id}', now())"),
    ..PLAIN
};

pub const KYSELY: Framework = Framework {
    name: "kysely",
    title: "Kysely",
    files: || each(|k| (format!("migrations/2024010100000{k}_m{k}.js"), "exports.up = () => {};\n".into())),
    ledger: "kysely_migration (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL)",
    row: |_, id, _, _| format!("VALUES ('{id}', '2024-01-01T00:00:00.000Z')"),
    ..PLAIN
};

pub const MIKRO_ORM: Framework = Framework {
    name: "mikro-orm",
    title: "MikroORM",
    files: || {
        each(|k| (format!("migrations/Migration2024010100000{k}.js"), "exports.up = () => {};\n".into()))
    },
    ledger: "mikro_orm_migrations (id serial PRIMARY KEY, name varchar(255), executed_at timestamptz DEFAULT CURRENT_TIMESTAMP)",
    row: |_, id, _, _| format!("(name) VALUES ('{id}')"),
    ..PLAIN
};
