//! The ledgers of frameworks in Python.

use super::framework::{Framework, PLAIN, each};

pub const ALEMBIC: Framework = Framework {
    name: "alembic",
    files: || {
        each(|k| {
            let before = if k == 0 { "None".to_owned() } else { format!("\"rev{}\"", k - 1) };
            let text = format!(
                "revision = \"rev{k}\"\ndown_revision = {before}\nbranch_labels = None\ndepends_on = None\n"
            );
            (format!("migrations/rev{k}_m.py"), text)
        })
    },
    ledger: "alembic_version (version_num varchar(32) PRIMARY KEY)",
    row: |_, id, _, _| format!("VALUES ('{id}')"),
    has_heads: true,
    ..PLAIN
};
