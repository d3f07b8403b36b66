//! Finds the migration files that a ledger does not record.

use super::{ApplyError, MigrationFile};
use crate::{
    frameworks::sql::{self, Replaced},
    tenants::inspection::LedgerRow,
};

/// The pending files. A dirty or altered row is an error; the gate judges rows without a file.
pub(super) fn pending<'a>(
    files: &'a [MigrationFile],
    recorded: &[LedgerRow],
) -> Result<Vec<&'a MigrationFile>, ApplyError> {
    if let Some(dirty) = recorded.iter().find(|row| !row.succeeded) {
        let name = format!("{} {}", dirty.id, dirty.name);
        return Err(ApplyError::of(format!("the ledger records that `{name}` failed or is half applied")));
    }
    let mut pending = Vec::new();
    for file in files {
        let expected = file.expected();
        match (recorded.iter().find(|row| row.id == expected.id), sql::replaced(&expected, recorded)) {
            (None, Replaced::Not) => pending.push(file),
            (None, Replaced::Fully) => {}
            (None, Replaced::InPart) => {
                let why = "only some of the migrations that the file replaces were applied: apply the others with the previous release";
                return Err(ApplyError::of(why).at(file, None));
            }
            (Some(row), _) if row.checksum == expected.checksum => {}
            (Some(row), _) => {
                let why = if row.checksum == expected.other_line_ends {
                    "the file's line ends were altered after it was applied"
                } else {
                    "the file was altered after it was applied"
                };
                return Err(ApplyError::of(why).at(file, None));
            }
        }
    }
    Ok(pending)
}
