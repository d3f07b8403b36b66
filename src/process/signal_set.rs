//! Sets of all 64 signals, with the kernel's numbers.

/// The highest signal number.
pub(crate) const LAST: i32 = 64;

/// A set of signals: bit n-1 represents signal n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SignalSet(pub(crate) u64);

impl SignalSet {
    pub(crate) const NONE: Self = Self(0);
    /// Includes KILL and STOP, which the kernel ignores in masks.
    pub(crate) const ALL: Self = Self(u64::MAX);
    /// Signals whose default action does not end a process, and KILL, which cannot be received.
    pub(crate) const HARMLESS: Self = Self::of(&[
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGURG,
        libc::SIGWINCH,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGKILL,
    ]);
    /// Signals that a C library (glibc or musl) uses internally and leaves unblocked in its threads.
    pub(crate) const LIBRARY: Self = Self::of(&[32, 33, 34]);
    /// Signals that always request the end.
    pub(crate) const ENDING: Self = Self::of(&[libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP]);

    pub(crate) const fn of(signals: &[i32]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < signals.len() {
            bits |= 1 << (signals[at] - 1);
            at += 1;
        }
        Self(bits)
    }

    pub(crate) fn contains(self, signal: i32) -> bool {
        (1..=LAST).contains(&signal) && self.0 >> (signal - 1) & 1 == 1
    }

    pub(crate) fn insert(&mut self, signal: i32) {
        self.0 |= Self::of(&[signal]).0;
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = i32> {
        (1..=LAST).filter(move |signal| self.contains(*signal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_exactly_the_given_signals() {
        let mut set = SignalSet::of(&[1, 15, 64]);
        set.insert(33);
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 15, 33, 64]);
        assert!(!set.contains(0) && !set.contains(65));
        assert_eq!(set.without(SignalSet::ENDING).iter().collect::<Vec<_>>(), [33, 64]);
    }
}
