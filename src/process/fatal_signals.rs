//! Decides which signals request the end of the start-up: those that end a program without handlers. An image may
//! declare any signal as its STOPSIGNAL, and the process cannot query it. So TERM, INT, QUIT and HUP always count. So
//! does every other signal whose default action ends a process, if a process sent it and it was not ignored at the
//! start. So does the configured stop signal, whatever its default action.

use super::signals::{Info, SignalSet};

/// The rule for one start-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FatalSignals {
    /// These count only if a process sent them: a timer, a closed pipe or a resized terminal requests nothing.
    if_sent: SignalSet,
}

impl FatalSignals {
    pub(super) fn new(ignored: SignalSet) -> Self {
        let harmless = SignalSet::ENDING.or(SignalSet::HARMLESS).or(ignored);
        Self { if_sent: SignalSet::ALL.without(harmless) }
    }

    /// The same rule with the declared stop signal.
    pub(crate) fn with(self, stop_signal: Option<i32>) -> Self {
        let declared = stop_signal.map_or(SignalSet::NONE, |signal| SignalSet::of(&[signal]));
        Self { if_sent: self.if_sent.or(declared.without(SignalSet::ENDING)) }
    }

    pub(super) fn all(self) -> SignalSet {
        SignalSet::ENDING.or(self.if_sent)
    }

    /// `code` is the signal's `si_code`.
    pub(super) fn contains(self, signal: i32, code: i32) -> bool {
        SignalSet::ENDING.contains(signal) || (self.if_sent.contains(signal) && code <= libc::SI_USER)
    }

    pub(super) fn contain(self, info: &Info) -> bool {
        self.contains(info.signal(), info.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_ends_a_program_without_handlers_ends_the_start_up() {
        let ending = FatalSignals::new(SignalSet::of(&[libc::SIGPIPE]));
        let (sent, kernel) = (libc::SI_USER, 0x80);
        for (signal, code, expected, why) in [
            (libc::SIGTERM, sent, true, "it always requests the end"),
            (libc::SIGINT, kernel, true, "the terminal's Ctrl-C"),
            (libc::SIGUSR1, sent, true, "its default action ends a process"),
            (libc::SIGABRT, libc::SI_QUEUE, true, "its default action ends a process"),
            (37, sent, true, "SIGRTMIN+3, which stops systemd"),
            (libc::SIGALRM, kernel, false, "a timer that was inherited"),
            (libc::SIGPIPE, sent, false, "it was ignored at the start"),
            (libc::SIGWINCH, sent, false, "its default action is to do nothing"),
            (libc::SIGCONT, sent, false, "its default action continues"),
            (libc::SIGTSTP, sent, false, "its default action stops"),
        ] {
            assert_eq!(ending.contains(signal, code), expected, "{signal}: {why}");
        }
        let declared = ending.with(Some(libc::SIGWINCH));
        assert!(declared.contains(libc::SIGWINCH, sent), "it is the image's stop signal");
        assert!(!declared.contains(libc::SIGWINCH, kernel), "the terminal has a new size");
    }
}
