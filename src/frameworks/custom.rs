//! Any other ledger, described in the configuration: its table, its columns, and the names of the migration files.

use super::{
    files::{FileLedger, by_id},
    signature::Signature,
};
use crate::tenants::ledger::LedgerLayout;

pub(super) static CUSTOM: FileLedger = FileLedger {
    name: "custom",
    title: "a custom ledger",
    signatures: RECIPES,
    // The configuration requires the table and the column.
    layout: LedgerLayout::of("", ""),
    files: &[],
    recorded_as: None,
    is_ordered: true,
    may_be_pruned: false,
    ids: |file| Ok(vec![file.id.clone()]),
    read: by_id,
    is_atomic: true,
    read_line: |_| None,
};

/// Tools whose ledgers the configuration can describe, from their source. The real tools are not in the tests.
const RECIPES: &[Signature] = &[
    Signature {
        title: "Flyway",
        table: "flyway_schema_history",
        columns: &[
            "installed_rank",
            "version",
            "description",
            "type",
            "script",
            "checksum",
            "installed_by",
            "installed_on",
            "execution_time",
            "success",
        ],
        beside: None,
        folders: &["src/main/resources/db/migration", "db/migration", "sql", "migrations"],
        lines: "ledger = { table = \"flyway_schema_history\", id = \"version\", applied_when = \"success\", where = \"version IS NOT NULL AND type NOT IN ('BASELINE', 'SCHEMA', 'DELETE')\", files = [\"**/V{id}__{name}.sql\"] }\napply = { run = [\"./migrate\", \"{schema}\"] }\n",
    },
    Signature {
        title: "goose",
        table: "goose_db_version",
        columns: &["id", "version_id", "is_applied", "tstamp"],
        beside: None,
        folders: &["migrations", "db/migrations", "sql/migrations"],
        lines: "ledger = { table = \"goose_db_version\", id = \"version_id\", applied_when = \"is_applied\", where = \"version_id > 0\", files = [\"{number}_{name}.sql\", \"{number}_{name}.go\"] }\napply = { run = [\"./migrate\", \"{schema}\"] }\n",
    },
    Signature {
        title: "golang-migrate",
        table: "schema_migrations",
        columns: &["version", "dirty"],
        beside: None,
        folders: &["migrations", "db/migrations"],
        lines: "ledger = { table = \"schema_migrations\", id = \"version\", applied_when = \"NOT dirty\", rows = \"latest\", files = [\"{number}_{name}.up.sql\"] }\napply = { run = [\"./migrate\", \"{schema}\"] }\n",
    },
    Signature {
        title: "Ecto",
        table: "schema_migrations",
        columns: &["version", "inserted_at"],
        beside: None,
        folders: &["priv/repo/migrations"],
        lines: "ledger = { table = \"schema_migrations\", id = \"version\", files = [\"**/{number}_{name}.exs\"] }\napply = { run = [\"mix\", \"ecto.migrate\", \"--prefix\", \"{schema}\"] }\n",
    },
    Signature {
        title: "EF Core",
        table: "__EFMigrationsHistory",
        columns: &["MigrationId", "ProductVersion"],
        beside: None,
        folders: &["Migrations", "src/Migrations"],
        lines: "ledger = { table = \"__EFMigrationsHistory\", id = \"MigrationId\", files = [\"{digits}_{name}.Designer.cs\"], recorded_as = \"{digits}_{name}\" }\napply = { run = [\"./migrate\", \"{schema}\"] }\n",
    },
    Signature {
        title: "Atlas",
        table: "atlas_schema_revisions",
        columns: &["version", "applied", "total", "error"],
        beside: None,
        folders: &["migrations", "atlas/migrations"],
        lines: "ledger = { table = \"atlas_schema_revisions\", id = \"version\", applied_when = \"applied = total AND coalesce(error, '') = ''\", where = \"version NOT LIKE '.%'\", files = [\"{digits}_{name}.sql\", \"{digits}.sql\"] }\napply = { run = [\"./migrate\", \"{schema}\"] }\n",
    },
    Signature {
        title: "Liquibase",
        table: "databasechangelog",
        columns: &["id", "author", "filename", "dateexecuted", "orderexecuted", "exectype", "md5sum"],
        beside: None,
        folders: &["changesets.txt"],
        lines: "ledger = { table = \"databasechangelog\", id = \"id\", applied_when = \"exectype IN ('EXECUTED', 'RERAN', 'MARK_RAN')\" }\napply = { run = [\"./migrate\", \"{schema}\"] }\n",
    },
];
