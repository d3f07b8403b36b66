//! refinery: one row for each migration file, by its version, with a checksum of its name, version and text.
//!
//! Source: refinery-core 0.10, `util.rs` (the pattern) and `runner.rs` (`Migration::unapplied`: SipHash-1-3, which is also
//! the standard library's hasher). The version is hashed as `i32`, or as `i64` with the feature `int8-versions`. The text
//! of a migration in Rust is known only when it runs.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::files::{FileLedger, SourceFile, by_id};
use super::signature::Signature;
use crate::tenants::{
    ledger::{Checksum, LedgerLayout},
    manifest::Migration,
};

pub(super) static REFINERY: FileLedger = FileLedger {
    name: "refinery",
    title: "refinery",
    signatures: &[Signature {
        title: "refinery",
        table: "refinery_schema_history",
        columns: &["version", "name", "applied_on", "checksum"],
        beside: None,
        folders: &["migrations", "src/migrations"],
        lines: "apply = { run = [\"./migrate\", \"{schema}\"] }\n",
    }],
    layout: LedgerLayout {
        name: Some("name"),
        checksum: Some(Checksum::Text("checksum")),
        ..LedgerLayout::of("refinery_schema_history", "version")
    },
    files: &[
        "**/V{number}__{name}.sql",
        "**/U{number}__{name}.sql",
        "**/V{number}__{name}.rs",
        "**/U{number}__{name}.rs",
    ],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![file.id.clone()]),
    read,
    is_atomic: true,
    read_line: |_| None,
};

fn read(files: &[SourceFile]) -> Result<Vec<Migration>, String> {
    let is_word = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if let Some(file) = files.iter().find(|file| !is_word(&file.name)) {
        return Err(format!("refinery ignores `{}`: the name may have letters, digits and `_`", file.path));
    }
    let mut migrations = by_id(files)?;
    for migration in &mut migrations {
        let Some(file) = files.iter().find(|file| file.id == migration.id) else { continue };
        if file.path.strip_suffix(".sql").is_none() {
            continue;
        }
        let invalid = |why: String| format!("`{}`: {why}", file.path);
        let sql = std::str::from_utf8(&file.bytes).map_err(|error| invalid(error.to_string()))?;
        let long: i64 = file.id.parse().map_err(|_| invalid("its version is too large".into()))?;
        let (of_long, of_short) = (
            Some(checksum(file, long, sql)),
            i32::try_from(long).ok().map(|short| checksum(file, short, sql)),
        );
        (migration.checksum, migration.other_line_ends) =
            if of_short.is_some() { (of_short, of_long) } else { (of_long, None) };
    }
    Ok(migrations)
}

fn checksum(file: &SourceFile, version: impl Hash, sql: &str) -> String {
    let mut hasher = DefaultHasher::new();
    file.name.hash(&mut hasher);
    version.hash(&mut hasher);
    sql.hash(&mut hasher);
    hasher.finish().to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn file(path: &str, id: &str, name: &str) -> SourceFile {
        let bytes = b"CREATE TABLE account (id int PRIMARY KEY);\n".to_vec();
        SourceFile { path: path.into(), id: id.into(), name: name.into(), bytes }
    }

    #[test]
    fn versions_of_both_widths_and_migrations_in_rust_are_known() {
        let files = [
            file("V1__first.sql", "1", "first"),
            file("V2__second.rs", "2", "second"),
            file("U20240101000001__third.sql", "20240101000001", "third"),
        ];
        let migrations = read(&files).unwrap();
        let has = |at: usize| {
            let migration: &Migration = &migrations[at];
            (migration.checksum.is_some(), migration.other_line_ends.is_some())
        };
        assert_eq!((has(0), has(1), has(2)), ((true, true), (false, false), (true, false)));
        // Recorded by refinery 0.10.
        assert_eq!(migrations[0].checksum.as_deref(), Some("14566635896222476080"));
        assert_eq!(migrations[2].name, "20240101000001 third");
    }

    #[test]
    fn a_file_that_refinery_ignores_is_refused() {
        assert!(read(&[file("V1__a-b.sql", "1", "a-b")]).unwrap_err().contains("ignores `V1__a-b.sql`"));
    }
}
