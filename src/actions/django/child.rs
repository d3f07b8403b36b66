//! Runs one of the project's programs to its end, line by line, with a limit that each line may move.

use std::io;

use tokio::time::{Instant, sleep_until};

use crate::process::{Child, How, Processes, Stream, Tree};

/// How a program ended.
pub(in super::super) struct Finished {
    pub(in super::super) how: How,
    /// It was ended because its time was up.
    pub(in super::super) timed_out: bool,
}

/// `hear` gets each line and returns the new limit, if the line moves it.
pub(in super::super) async fn run(
    processes: &Processes,
    child: &Child,
    mut limit: Instant,
    hear: &mut dyn FnMut(Stream, String) -> Option<Instant>,
) -> io::Result<Finished> {
    let mut tree = processes.spawn_fenced(child)?;
    let (mut open, mut timed_out) = (true, false);
    loop {
        tokio::select! {
            next = next(&mut tree, &mut open) => match next {
                Next::Line(stream, line) => limit = hear(stream, line).unwrap_or(limit),
                Next::Ended(how) => return Ok(Finished { how, timed_out }),
            },
            () = sleep_until(limit), if !timed_out => {
                tree.terminate(libc::SIGTERM);
                timed_out = true;
            }
        }
    }
}

enum Next {
    Line(Stream, String),
    Ended(How),
}

/// The next line, or the end once there are no more lines. Cancel safe, because both of its parts are.
async fn next(tree: &mut Tree, open: &mut bool) -> Next {
    if *open {
        if let Some((stream, line)) = tree.next_line().await {
            return Next::Line(stream, line);
        }
        *open = false;
    }
    Next::Ended(tree.ended().await.how)
}

/// The end in words.
pub(in super::super) fn words(how: &How) -> String {
    match how {
        How::Exited(code) => format!("exited with {code}"),
        How::Signalled(signal) => format!("was killed by {}", crate::failure::signal_name(*signal)),
        How::Started => "goes on".into(),
        How::NotStarted { why, .. } => format!("could not be started: {why}"),
    }
}
