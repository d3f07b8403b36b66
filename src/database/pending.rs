//! Which migration files a ledger lacks.

use super::{ApplyError, MigrationFile};
use crate::{tenants::found::Recorded, words::hex};

/// The files that a ledger lacks. One that says dirty or altered cannot be continued; rows of versions
/// that no file has are left to whoever judged the ledger.
pub(super) fn pending<'a>(
    files: &'a [MigrationFile],
    recorded: &[Recorded],
) -> Result<Vec<&'a MigrationFile>, ApplyError> {
    if let Some(dirty) = recorded.iter().find(|row| !row.succeeded) {
        let name = format!("{} {}", dirty.id, dirty.name);
        return Err(ApplyError::of(format!("the ledger says that `{name}` failed or is half done")));
    }
    let mut pending = Vec::new();
    for file in files {
        let id = file.version.to_string();
        match recorded.iter().find(|row| row.id == id) {
            None => pending.push(file),
            Some(row) if row.checksum.as_deref() == Some(&hex(&file.checksum)) => {}
            Some(_) => {
                let why = "the file was altered after it was applied";
                return Err(ApplyError::of(why).at(file, None));
            }
        }
    }
    Ok(pending)
}
