//! The server's messages (NOTICE, WARNING) while a file is applied: the first ones of each file, on the way to the log.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The maximum number of messages of one file.
const SHOWN: usize = 20;
/// The maximum length of a message, in characters.
const LENGTH: usize = 1_000;

/// Receives the messages of files, one line each.
pub(crate) type Notices = UnboundedReceiver<String>;

/// Sends the messages of one schema's files.
#[derive(Debug, Clone)]
pub(crate) struct NoticeSender(UnboundedSender<String>);

pub(crate) fn channel() -> (NoticeSender, Notices) {
    let (sender, receiver) = unbounded_channel();
    (NoticeSender(sender), receiver)
}

impl NoticeSender {
    /// For the messages of this file.
    pub(super) fn of_file(&self, file: String) -> FileNotices {
        FileNotices { sender: self.0.clone(), file, count: 0 }
    }
}

/// The messages of one file; dropping it sends the number of those that are not shown.
#[derive(Debug)]
pub(super) struct FileNotices {
    sender: UnboundedSender<String>,
    file: String,
    count: usize,
}

impl FileNotices {
    pub(super) fn note(&mut self, level: &str, text: &str) {
        self.count += 1;
        if self.count <= SHOWN {
            let text: String = text.chars().take(LENGTH).collect();
            self.send(&format!("{level}: {}", text.replace('\n', " ")));
        }
    }

    fn send(&self, text: &str) {
        // Without a receiver, nobody waits for the messages.
        let _ = self.sender.send(format!("{}: {text}", self.file));
    }
}

impl Drop for FileNotices {
    fn drop(&mut self) {
        let more = self.count.saturating_sub(SHOWN);
        if more > 0 {
            self.send(&format!("{more} more messages of the server"));
        }
    }
}
