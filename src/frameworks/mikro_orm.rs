//! MikroORM: one row for each migration file, by the file's name without `.js` or `.ts`; `.cjs` remains.
//!
//! Source: MikroORM 7, `AbstractMigrator` (the pattern) and `MigrationStorage.getMigrationName`.

use super::files::{FileLedger, SourceFile, by_id};
use super::framework::Progress;
use super::signature::Signature;
use crate::tenants::{ledger::LedgerLayout, manifest::Migration};

pub(super) static MIKRO_ORM: FileLedger = FileLedger {
    name: "mikro-orm",
    title: "MikroORM",
    signatures: &[Signature {
        title: "MikroORM",
        table: "mikro_orm_migrations",
        columns: &["id", "name", "executed_at"],
        beside: None,
        folders: &["migrations", "dist/migrations", "src/migrations"],
        lines: "apply = { run = [\"env\", \"TENANT={schema}\", \"mikro-orm\", \"migration:up\"] }\n",
    }],
    layout: LedgerLayout::of("mikro_orm_migrations", "name"),
    files: &["{id}.js", "{id}.ts", "{id}.cjs", "!{id}.d.js", "!{id}.d.ts", "!{id}.d.cjs"],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![recorded(file)]),
    read,
    is_atomic: true,
    read_line,
};

fn read(files: &[SourceFile]) -> Result<Vec<Migration>, String> {
    let named = |file: &SourceFile| SourceFile { id: recorded(file), ..file.clone() };
    by_id(&files.iter().map(named).collect::<Vec<_>>())
}

fn recorded(file: &SourceFile) -> String {
    let with_ending = format!("{}.cjs", file.id);
    if file.path == with_ending { with_ending } else { file.id.clone() }
}

/// Parses `[migrator] Processing 'Migration20240101000001'`.
fn read_line(line: &str) -> Option<Progress<'_>> {
    let (_, name) = line.split_once("Processing '")?;
    Some(Progress::Applying(name.split_once('\'')?.0))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_ending_cjs_is_part_of_the_identifier() {
        let file = |path: &str| SourceFile {
            path: path.into(),
            id: "Migration1".into(),
            name: String::new(),
            bytes: Vec::new(),
        };
        for (path, id) in [("Migration1.ts", "Migration1"), ("Migration1.cjs", "Migration1.cjs")] {
            assert_eq!(read(&[file(path)]).unwrap()[0].id, id);
        }
    }

    #[test]
    fn the_current_migration_is_read_from_the_output() {
        let line = "\u{1b}[90m[migrator] \u{1b}[39mProcessing 'Migration20240101000001_First'";
        assert_eq!(read_line(line), Some(Progress::Applying("Migration20240101000001_First")));
        assert_eq!(read_line("Successfully migrated up to the latest version"), None);
    }
}
