//! The order in which files are applied to one schema, and the attempts if another session holds a lock. The same on both engines.

use std::time::Duration;

use super::{Applied, ApplyEnd, ApplyError, Limits, MigrationFile};
use crate::retry::{Pauses, Retry};

/// If another session holds a lock.
const ATTEMPTS: u32 = 6;
const PAUSES: Pauses = Pauses { first: Duration::from_millis(300), longest: Duration::from_millis(1200) };

/// Applies the files with `apply`: adjacent files that run in transactions together, each other file alone. `apply` adds the
/// names of the files that it has committed.
pub(super) async fn apply_each(
    files: &[MigrationFile],
    limits: &Limits,
    apply: impl AsyncFn(&[MigrationFile], &mut Vec<String>) -> Result<(), ApplyError>,
) -> Result<Applied, ApplyError> {
    let mut applied = Applied::default();
    for segment in files.chunk_by(|a, b| !a.no_transaction && !b.no_transaction) {
        let attempt = retry_locked(limits, async || apply(segment, &mut applied.migrations).await).await;
        if let Err(error) = attempt {
            return Err(ApplyError { applied: applied.migrations, ..error });
        }
    }
    Ok(applied)
}

/// Repeats an attempt that failed because another session holds a lock.
pub(super) async fn retry_locked<T>(
    limits: &Limits,
    mut attempt: impl AsyncFnMut() -> Result<T, ApplyError>,
) -> Result<T, ApplyError> {
    let mut retry = Retry::new(PAUSES).at_most(ATTEMPTS);
    loop {
        let error = match attempt().await {
            Err(error) if error.is_locked() => error,
            result => return result,
        };
        if (limits.nowait && error.end == ApplyEnd::HeldByOther) || !retry.pause().await {
            return Err(error);
        }
    }
}
