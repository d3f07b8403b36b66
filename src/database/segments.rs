//! The order in which files are applied to one schema, and the attempts if another session holds a lock. The same on both engines.

use std::time::Duration;

use super::{Applied, ApplyEnd, ApplyError, Limits, MigrationFile};

/// The number of attempts if another session holds a lock.
const ATTEMPTS: u32 = 6;

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
    let mut attempts = 1;
    loop {
        let error = match attempt().await {
            Err(error) if error.is_locked() && attempts < ATTEMPTS => error,
            result => return result,
        };
        if limits.nowait && error.end == ApplyEnd::HeldByOther {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(100..=300) * u64::from(attempts))).await;
        attempts += 1;
    }
}
