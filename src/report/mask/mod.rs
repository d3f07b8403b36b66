//! Masks secrets in all output, because a child, a server or a driver may print a secret that it received.
//!
//! It finds a secret in every spelling (see [`spelling`]), in base64, and across lines: [`Lines`] remembers which secrets
//! may begin at the end of a line.

mod known;
mod patterns;
mod spelling;
mod urls;

use std::{
    borrow::Cow,
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

use self::{
    patterns::Patterns,
    spelling::{Normal, normal},
};
use crate::{
    config::{Config, environment::Environment},
    words::hex,
};

const MASK: &str = "********";
/// A shorter value is not masked, because it occurs in too many other words.
const SHORTEST: usize = 4;
/// The base64 of a shorter value is not specific enough.
const SHORTEST_BASE64: usize = 6;
/// A shell's spellings of a quote inside quotes.
const SHELL_QUOTES: [&str; 2] = ["'\\''", "'\"'\"'"];
/// A beginning of a secret of this length is masked at the end of a line, before its rest is known.
const PART: usize = 8;

/// The secrets to mask. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Mask(Arc<Inner>);

#[derive(Default)]
struct Inner {
    secrets: Vec<String>,
    /// Built for the first text, because `init` prints nothing.
    tables: OnceLock<Tables>,
}

/// The secrets without blanks, and in their normal form.
struct Tables {
    plain: Patterns,
    normal: Patterns,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} secrets)", self.0.secrets.len())
    }
}

impl Mask {
    /// Masks the secrets of the environment, and of the configuration if it is read.
    pub(crate) fn new(env: &Environment, config: Option<&Config>) -> Self {
        Self::of(known::secrets(env, config))
    }

    /// Masks these secrets too.
    pub(crate) fn with(&self, secrets: impl Iterator<Item = String>) -> Self {
        Self::of(self.0.secrets.iter().cloned().chain(secrets).collect())
    }

    /// Masks the secrets too that became known later.
    pub(crate) fn with_learned(&self, env: &Environment) -> Self {
        self.with(known::learned(env).into_iter())
    }

    fn of(secrets: Vec<String>) -> Self {
        Self(Arc::new(Inner { secrets, tables: OnceLock::new() }))
    }

    /// The text without secrets, and without passwords in URLs.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut lines = Lines::default();
        let masked: Vec<_> = text.split('\n').map(|line| lines.mask(self, line)).collect();
        masked.join("\n")
    }

    fn tables(&self) -> &Tables {
        self.0.tables.get_or_init(|| Tables::new(&self.0.secrets))
    }
}

impl Tables {
    /// Whether the line may contain a secret or the beginning of one. Fast, because most lines contain none.
    fn may_concern(&self, line: &[u8]) -> bool {
        !self.plain.is_empty()
            && (spelling::is_escaped(line) || self.plain.may_concern(line) || self.normal.may_concern(line))
    }

    fn new(secrets: &[String]) -> Self {
        let (mut plain, mut decoded) = (Vec::new(), Vec::new());
        for value in secrets.iter().flat_map(|secret| parts(secret)) {
            let mut spelled = vec![value.as_bytes().to_vec()];
            // Forms encode a blank as a plus; Latin-1 and Python encode an accented letter as one byte.
            if value.contains(' ') {
                spelled.push(value.replace(' ', "+").into_bytes());
            }
            if value.contains('\'') {
                spelled.extend(SHELL_QUOTES.map(|quote| value.replace('\'', quote).into_bytes()));
            }
            if !value.is_ascii() {
                let latin =
                    |c: char| u8::try_from(u32::from(c)).map_or(c.to_string().into(), |byte| vec![byte]);
                spelled.push(value.chars().flat_map(latin).collect());
            }
            spelled.extend(base64(value.as_bytes()));
            let digits = hex(value.as_bytes());
            spelled.extend([digits.to_uppercase().into_bytes(), digits.into_bytes()]);
            for bytes in spelled {
                plain.push(normal(&bytes, false).bytes);
                let bytes = normal(&bytes, true).bytes;
                // The text after the secret may complete an escape at its end.
                let (certain, unfinished) = bytes.split_at(bytes.len() - spelling::unfinished(&bytes));
                if !unfinished.is_empty() && certain.len() >= PART {
                    decoded.push(certain.to_vec());
                }
                decoded.push(bytes);
            }
        }
        for patterns in [&mut plain, &mut decoded] {
            patterns.retain(|pattern| pattern.len() >= SHORTEST);
        }
        Self { plain: Patterns::new(plain), normal: Patterns::new(decoded) }
    }
}

/// The complete value, and each line of a value with several lines.
fn parts(secret: &str) -> impl Iterator<Item = &str> {
    let value = secret.trim();
    let lines = value.lines().map(str::trim).filter(move |line| *line != value && line.len() >= PART);
    [value].into_iter().filter(|value| value.len() >= SHORTEST).chain(lines)
}

/// The base64 of a value inside a longer text, as in `user:password`: at each of the three alignments, the part that does
/// not depend on the neighbours.
fn base64(value: &[u8]) -> Vec<Vec<u8>> {
    if value.len() < SHORTEST_BASE64 {
        return Vec::new();
    }
    let mut spelled = Vec::new();
    for before in 0..3_usize {
        let bytes = [&[0; 2][..before], value].concat();
        let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            spelled.push(encoded.as_bytes()[from..to].to_vec());
        }
    }
    spelled
}

/// Masks the lines of one source in order.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    plain: Partial,
    normal: Partial,
    /// The beginning of an escape at the end of the previous line.
    unfinished: Vec<u8>,
}

/// The ends of the previous line that are the beginning of a pattern, with and without punctuation that encloses a line.
#[derive(Debug, Default)]
struct Partial(Vec<Vec<u8>>);

impl Lines {
    /// The line without secrets; borrowed if it contains none.
    pub(crate) fn mask<'l>(&mut self, mask: &Mask, line: &'l str) -> Cow<'l, str> {
        let mut places = urls::passwords(line);
        let tables = mask.tables();
        let is_pending = !(self.plain.0.is_empty() && self.normal.0.is_empty() && self.unfinished.is_empty());
        if is_pending || tables.may_concern(line.as_bytes()) {
            places.extend(self.plain.find(&tables.plain, &normal(line.as_bytes(), false)));
            let before = self.unfinished.len();
            let joined = [self.unfinished.as_slice(), line.as_bytes()].concat();
            let (complete, unfinished) = joined.split_at(joined.len() - spelling::unfinished(&joined));
            let mut text = normal(complete, true);
            for (from, to) in &mut text.places {
                (*from, *to) = (from.saturating_sub(before), to.saturating_sub(before));
            }
            self.unfinished = unfinished.to_vec();
            places.extend(self.normal.find(&tables.normal, &text));
        }
        replaced(line, places)
    }
}

impl Partial {
    /// The places of secrets in the line, including those that began before it or may continue after it.
    fn find(&mut self, patterns: &Patterns, text: &Normal) -> Vec<Range<usize>> {
        let Normal { bytes, places } = text;
        let place = |from: usize, to: usize| places[from].0..places[to - 1].1;
        let mut found = Vec::new();
        // Places may overlap: a secret that repeats itself may begin inside of one.
        for at in 0..bytes.len() {
            found.extend(patterns.longest_at(bytes, at).map(|length| place(at, at + length)));
        }
        let first = bytes.iter().take_while(|byte| is_frame(**byte)).count();
        let last = bytes.len() - bytes[first..].iter().rev().take_while(|byte| is_frame(**byte)).count();
        let mut cuts = vec![(0, bytes.len()), (0, last), (first, bytes.len()), (first, last)];
        cuts.sort_unstable();
        cuts.dedup();
        let mut ends = Vec::new();
        let partials = std::mem::take(&mut self.0);
        for partial in partials.iter().map(Vec::as_slice).chain([&[][..]]) {
            for &(from, to) in &cuts {
                let joined = [partial, &bytes[from..to]].concat();
                for at in 0..partial.len() {
                    let end = patterns.longest_at(&joined, at).map(|length| at + length);
                    let end = end.filter(|end| *end > partial.len());
                    found.extend(end.map(|end| place(from, from + end - partial.len())));
                }
                let Some((at, total)) = patterns.end_of(&joined) else { continue };
                let visible = at.max(partial.len());
                if joined.len() - at >= (total / 2).clamp(SHORTEST, PART) && visible < joined.len() {
                    found.push(place(from + visible - partial.len(), to));
                }
                ends.push(joined[at..].to_vec());
            }
        }
        ends.sort_unstable();
        ends.dedup();
        self.0 = ends;
        found
    }
}

/// Whether the byte encloses lines in a box, a list or JSON.
fn is_frame(byte: u8) -> bool {
    matches!(byte, b'|' | b'!' | b'"' | b'\'' | b',')
}

/// The line with masked places, which may overlap.
fn replaced(line: &str, mut places: Vec<Range<usize>>) -> Cow<'_, str> {
    if places.is_empty() {
        return line.into();
    }
    places.sort_unstable_by_key(|place| (place.start, place.end));
    let mut masked = String::with_capacity(line.len());
    let mut at = 0;
    for place in places {
        // A place inside a character (Latin-1, a cut escape) is extended to the complete character.
        let (start, end) = (line.floor_char_boundary(place.start), line.ceil_char_boundary(place.end));
        if start >= at || masked.is_empty() {
            masked += &line[at..start.max(at)];
            masked += MASK;
        }
        at = at.max(end);
    }
    masked += &line[at..];
    masked.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::secret::{Secret, learn};

    fn mask(secrets: &[&str]) -> Mask {
        Mask::of(secrets.iter().map(|secret| (*secret).to_owned()).collect())
    }

    #[test]
    fn a_secret_that_begins_inside_of_a_part_of_itself_is_masked() {
        assert_eq!(mask(&["ababXabab"]).apply("key ababXababXabab."), "key ********.");
    }

    #[test]
    fn a_known_secret_is_masked_in_every_spelling() {
        let mask = mask(&["hunter\"2<3/x y", "it's-secret", "correct-horse"]);
        for (text, masked) in [
            ("a hunter\"2<3/x y b", "a ******** b"),
            ("{\"a\":\"hunter\\\"2<3/x y\"}", "{\"a\":\"********\"}"),
            ("hunter&quot;2&lt;3/x y", MASK),
            ("hunter%222%3c3%2Fx%20y!", "********!"),
            ("hunter%222%3C3/x+y!", "********!"),
            ("hunter\\x222\\u003c3/x y", MASK),
            ("echo 'it'\\''s-secret'", "echo '********'"),
            ("echo it\\'s-secret", "echo ********"),
            ("echo 'it'\"'\"'s-secret'", "echo '********'"),
            (
                r#"{"run":"echo 'it'\\''s-secret', 'it'\"'\"'s-secret'"}"#,
                r#"{"run":"echo '********', '********'"}"#,
            ),
            ("\\x636f72726563742d686f727365 or 636F72726563742D686F727365", "\\x******** or ********"),
            ("correct-hors", "********"),
            ("corre", "corre"),
            ("postgres://u:unknown@h and correct-horse", "postgres://u:********@h and ********"),
        ] {
            assert_eq!(mask.apply(text), masked, "{text}");
        }
    }

    #[test]
    fn a_spelled_secret_with_the_beginning_of_an_escape_at_its_end_is_masked() {
        for (secret, text) in [
            ("abc\"defghijk\\", r#"{"a":"abc\"defghijk\\","b":1}"#),
            ("abc<defghijk\\", r"abc&lt;defghijk\ y"),
            ("abc'defghijk\\", r"'abc'\''defghijk\' y"),
            ("correct-horse\\", "a=correct%2Dhorse%5C1&b=2"),
            ("abc\"defgh%4", "a=abc%22defgh%2541&b=2"),
        ] {
            let shown = mask(&[secret]).apply(text);
            assert!(shown.contains(MASK) && !shown.contains("def") && !shown.contains("horse"), "{shown}");
        }
    }

    #[test]
    fn base64_of_a_text_that_contains_a_secret_is_masked() {
        let mask = mask(&["correct-horse-battery"]);
        for text in ["correct-horse-battery", "user:correct-horse-battery", "me:correct-horse-battery\n"] {
            let encoded = STANDARD_NO_PAD.encode(text);
            let shown = mask.apply(&format!("Basic {encoded}"));
            assert!(shown.contains(MASK) && !shown.contains(&encoded[12..20]), "{shown}");
        }
    }

    #[test]
    fn a_secret_of_several_lines_is_masked_completely_and_line_by_line() {
        let mask = mask(&["-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nabc\n-----END KEY-----\n"]);
        let text = "key: -----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nabc\n-----END KEY----- end";
        let shown = mask.apply(text);
        assert!(!shown.contains("MII") && !shown.contains("abc") && shown.ends_with(" end"), "{shown}");
        assert_eq!(mask.apply("and MIIEvQIBADANBgkqhkiG alone"), "and ******** alone");
    }

    #[test]
    fn a_secret_with_an_escape_is_masked_in_its_decoded_form() {
        assert_eq!(mask(&["p%41ssword-1"]).apply("is pAssword-1."), "is ********.");
    }

    #[test]
    fn a_short_line_of_a_secret_is_masked_with_the_others_alone() {
        let mask = mask(&["the-first-line\nabcd"]);
        assert_eq!(mask.apply("the-first-line abcd, abcd"), "********, abcd");
    }

    #[test]
    fn half_of_a_short_secret_is_masked_at_the_end_of_a_line_and_less_is_not() {
        let mask = mask(&["abcdefghij"]);
        assert_eq!(mask.apply("is abcde\nfghij."), "is ********\n********.");
        assert_eq!(mask.apply("is abcd\nefghij."), "is abcd\n********.");
        assert_eq!(mask.apply("is a\nb"), "is a\nb");
    }

    #[test]
    fn base64_has_what_the_neighbours_do_not_change() {
        let spelled = |value: &[u8]| -> Vec<String> {
            base64(value).chunks(2).map(|both| String::from_utf8_lossy(&both[0]).into_owned()).collect()
        };
        assert_eq!(spelled(b"secret"), ["c2VjcmV0", "NlY3Jld", "zZWNyZX"]);
        assert_eq!(spelled(b"short"), [""; 0]);
    }

    #[test]
    fn a_secret_that_becomes_known_later_is_masked_too() {
        learn(&Secret::new("token-of-this-hour"));
        learn(&Secret::new("enabled"));
        learn(&Secret::new("app_user"));
        learn(&Secret::new("app_pass"));
        let env = Environment::from([("DB_USER", "app_user"), ("DB_PASSWORD", "app_pass")]);
        let mask = mask(&["correct-horse"]).with_learned(&env);
        let shown = mask.apply("correct-horse token-of-this-hour enabled app_user app_pass");
        assert_eq!(shown, "******** ******** enabled app_user ********");
    }

    #[test]
    fn a_secret_that_continues_in_the_next_line_of_a_box_is_masked() {
        let mask = mask(&["correct horse battery staple"]);
        let shown = mask.apply("   | why: correct horse\n   | battery staple, it is");
        assert_eq!(shown, "   | why: ********\n   | ********, it is");
    }

    #[test]
    fn five_thousand_secrets_and_twenty_thousand_lines_are_masked_quickly() {
        let secrets: Vec<String> = (0..5_000).map(|number| format!("secret-value-{number:05}")).collect();
        let mask = Mask::of(secrets);
        let mut lines = Lines::default();
        for number in 0..20_000 {
            let line = format!("line {number} has secret-value-{:05}.", number % 5_000);
            let shown = lines.mask(&mask, &line);
            assert!(shown.ends_with("has ********."), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn a_secret_is_masked_wherever_it_is_cut(
            secret in "[a-z\"'\\\\ %&<,|]{0,3}[a-zA-Z0-9]{8,20}[a-z\"'\\\\/ %&<,|]{0,6}[a-z0-9]{1,4}",
            before in "[a-z \"]{0,12}",
            after in "[ a-z\"]{0,12}",
            cuts in prop::collection::vec(0_usize..64, 0..4),
        ) {
            let mask = Mask::of(vec![secret.clone()]);
            let mut text: Vec<char> = format!("{before} {secret} {after}").chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % text.len()).collect();
            cuts.sort_unstable();
            for cut in cuts.into_iter().rev() {
                text.insert(cut, '\n');
            }
            let text: String = text.into_iter().collect();
            let shown = mask.apply(&text).replace('\n', "");
            prop_assert!(!shown.contains(secret.trim()), "{text:?}: {shown:?}");
        }
    }
}
