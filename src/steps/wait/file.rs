//! One look at whether a file exists.

use std::{fs, io::ErrorKind, path::Path};

use crate::database::Attempt;

pub(super) async fn look(path: &Path) -> Attempt {
    let path = path.to_owned();
    // A network file system that hangs must not make us deaf to signals, so the look has its own thread.
    match tokio::task::spawn_blocking(move || fs::metadata(path)).await {
        Ok(Ok(_)) => Attempt::Ready,
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
            Attempt::NotYet("there is no such file".into())
        }
        Ok(Err(error)) => Attempt::NotYet(format!("cannot look at it: {error}")),
        Err(error) => Attempt::NotYet(format!("cannot look at it: {error}")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_file_is_there_as_soon_as_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        assert!(matches!(look(&path).await, Attempt::NotYet(why) if why == "there is no such file"));
        fs::write(&path, "").unwrap();
        assert!(matches!(look(&path).await, Attempt::Ready));
    }
}
