//! The filter for terminals: foreign text (names, server messages, lines of children) cannot control the terminal.
//!
//! Control characters, direction marks and invisible separators are escaped. Only [`painted`] writes colour, with a
//! placeholder for ESC that [`shown`] replaces at the end.

use std::borrow::Cow;

use console::Style;

use super::bounds;

/// The placeholder for ESC, a noncharacter that no text needs.
const PAINT: char = '\u{fdd0}';
const ESCAPE: char = '\x1b';

/// The escaped text in a colour.
pub(crate) fn painted(text: impl AsRef<str>, style: &Style, colour: bool) -> String {
    let text = escaped(text.as_ref());
    if !colour {
        return text.into_owned();
    }
    style.clone().force_styling(true).apply_to(text).to_string().replace(ESCAPE, &PAINT.to_string())
}

/// Coloured text of annotate-snippets, which replaces control characters itself.
pub(crate) fn rendered(text: &str) -> String {
    text.replace("\x1b[", &format!("{PAINT}["))
}

/// A child's line without its colours.
pub(crate) fn without_colour(text: &str) -> Cow<'_, str> {
    if !text.contains("\x1b[") {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ';' | ':'));
        match rest.strip_prefix('m') {
            Some(rest) => plain += rest,
            None => plain = plain + "\x1b[" + part,
        }
    }
    Cow::Owned(plain)
}

/// Foreign text for a part of a line: line ends are escaped, too.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, |c| c == PAINT || is_dangerous(c))
}

/// One line with its line end: line ends of foreign text are escaped, and its length is limited.
pub(crate) fn line(line: &str) -> String {
    bounds::capped(line).replace('\n', "\\n") + "\n"
}

/// One line for people, with the colours of [`painted`].
pub(crate) fn shown(line: &str) -> Cow<'_, str> {
    let Cow::Owned(line) = escape(line, is_dangerous) else { return with_colours(line) };
    Cow::Owned(with_colours(&line).into_owned())
}

/// One line of JSON, with JSON's escapes for characters that control a terminal.
pub(crate) fn shown_json(line: &str) -> Cow<'_, str> {
    if line.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if is_dangerous(c) || c == PAINT {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text += &format!("\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

fn escape(text: &str, escapes: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) || !text.contains(&escapes) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !escapes(c) => shown.push(c),
            '\n' => shown += "\\n",
            '\r' => shown += "\\r",
            c if u32::from(c) < 0x100 => shown += &format!("\\x{:02x}", u32::from(c)),
            c => shown += &format!("\\u{{{:x}}}", u32::from(c)),
        }
    }
    Cow::Owned(shown)
}

/// Replaces the placeholders of colours by ESC; other placeholders are escaped.
fn with_colours(line: &str) -> Cow<'_, str> {
    if !line.contains(PAINT) {
        return Cow::Borrowed(line);
    }
    let mut parts = line.split(PAINT);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .strip_prefix('[')
            .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        match code {
            Some(rest) if rest.starts_with('m') => text.push(ESCAPE),
            _ => text += "\\u{fdd0}",
        }
        text += part;
    }
    Cow::Owned(text)
}

/// Whether the character moves the cursor, ends the line, changes the direction or is invisible. A tab is allowed, and
/// so are the variation selectors of emoji.
fn is_dangerous(c: char) -> bool {
    match c {
        '\t' => false,
        c if c.is_control() => true,
        // Source: Unicode's `Default_Ignorable_Code_Point`, line separators, and annotations.
        _ => matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}'
                | '\u{feff}' | '\u{ffa0}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_control_a_terminal_are_escaped() {
        for (text, expected) in [
            ("acme", "acme"),
            ("a\tb é", "a\tb é"),
            ("a\x1b[31mb", "a\\x1b[31mb"),
            ("a\nb\rc", "a\\nb\\rc"),
            ("\u{9b}2J\x7f\x08", "\\x9b2J\\x7f\\x08"),
            ("\u{202e}abc\u{2066}\u{200f}\u{61c}\u{2028}", "\\u{202e}abc\\u{2066}\\u{200f}\\u{61c}\\u{2028}"),
            ("a\u{ad}\u{3164}b\u{e0061}\u{e0100}", "a\\xad\\u{3164}b\\u{e0061}\\u{e0100}"),
            ("\u{fdd0}[31m", "\\u{fdd0}[31m"),
        ] {
            assert_eq!(escaped(text), expected);
            assert!(!shown(&escaped(text)).contains('\x1b'));
        }
    }

    #[test]
    fn only_colours_of_portcullis_reach_the_terminal() {
        let line = painted("ok\x1b[0m", &Style::new().green(), true) + " \x1b[31mred";
        assert_eq!(shown(&line), "\x1b[32mok\\x1b[0m\x1b[0m \\x1b[31mred");
        assert_eq!(painted("ok", &Style::new().green(), false), "ok");
    }

    #[test]
    fn filtered_json_has_the_same_value() {
        let line = serde_json::json!({ "name": "a\u{202e}\x7f\u{9b}\nb\u{e0061}" }).to_string();
        let shown = shown_json(&line);
        assert_eq!(shown, "{\"name\":\"a\\u202e\\u007f\\u009b\\nb\\udb40\\udc61\"}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).ok(), serde_json::from_str(&line).ok());
    }
}
