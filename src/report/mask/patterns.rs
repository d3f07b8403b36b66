//! Finds the longest of many patterns at each position of a text, in one pass. Pure.

/// Sorted patterns, each with its longest prefix that is also a pattern.
pub(super) struct Patterns {
    sorted: Vec<Vec<u8>>,
    shorter: Vec<Option<usize>>,
    /// One bit for each pair of first bytes of a pattern.
    pairs: Vec<u64>,
    /// The first bytes of the patterns.
    firsts: [bool; 256],
    longest: usize,
}

/// A shorter pattern matches only a complete word: `demo` does not match `democracy`.
const WORD: usize = 8;

impl Patterns {
    /// Patterns with fewer than two bytes are ignored.
    pub(super) fn new(mut sorted: Vec<Vec<u8>>) -> Self {
        sorted.retain(|pattern| pattern.len() >= 2);
        sorted.sort_unstable();
        sorted.dedup();
        let mut pairs = vec![0; 1_024];
        let mut firsts = [false; 256];
        let mut shorter = Vec::with_capacity(sorted.len());
        let mut prefixes: Vec<usize> = Vec::new();
        for (index, pattern) in sorted.iter().enumerate() {
            while prefixes.last().is_some_and(|last| !pattern.starts_with(&sorted[*last])) {
                prefixes.pop();
            }
            shorter.push(prefixes.last().copied());
            prefixes.push(index);
            let pair = pair(pattern[0], pattern[1]);
            pairs[pair / 64] |= 1 << (pair % 64);
            firsts[usize::from(pattern[0])] = true;
        }
        let longest = sorted.iter().map(Vec::len).max().unwrap_or(0);
        Self { sorted, shorter, pairs, firsts, longest }
    }

    /// False if the line contains no pattern, and no beginning of one at its end; blanks are ignored.
    pub(super) fn may_concern(&self, line: &[u8]) -> bool {
        let begins = |pair: &[u8]| {
            if pair[1].is_ascii_whitespace() {
                self.firsts[usize::from(pair[0])]
            } else {
                self.may_begin(pair.first(), pair.get(1))
            }
        };
        line.last().is_some_and(|last| self.firsts[usize::from(*last)]) || line.windows(2).any(begins)
    }

    /// The position of a pattern's beginning at the end of the text, and the pattern's length.
    pub(super) fn end_of(&self, text: &[u8]) -> Option<(usize, usize)> {
        let first = text.len().saturating_sub(self.longest);
        (first..text.len()).find_map(|at| Some((at, self.continues(&text[at..])?)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The length of the longest pattern at this position of the text.
    pub(super) fn longest_at(&self, text: &[u8], at: usize) -> Option<usize> {
        if !self.may_begin(text.get(at), text.get(at + 1)) {
            return None;
        }
        let rest = &text[at..];
        let mut candidate = self.sorted.partition_point(|pattern| pattern.as_slice() <= rest).checked_sub(1);
        // Patterns that sort between a prefix of the text and the text begin with that prefix.
        while let Some(index) = candidate {
            let pattern = &self.sorted[index];
            if rest.starts_with(pattern) && (pattern.len() >= WORD || is_word(text, at, pattern.len())) {
                return Some(pattern.len());
            }
            candidate = self.shorter[index];
        }
        None
    }

    /// The length of a longer pattern that begins with this text.
    pub(super) fn continues(&self, text: &[u8]) -> Option<usize> {
        let begins = match text {
            [] => return None,
            [one] => self.firsts[usize::from(*one)],
            [one, two, ..] => self.may_begin(Some(one), Some(two)),
        };
        if !begins {
            return None;
        }
        let next = self.sorted.partition_point(|pattern| pattern.as_slice() <= text);
        self.sorted.get(next).filter(|pattern| pattern.starts_with(text)).map(Vec::len)
    }

    fn may_begin(&self, first: Option<&u8>, second: Option<&u8>) -> bool {
        let (Some(first), Some(second)) = (first, second) else { return false };
        let pair = pair(*first, *second);
        self.pairs[pair / 64] >> (pair % 64) & 1 == 1
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) * 256 + usize::from(second)
}

fn is_word(text: &[u8], at: usize, length: usize) -> bool {
    let inside = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
    !inside(at.checked_sub(1).and_then(|before| text.get(before))) && !inside(text.get(at + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_matches_and_short_ones_match_words_only() {
        let patterns = Patterns::new(
            ["abcdefgh", "abcdefghij", "abcdefghijklm", "demo"].map(|text| text.as_bytes().to_vec()).to_vec(),
        );
        for (text, at, length) in [
            ("abcdefghijkl", 0, Some(10)),
            ("xabcdefghi", 1, Some(8)),
            ("abcdefghijklm", 0, Some(13)),
            ("abcdefg", 0, None),
            ("a demo", 2, Some(4)),
            ("a demon", 2, None),
            ("(demo)", 1, Some(4)),
        ] {
            assert_eq!(patterns.longest_at(text.as_bytes(), at), length, "{text}");
        }
    }

    #[test]
    fn the_beginning_of_a_pattern_is_detected() {
        let patterns = Patterns::new(vec![b"secret-value".to_vec(), b"secret".to_vec()]);
        for (text, length) in
            [("s", Some(6)), ("secre", Some(6)), ("secret", Some(12)), ("secret-value", None), ("sx", None)]
        {
            assert_eq!(patterns.continues(text.as_bytes()), length, "{text}");
        }
    }
}
