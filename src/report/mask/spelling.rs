//! The normal form of a text, with decoded percent, backslash and HTML escapes and without blanks. All these spellings of
//! a secret have the same normal form. Pure.

/// The maximum number of nested escapes.
const ROUNDS: usize = 4;

/// Bytes, each with its place in the source: from, to.
#[derive(Debug, Default, Clone)]
pub(super) struct Normal {
    pub(super) bytes: Vec<u8>,
    pub(super) places: Vec<(usize, usize)>,
}

/// The backslashes at the end of a text that may belong to nested escapes.
const MOST_BACKSLASHES: usize = 8;

const ENTITIES: [(&[u8], char); 5] =
    [(b"amp", '&'), (b"lt", '<'), (b"gt", '>'), (b"quot", '"'), (b"apos", '\'')];

/// Whether the text may contain an escape.
pub(super) fn is_escaped(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'\\' | b'%' | b'&'))
}

/// The text without blanks; with `decode` also without escapes.
pub(super) fn normal(text: &[u8], decode: bool) -> Normal {
    let mut normal =
        Normal { bytes: text.to_vec(), places: (0..text.len()).map(|at| (at, at + 1)).collect() };
    for _ in 0..ROUNDS {
        if !decode || !is_escaped(&normal.bytes) {
            break;
        }
        let decoded = decoded(&normal);
        if decoded.bytes.len() == normal.bytes.len() {
            break;
        }
        normal = decoded;
    }
    let Normal { bytes, places } = normal;
    let (bytes, places) =
        bytes.into_iter().zip(places).filter(|(byte, _)| !byte.is_ascii_whitespace()).unzip();
    Normal { bytes, places }
}

/// The number of bytes at the end that may be the beginning of an escape.
pub(super) fn unfinished(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() && !is_unfinished(&text[at..]) {
        at += escape(&text[at..]).map_or(1, |(_, length)| length);
    }
    let backslashes = text[..at].iter().rev().take(MOST_BACKSLASHES).take_while(|byte| **byte == b'\\');
    text.len() - at + backslashes.count()
}

fn is_unfinished(text: &[u8]) -> bool {
    let hex = |digits: &[u8], length| digits.len() < length && digits.iter().all(u8::is_ascii_hexdigit);
    match text {
        [b'%', rest @ ..] | [b'\\', b'x', rest @ ..] => hex(rest, 2),
        [b'\\', b'u', b'{', rest @ ..] | [b'&', b'#', b'x' | b'X', rest @ ..] => hex(rest, 7),
        [b'\\', b'u', b'd' | b'D', b'8'..=b'9' | b'a'..=b'b' | b'A'..=b'B', _, _, low @ ..] => {
            matches!(low, [] | [b'\\']) || low.strip_prefix(b"\\u").is_some_and(|low| hex(low, 4))
        }
        [b'\\', b'u', rest @ ..] => hex(rest, 4),
        [b'\\', b'U', rest @ ..] => hex(rest, 8),
        [b'&', b'#', rest @ ..] => rest.len() < 8 && rest.iter().all(u8::is_ascii_digit),
        [b'&', rest @ ..] => ENTITIES.iter().any(|(name, _)| name.starts_with(rest)),
        _ => false,
    }
}

fn decoded(text: &Normal) -> Normal {
    let Normal { bytes, places } = text;
    let mut decoded = Normal::default();
    let mut at = 0;
    while at < bytes.len() {
        let (character, length) = escape(&bytes[at..]).unwrap_or((Character::Byte(bytes[at]), 1));
        let place = (places[at].0, places[at + length - 1].1);
        let mut buffer = [0; 4];
        let character: &[u8] = match character {
            Character::Byte(byte) => {
                buffer[0] = byte;
                &buffer[..1]
            }
            Character::Char(character) => character.encode_utf8(&mut buffer).as_bytes(),
        };
        decoded.bytes.extend_from_slice(character);
        decoded.places.extend(character.iter().map(|_| place));
        at += length;
    }
    decoded
}

enum Character {
    Byte(u8),
    Char(char),
}

type Decoded = Option<(Character, usize)>;

/// The character that an escape at the beginning of the text means, and the length of the escape.
fn escape(text: &[u8]) -> Decoded {
    match text.first()? {
        b'%' => percent(text),
        b'\\' => backslash(text),
        b'&' => entity(text),
        _ => None,
    }
}

fn percent(text: &[u8]) -> Decoded {
    Some((Character::Byte(u8::try_from(number(text.get(1..3)?, 16)?).ok()?), 3))
}

/// The escapes of JSON, Python, Rust, C and shells.
fn backslash(text: &[u8]) -> Decoded {
    let byte = |byte, length| Some((Character::Byte(byte), length));
    match *text.get(1)? {
        b'n' => byte(b'\n', 2),
        b't' => byte(b'\t', 2),
        b'r' => byte(b'\r', 2),
        b'b' => byte(8, 2),
        b'f' => byte(12, 2),
        b'x' if let Some(digits) = text.get(2..4).and_then(|digits| number(digits, 16)) => {
            byte(u8::try_from(digits).ok()?, 4)
        }
        b'u' => unicode(text).or_else(|| byte(b'u', 2)),
        b'U' if let Some(character) = text.get(2..10).and_then(code_point) => {
            Some((Character::Char(character), 10))
        }
        b'0'..=b'7' if let Some(digits) = text.get(1..4).and_then(|digits| number(digits, 8)) => {
            byte(u8::try_from(digits).ok()?, 4)
        }
        b'0' => byte(0, 2),
        other => byte(other, 2),
    }
}

fn unicode(text: &[u8]) -> Decoded {
    if text.get(2) == Some(&b'{') {
        let end = text.iter().take(12).position(|byte| *byte == b'}')?;
        return Some((Character::Char(code_point(text.get(3..end)?)?), end + 1));
    }
    let first = number(text.get(2..6)?, 16)?;
    if let Some(character) = char::from_u32(first) {
        return Some((Character::Char(character), 6));
    }
    let second = text.get(6..12)?.strip_prefix(b"\\u").and_then(|digits| number(digits, 16))?;
    let joined = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
    Some((Character::Char(char::from_u32(joined)?), 12))
}

fn entity(text: &[u8]) -> Decoded {
    let end = text.iter().take(10).position(|byte| *byte == b';')?;
    let character = match &text[1..end] {
        [b'#', b'x' | b'X', digits @ ..] => code_point(digits)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        name => ENTITIES.iter().find(|(known, _)| *known == name)?.1,
    };
    Some((Character::Char(character), end + 1))
}

fn code_point(digits: &[u8]) -> Option<char> {
    char::from_u32(number(digits, 16)?)
}

fn number(digits: &[u8], base: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u32::from_str_radix(digits, base).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_has_the_same_normal_form() {
        let value = "a\"b'c\\d/e é\n&<%41";
        let expected = normal(value.as_bytes(), true).bytes;
        for spelled in [
            "a\\\"b'c\\\\d/e é\\n&<%41",
            "a%22b%27c%5Cd%2Fe%20%C3%A9%0A%26%3C%2541",
            "a%22b'c%5cd/e+é%0a%26%3c%2541".replace('+', "%20").as_str(),
            "a&quot;b&#39;c\\d/e é\n&amp;&lt;%41",
            "a\"b'c\\d/e \\U000000e9\n&<%41",
            "a\\x22b\\x27c\\x5cd/e \\u00e9\\u{a}\\x26\\u003c%41",
        ] {
            let found = normal(spelled.as_bytes(), true).bytes;
            assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&expected), "{spelled}");
        }
    }

    #[test]
    fn each_escape_means_one_character() {
        for (text, meaning, length) in [
            ("%41", "A", 3),
            ("\\n", "\n", 2),
            ("\\t", "\t", 2),
            ("\\r", "\r", 2),
            ("\\b", "\u{8}", 2),
            ("\\f", "\u{c}", 2),
            ("\\x41", "A", 4),
            ("\\xzz", "x", 2),
            ("\\u0041", "A", 6),
            ("\\u{41}", "A", 6),
            ("\\u{0000e9}", "é", 10),
            ("\\ud83d\\ude00", "😀", 12),
            ("\\ud83d", "u", 2),
            ("\\ud83d\\x41zzzz", "u", 2),
            ("\\U0001f600", "😀", 10),
            ("\\Uzz", "U", 2),
            ("\\101", "A", 4),
            ("\\0", "\0", 2),
            ("\\7", "7", 2),
            ("\\'", "'", 2),
            ("&amp;", "&", 5),
            ("&lt;", "<", 4),
            ("&gt;", ">", 4),
            ("&quot;", "\"", 6),
            ("&apos;", "'", 6),
            ("&#39;", "'", 5),
            ("&#x27;", "'", 6),
            ("&#X27;", "'", 6),
        ] {
            let (character, found) = escape(text.as_bytes()).unwrap_or((Character::Byte(0), 0));
            let character = match character {
                Character::Byte(byte) => char::from(byte),
                Character::Char(character) => character,
            };
            assert_eq!((character.to_string().as_str(), found), (meaning, length), "{text}");
        }
        for text in ["", "a", "%4", "%4z", "%+1", "\\", "&amp", "&other;", "&#x110000;", "&#;"] {
            assert!(escape(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn each_byte_has_its_place_in_the_source() {
        let Normal { bytes, places } = normal(b"x %41\\u0042", true);
        assert_eq!((bytes.as_slice(), places), (&b"xAB"[..], vec![(0, 1), (2, 5), (5, 11)]));
    }

    #[test]
    fn the_beginning_of_an_escape_is_detected() {
        for (text, length) in [
            ("a\\", 1),
            ("a\\\\", 2),
            ("a\\'\\", 1),
            ("a\\\\\\\\\\\\\\\\\\\\", 8),
            ("a\\x4", 3),
            ("a\\x41", 0),
            ("a\\xg", 0),
            ("a\\ud83d\\", 7),
            ("a\\ud83d\\u", 8),
            ("a\\ud83d\\ude00", 0),
            ("a\\ud83d.", 0),
            ("a\\u{1f600}", 0),
            ("a\\U0001f600", 0),
            ("a&", 1),
            ("a&#", 2),
            ("a&#1234567", 9),
            ("a&#12345678", 0),
            ("a&#12a", 0),
            ("a&#x123456", 9),
            ("a&#x1234567", 0),
            ("a%4", 2),
            ("a%41", 0),
            ("a\\u00e", 5),
            ("a\\u00e9", 0),
            ("a\\ud83d", 6),
            ("a\\ud83d\\ude0", 11),
            ("a\\U0001f60", 9),
            ("a\\u{1f600", 8),
            ("a &am", 3),
            ("a &ab", 0),
            ("a&#x1f600", 8),
            ("abc", 0),
        ] {
            assert_eq!(unfinished(text.as_bytes()), length, "{text}");
        }
    }
}
