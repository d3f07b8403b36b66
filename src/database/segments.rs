//! Applies files segment by segment: all that run in a transaction in one, the others on their own.

use std::time::Duration;

use super::{Applied, ApplyEnd, ApplyError, Limits, MigrationFile};

/// Attempts in all, where another session's lock stood in the way.
const ATTEMPTS: u32 = 6;

/// `apply` applies one segment, and is tried again while another session's lock is in the way.
pub(super) async fn each(
    files: &[MigrationFile],
    limits: &Limits,
    mut apply: impl AsyncFnMut(&[MigrationFile]) -> Result<Vec<String>, ApplyError>,
) -> Result<Applied, ApplyError> {
    let mut applied = Applied::default();
    for segment in files.chunk_by(|a, b| !a.no_transaction && !b.no_transaction) {
        let mut attempt = 1;
        loop {
            match apply(segment).await {
                Ok(more) => {
                    applied.migrations.extend(more);
                    break;
                }
                Err(error)
                    if !error.is_locked()
                        || (error.end == ApplyEnd::TakenByOther && limits.gives_way)
                        || attempt == ATTEMPTS =>
                {
                    return Err(ApplyError { applied: applied.migrations, ..error });
                }
                Err(_) => {}
            }
            let pause = fastrand::u64(100..=300) * u64::from(attempt);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            attempt += 1;
        }
    }
    Ok(applied)
}
