//! SeaORM: one row for each migration, by the name of its file without `.rs`, or by the name that it returns itself.
//!
//! Source: sea-orm-migration 2.0, `lib.rs` (`MigrationName`), `util.rs` and the derive macro `DeriveMigrationName`.

use super::files::{FileLedger, SourceFile};
use super::signature::Signature;
use crate::tenants::{ledger::LedgerLayout, manifest::Migration};

pub(super) static SEA_ORM: FileLedger = FileLedger {
    name: "sea-orm",
    title: "SeaORM",
    signatures: &[Signature {
        title: "SeaORM",
        table: "seaql_migrations",
        columns: &["version", "applied_at"],
        beside: None,
        folders: &["migration/src", "migrations", "src/migrations"],
        lines: "apply = { run = [\"./migrate\", \"{schema}\"] }\n",
    }],
    layout: LedgerLayout::of("seaql_migrations", "version"),
    files: &["m{digits}_{name}.rs"],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![name(file)?]),
    read,
    is_atomic: true,
    read_line: |_| None,
};

fn read(files: &[SourceFile]) -> Result<Vec<Migration>, String> {
    let migration = |file: &SourceFile| {
        let name = name(file)?;
        Ok(Migration { id: name.clone(), name, ..Migration::default() })
    };
    files.iter().map(migration).collect()
}

fn name(file: &SourceFile) -> Result<String, String> {
    let text = String::from_utf8_lossy(&file.bytes);
    if let Some((_, after)) = text.split_once("MigrationName for ") {
        let body = after.split_once("fn name").and_then(|(_, body)| body.split_once('{'));
        let literal = body.and_then(|(_, body)| body.trim_start().strip_prefix('"')?.split_once('"'));
        let literal =
            literal.filter(|(name, rest)| !name.contains('\\') && rest.trim_start().starts_with('}'));
        return match literal {
            Some((name, _)) => Ok(name.to_owned()),
            None => Err(format!("`{}`: `MigrationName::name` does not return a literal", file.path)),
        };
    }
    if !text.contains("DeriveMigrationName") {
        return Err(format!("`{}`: it has no `DeriveMigrationName`", file.path));
    }
    Ok(file.path.strip_suffix(".rs").unwrap_or(&file.path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_derived_or_returned() {
        let of = |text: &str| {
            let path = "m20240101_000001_first.rs".into();
            name(&SourceFile { path, id: String::new(), name: String::new(), bytes: text.into() })
        };
        let derived = "#[derive(DeriveMigrationName)]\npub struct Migration;\n";
        assert_eq!(of(derived), Ok("m20240101_000001_first".into()));
        let own =
            "impl MigrationName for Migration {\n    fn name(&self) -> &str {\n        VALUE\n    }\n}\n";
        assert_eq!(of(&own.replace("VALUE", "\"m1_other\"")), Ok("m1_other".into()));
        for text in
            [&own.replace("VALUE", "NAME"), &own.replace("VALUE", "\"a\".trim()"), "pub struct Migration;"]
        {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
