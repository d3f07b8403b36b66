//! Waits until a file exists.

use std::{
    fs::Metadata,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::{FutureExt, LocalBoxFuture};

use super::probe::Probe;
use crate::{
    cause::{Cause, Kind},
    database::Attempt,
    deadline::Deadline,
    files::{self, Outstanding},
    words::duration,
};

/// A file system that is silent for this time is reported; it is queried again only after it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct File {
    path: PathBuf,
    query: Outstanding<Metadata>,
}

impl File {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), query: Outstanding::default() }
    }
}

impl Probe for File {
    fn name(&self) -> String {
        format!("the file `{}`", self.path.display())
    }

    fn probe(&mut self, deadline: Deadline) -> LocalBoxFuture<'_, Attempt> {
        let path = self.path.clone();
        let limit = deadline.within(ANSWER_TIMEOUT);
        let answer = self.query.poll(move || files::metadata_now(&path));
        async move {
            match limit.limit(answer).await {
                Ok(Ok(_)) => Attempt::Ready,
                Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
                    Attempt::NotYet("the file does not exist".into())
                }
                Ok(Err(error)) => Attempt::NotYet(Cause::io("cannot inspect it", &error)),
                Err(_) => {
                    let limit = duration(ANSWER_TIMEOUT);
                    let why = format!("the file system does not answer within {limit}");
                    Attempt::NotYet(Cause::new(Kind::Silent, why))
                }
            }
        }
        .boxed_local()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_file_is_ready_as_soon_as_it_exists_even_if_it_is_a_fifo_without_a_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        let mut file = File::new(&path);
        let deadline = Deadline::after(Duration::from_secs(9));
        assert_eq!(file.probe(deadline).await, Attempt::NotYet("the file does not exist".into()));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(file.probe(deadline).await, Attempt::Ready);
    }
}
