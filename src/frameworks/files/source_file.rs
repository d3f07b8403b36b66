//! A migration file of a framework.

/// A migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Relative to its folder, with slashes.
    pub(crate) path: String,
    /// The identifier that follows from the path; empty if the pattern does not identify.
    pub(crate) id: String,
    /// The description in the path; empty if it has none.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The words, without spaces, of statements that no transaction can contain and of the tools' ways out of their
/// transaction: `autocommit_block()`, `transaction: false`, `$withinTransaction = false`, `noTransaction()`,
/// `isTransactional()`, `use_transaction()`, `disable_ddl_transaction!`.
const OUTSIDE: [&str; 8] = [
    "concurrently",
    "autocommit_block(",
    "transaction:false",
    "transaction=false",
    "notransaction(",
    "istransactional(",
    "use_transaction(",
    "disable_ddl_transaction!",
];

const COMMENTS: [&str; 4] = ["#", "--", "//", "*"];

/// The beginning of a comment with options: `-- migrate:up transaction:false`.
const DIRECTIVE: &str = "-- migrate:";

impl SourceFile {
    /// Whether a line of code has a statement that must run outside a transaction, or leaves the tool's transaction.
    pub(super) fn leaves_transaction(&self) -> bool {
        let text = String::from_utf8_lossy(&self.bytes).to_lowercase();
        let is_comment = |line: &str| {
            COMMENTS.iter().any(|start| line.trim_start().starts_with(start)) && !line.starts_with(DIRECTIVE)
        };
        text.lines().filter(|line| !is_comment(line)).any(|line| {
            let line: String = line.split_whitespace().collect();
            OUTSIDE.iter().any(|word| line.contains(word))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_leaves_its_transaction_is_recognised_in_each_language() {
        let leaves = |text: &str| {
            let (path, id, name) = (String::new(), String::new(), String::new());
            SourceFile { path, id, name, bytes: text.into() }.leaves_transaction()
        };
        for text in [
            "CREATE UNIQUE INDEX\n  Concurrently i ON t (c);",
            "    op.create_index(\"i\", \"t\", [\"c\"], postgresql_concurrently=True)",
            "with op.get_context().autocommit_block():",
            "exports.config = { transaction : false };",
            "  transaction = false as const;",
            "  pgm.noTransaction();",
            "  disable_ddl_transaction!",
            "    public $withinTransaction = false;",
            "  isTransactional() { return false; }",
            "-- migrate:up transaction:false\nVACUUM t;",
            "queryInterface.addIndex('t', ['c'], { concurrently: true })",
        ] {
            assert!(leaves(text), "{text}");
        }
        for text in [
            "-- not CONCURRENTLY: the table is small\nCREATE INDEX i ON t (c);",
            "# without autocommit_block()\nop.execute('SELECT 1')",
            "// transaction: false\n/*\n * concurrently\n */\nexports.config = { transaction: true };",
        ] {
            assert!(!leaves(text), "{text}");
        }
    }
}
