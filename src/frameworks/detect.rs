//! Recognises the ledgers of all frameworks by the names and the columns of tables. Pure.

use std::collections::BTreeSet;

use super::{ALL, framework::Framework, signature::Signature};
use crate::ordered::Ordered;
use crate::tenants::survey::LedgerTable;

/// A framework with the signature that a table has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recognised {
    pub(crate) framework: &'static dyn Framework,
    pub(crate) signature: &'static Signature,
}

fn known() -> impl Iterator<Item = Recognised> {
    ALL.iter().flat_map(|framework| {
        framework.signatures().iter().map(|signature| Recognised { framework: *framework, signature })
    })
}

/// The names of all known ledgers, and of the tables that tell them apart.
pub(crate) fn tables() -> Vec<&'static str> {
    known().flat_map(|known| [Some(known.signature.table), known.signature.beside]).flatten().collect()
}

/// Whether a table only tells a ledger apart.
pub(crate) fn is_beside(table: &str) -> bool {
    known().any(|known| known.signature.beside == Some(table))
}

/// The tool that made the table; `has` tells whether the same schema has another table.
///
/// With the tool's default name, the table has at least the tool's columns, and the tool with the most columns counts.
/// Under another name, the columns must be exactly the tool's.
pub(crate) fn recognise(table: &LedgerTable, has: impl Fn(&str) -> bool) -> Option<Recognised> {
    let found: BTreeSet<&str> = table.columns.iter().map(String::as_str).into_set();
    let columns = |known: &Recognised| known.signature.columns.iter().copied().into_set();
    let fits =
        |known: &Recognised| known.signature.beside.is_none_or(&has) && columns(known).is_subset(&found);
    let rank = |known: &Recognised| (known.signature.columns.len(), known.signature.beside.is_some());
    let default =
        known().filter(|known| known.signature.table == table.table && fits(known)).max_by_key(rank);
    default.or_else(|| {
        let same: Vec<_> = known().filter(|known| columns(known) == found && fits(known)).collect();
        let best = same.iter().map(rank).max()?;
        let mut same = same.into_iter().filter(|known| rank(known) == best);
        same.next().filter(|_| same.next().is_none())
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::config::{environment::Environment, load};

    fn title(table: &str, columns: &str) -> Option<&'static str> {
        let columns = columns.split(' ').map(str::to_owned).collect();
        let table = LedgerTable { table: table.into(), columns, ..LedgerTable::default() };
        recognise(&table, |_| false).map(|known| known.signature.title)
    }

    #[test]
    fn ledgers_of_one_name_are_told_apart_by_their_columns() {
        assert_eq!(title("schema_migrations", "version dirty"), Some("golang-migrate"));
        assert_eq!(title("schema_migrations", "version inserted_at"), Some("Ecto"));
        assert_eq!(title("schema_migrations", "version"), Some("dbmate"));
        assert_eq!(title("migrations", "id timestamp name"), Some("TypeORM"));
        assert_eq!(title("migrations", "id migration batch"), Some("Laravel"));
        assert_eq!(title("migrations", "id migration"), None);
        let table = |table: &str| {
            let columns = vec!["version".to_owned()];
            let table = LedgerTable { table: table.into(), columns, ..LedgerTable::default() };
            recognise(&table, |other| other == "ar_internal_metadata").map(|known| known.signature.title)
        };
        assert_eq!((table("schema_migrations"), table("other")), (Some("Rails"), Some("Rails")));
        // Under its own name, a ledger may have more columns; under another one, exactly these.
        assert_eq!(title("knex_migrations", "id name batch migration_time note"), Some("Knex"));
        assert_eq!(title("app_migrations", "id name batch migration_time"), Some("Knex"));
        assert_eq!(title("app_migrations", "id name batch migration_time note"), None);
    }

    #[test]
    fn every_framework_has_signatures_with_its_ledger_and_a_valid_configuration() {
        for framework in ALL {
            let signatures = framework.signatures();
            assert!(!signatures.is_empty(), "{}", framework.name());
            for table in framework.ledgers().iter().map(|ledger| ledger.shape().table) {
                let has = signatures.iter().any(|signature| signature.table == table);
                assert!(has || table.is_empty(), "{table}");
            }
            for signature in signatures {
                let migrations = signature.migrations(
                    framework.name(),
                    signature.table,
                    "tenant",
                    signature.folders.first().copied(),
                );
                let text = format!(
                    "[tenants]\nregistry = {{ table = \"t\", schema_column = \"s\" }}\n[migrations]\n{migrations}"
                );
                let config = load::of_text(&text, &Environment::default(), None);
                assert!(config.is_some_and(|config| config.migrations.is_some()), "{text}");
                let renamed = signature.migrations(framework.name(), "other", "tenant", None);
                assert!(renamed.contains("table = \"other\"") || framework.external().is_none(), "{renamed}");
            }
        }
    }

    /// The recipes and the commands of the documentation are those of the signatures.
    #[test]
    fn the_documentation_has_the_same_recipes_and_commands() {
        let page = include_str!("../../docs/ledgers.md");
        for signature in ALL.iter().flat_map(|framework| framework.signatures()) {
            for line in signature.lines.lines().filter(|line| !line.starts_with("manage")) {
                let keys = line.strip_prefix("ledger = { ").and_then(|keys| keys.strip_suffix(" }"));
                match keys {
                    None if line.contains("{parent}") => {}
                    // The project's own command.
                    None if signature.lines.starts_with("ledger") => {}
                    None => assert!(page.contains(line), "docs/ledgers.md lacks: {line}"),
                    Some(keys) => {
                        let row =
                            page.lines().find(|row| row.starts_with(&format!("| {} |", signature.title)));
                        let row = row.unwrap().replace('`', "");
                        assert!(row.contains(keys), "docs/ledgers.md lacks: {keys}");
                    }
                }
            }
        }
    }
}
