//! The server's messages (NOTICE, WARNING) while a file or other SQL runs: the first ones of each, on the way to the log.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The maximum number of messages of one file.
const SHOWN: usize = 20;
/// The maximum length of a message, in characters.
const LENGTH: usize = 1_000;

/// Receives the messages, one line each.
pub(crate) type Notices = UnboundedReceiver<String>;

/// Sends the messages of the SQL for one schema.
#[derive(Debug, Clone)]
pub(crate) struct NoticeSender(UnboundedSender<String>);

pub(crate) fn channel() -> (NoticeSender, Notices) {
    let (sender, receiver) = unbounded_channel();
    (NoticeSender(sender), receiver)
}

impl NoticeSender {
    /// For the messages of this file.
    pub(super) fn of_file(&self, file: String) -> FileNotices {
        self.after(file + ": ")
    }

    /// For the messages of SQL that is no file.
    pub(super) fn of_statements(&self) -> FileNotices {
        self.after(String::new())
    }

    fn after(&self, lead: String) -> FileNotices {
        FileNotices { sender: self.0.clone(), lead, count: 0 }
    }

    /// Sends the messages that another receiver has collected.
    pub(super) fn forward(&self, mut collected: Notices) {
        while let Ok(line) = collected.try_recv() {
            let _ = self.0.send(line);
        }
    }
}

/// The messages of one file; dropping it sends the number of those that are not shown.
#[derive(Debug)]
pub(super) struct FileNotices {
    sender: UnboundedSender<String>,
    /// The beginning of every line.
    lead: String,
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
        let _ = self.sender.send(format!("{}{text}", self.lead));
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
