//! Masks what looks like a password in the file's own text, so that a problem on its line can be shown.
//!
//! Works on text, not on the tree: a file that is no valid TOML has passwords too. A mask is as long in
//! bytes as what it hides, so that places stay right.

/// A key that contains one of these holds a secret.
const SECRET_KEYS: [&str; 6] = ["pass", "pwd", "secret", "token", "key", "credential"];

/// The text with passwords replaced by asterisks: values of secret keys, and credentials in URLs.
pub(super) fn redact(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    mask_keys(text, &mut bytes);
    mask_urls(text, &mut bytes);
    // Masks replace whole characters, so the bytes are UTF-8 still; were they not, nothing is shown.
    String::from_utf8(bytes).unwrap_or_default()
}

fn mask_keys(text: &str, bytes: &mut [u8]) {
    for (equals, _) in text.match_indices('=') {
        let before = text[..equals].trim_end_matches([' ', '\t', '"', '\'']);
        let word = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
            .map_or(before, |at| &before[at..]);
        let word = word.to_ascii_lowercase();
        if SECRET_KEYS.iter().any(|key| word.contains(key)) {
            let value = &text[equals + 1..];
            let start = equals + 1 + (value.len() - value.trim_start_matches([' ', '\t']).len());
            mask(text, bytes, start, start + value_length(&text[start..]));
        }
    }
}

/// How long the value at the beginning is. A table (`{ env = "..." }`) names a place: it is shown.
fn value_length(text: &str) -> usize {
    for quotes in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(rest) = text.strip_prefix(quotes) {
            let end = closing(rest, quotes);
            return quotes.len() + end.unwrap_or(rest.len());
        }
    }
    if text.starts_with('{') { 0 } else { text.find([',', '}', '\n']).unwrap_or(text.len()) }
}

/// Where the closing quotes are; a single-line string that does not end is taken to the end of its line.
fn closing(text: &str, quotes: &str) -> Option<usize> {
    let escapes = quotes.starts_with('"');
    let mut skip = false;
    for (at, c) in text.char_indices() {
        if skip {
            skip = false;
        } else if escapes && c == '\\' {
            skip = true;
        } else if text[at..].starts_with(quotes) || (quotes.len() == 1 && c == '\n') {
            return Some(at);
        }
    }
    None
}

/// In `scheme://user:password@host`, everything before the `@`.
fn mask_urls(text: &str, bytes: &mut [u8]) {
    for (at, found) in text.match_indices("://") {
        let start = at + found.len();
        let rest = &text[start..];
        let rest = &rest[..rest.find(['"', '\'', '\n']).unwrap_or(rest.len())];
        if let Some(end) = rest.rfind('@') {
            mask(text, bytes, start, start + end);
        }
        // libpq and others take a password as a parameter, too.
        if let Some(parameters) = rest.find('?') {
            let lower = rest[parameters..].to_ascii_lowercase();
            for (found, _) in lower.match_indices("password=") {
                let from = parameters + found + "password=".len();
                let to = rest[from..].find('&').map_or(rest.len(), |end| from + end);
                mask(text, bytes, start + from, start + to);
            }
        }
    }
}

fn mask(text: &str, bytes: &mut [u8], start: usize, end: usize) {
    for (at, c) in text[start..end].char_indices() {
        if !matches!(c, '"' | '\'' | '\n' | '\r') {
            bytes[start + at..start + at + c.len_utf8()].fill(b'*');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_the_file_are_masked_and_places_stay() {
        for (text, shown) in [
            ("password = \"hunter2\" # x", "password = \"*******\" # x"),
            ("password = hunter2", "password = *******"),
            ("password = \"hunt", "password = \"****"),
            ("password = { env = \"DB_PASSWORD\" }", "password = { env = \"DB_PASSWORD\" }"),
            ("env = { API_TOKEN = \"t0\", HOME = \"/\" }", "env = { API_TOKEN = \"**\", HOME = \"/\" }"),
            ("url = \"redis://:pw@h/0\"", "url = \"redis://***@h/0\""),
            ("url = \"postgres://h/d?password=pw&a=b\"", "url = \"postgres://h/d?password=******\""),
            ("\"my-secret\" = 'é'", "\"my-secret\" = '**'"),
            ("password = \"a\\\"b\"\nx = 1", "password = \"**\"*\"\nx = 1"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }
}
