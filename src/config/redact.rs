//! Masks possible secrets in the file's own text, so that a line with a problem can be shown. Works on text, not on
//! the tree: a file that is not valid TOML contains passwords too. A key's value is shown only if every key with that
//! name is declared public, so that a mistyped `pasword` shows nothing. A mask has the same length in bytes as the
//! hidden text, so that positions stay valid.

use std::collections::HashSet;

use super::{
    keys::{Kind, ROOT},
    password::FORMS,
    secret_names::is_secret_name,
};

/// The maximum number of URLs that are examined in one text.
const MOST_URLS: usize = 100;

/// The text with possible secrets replaced by asterisks.
pub(super) fn redact(text: &str) -> String {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes().to_vec(),
        public: public_keys(),
        at: 0,
        key_start: 0,
        frames: Vec::new(),
        hides: false,
        in_value: false,
        of_password: false,
        after_option: false,
    };
    scanner.scan();
    // Masks replace complete characters, so the bytes are still UTF-8; otherwise nothing is shown.
    String::from_utf8(scanner.bytes).unwrap_or_default()
}

/// Keys whose values may be shown: the declared keys, except for those that may contain a secret in any table.
fn public_keys() -> HashSet<&'static str> {
    let keys = ROOT.every_key();
    let of_forms = FORMS.every_key().into_iter().map(|key| key.name);
    let secret: HashSet<&str> =
        keys.iter().filter(|key| matches!(key.kind, Kind::Password)).map(|key| key.name).collect();
    let names = keys.iter().flat_map(|key| [key.name].into_iter().chain(key.former));
    names.filter(|name| !secret.contains(name)).chain(of_forms).collect()
}

/// Scans the text once, with TOML's rules as far as the text follows them.
#[expect(clippy::struct_excessive_bools, reason = "each is an independent property of the position")]
struct Scanner<'t> {
    text: &'t str,
    bytes: Vec<u8>,
    public: HashSet<&'static str>,
    at: usize,
    /// The start of the key that may be followed by `=`.
    key_start: usize,
    /// For each open bracket, whether its content is hidden; an inline table is scanned key by key.
    frames: Vec<(char, bool)>,
    /// Whether values are hidden here.
    hides: bool,
    /// Not in a key.
    in_value: bool,
    /// The last key was `password`.
    of_password: bool,
    /// The last string was an option such as `--password`.
    after_option: bool,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        self.line();
        while let Some(c) = self.text[self.at..].chars().next() {
            match c {
                '"' | '\'' => self.string(),
                '#' => {
                    let end = self.end_of_line();
                    self.inside(self.at, end);
                    self.at = end;
                }
                '=' => {
                    let key = self.text[self.key_start..self.at].trim();
                    if !key.is_empty() {
                        (self.hides, self.of_password) = (self.is_hidden(key), key == "password");
                    }
                    self.in_value = true;
                    self.next(c);
                    self.key_start = self.at;
                }
                '[' | '{' => {
                    // The table of a password contains names, not secrets: `password = { env = "NAME" }`.
                    let names = c == '{' && self.of_password;
                    self.frames.push((c, self.hides && !names));
                    self.hides &= !names;
                    self.in_value &= c == '[';
                    self.next(c);
                    self.key_start = self.at;
                }
                ']' | '}' => {
                    if self.frames.pop().is_some() {
                        self.hides = self.frames.last().is_some_and(|(_, hides)| *hides);
                    }
                    self.in_value = true;
                    self.next(c);
                    self.key_start = self.at;
                }
                ',' => {
                    if let Some((bracket, hides)) = self.frames.last() {
                        (self.hides, self.in_value) = (*hides, *bracket == '[');
                    }
                    self.next(c);
                    self.key_start = self.at;
                }
                '\n' => {
                    self.next(c);
                    self.key_start = self.at;
                    if self.frames.is_empty() {
                        (self.hides, self.in_value) = (false, false);
                        self.line();
                    }
                }
                // An unquoted URL, or an unquoted hidden value, may contain any character.
                _ if self.text[self.at..].starts_with("://") || self.hides_bare_line(c) => self.hide_line(),
                _ => {
                    if self.hides && self.in_value && !c.is_whitespace() {
                        self.hide(self.at, self.at + c.len_utf8());
                    }
                    self.next(c);
                }
            }
        }
    }

    /// Starts a line: if it is not `key = value`, a value may follow the key immediately.
    fn line(&mut self) {
        let line = &self.text[self.at..self.end_of_line()];
        let key = line.trim_start();
        if key.is_empty() || key.starts_with(['#', '[', '"', '\'', '}', ']']) {
            return;
        }
        let indent = line.len() - key.len();
        let key = key.split('=').next().unwrap_or_default().trim_end();
        if let Some(word) = key.find(|c: char| c.is_whitespace() || matches!(c, ':' | '"' | '\'')) {
            self.at += indent + word;
            self.hide_line();
        }
    }

    fn hides_bare_line(&self, c: char) -> bool {
        self.hides && self.in_value && self.frames.is_empty() && !c.is_whitespace()
    }

    fn hide_line(&mut self) {
        let end = self.end_of_line();
        self.hide(self.at, end);
        self.at = end;
    }

    fn next(&mut self, c: char) {
        self.at += c.len_utf8();
    }

    fn end_of_line(&self) -> usize {
        self.text[self.at..].find('\n').map_or(self.text.len(), |end| self.at + end)
    }

    /// A dotted key is public if each part is. Below `env` of a step, only the name decides.
    fn is_hidden(&self, key: &str) -> bool {
        let mut parts = key.split('.').map(|part| part.trim().trim_matches(['"', '\'']));
        let inherited = self.frames.last().is_some_and(|(_, hides)| *hides);
        inherited || parts.any(|part| !self.public.contains(part) || is_secret_name(part))
    }

    /// Scans a string, hidden or not; an unterminated single-line string ends with its line.
    fn string(&mut self) {
        let rest = &self.text[self.at..];
        let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| rest.starts_with(quotes));
        let quotes = quotes.unwrap_or("\"");
        let start = self.at + quotes.len();
        let length = closing(&self.text[start..], quotes);
        let end = start + length.unwrap_or(self.text.len() - start);
        let closed = length.is_some() && self.text[end..].starts_with(quotes);
        self.at = if closed { end + quotes.len() } else { end };
        // Where a key is expected, anything else is a value.
        let is_key = self.in_value || self.text[self.at..].trim_start().starts_with(['=', '.', ']']);
        let content = &self.text[start..end];
        if self.hides || self.after_option || !is_key {
            self.hide(start, end);
        } else {
            self.inside(start, end);
        }
        self.after_option = content.starts_with('-') && !content.contains('=') && is_secret_name(content);
    }

    /// Hides URL credentials, and values after a secret's name, in a text that is shown.
    fn inside(&mut self, start: usize, end: usize) {
        let text = &self.text[start..end];
        let mut hidden = Vec::new();
        for (at, found) in text.match_indices("://").take(MOST_URLS) {
            let from = at + found.len();
            let rest = &text[from..];
            // A password may contain unencoded delimiters, so it ends at the last `@`. Without an `@`, the host may
            // be missing.
            let authority = rest.find(['/', '?', ' ']).map_or(rest, |end| &rest[..end]);
            if let Some(login) = rest.rfind('@') {
                hidden.push(from..from + login);
            } else if let Some((_, after)) = authority.split_once(':')
                && !after.ends_with(']')
                && !after.chars().all(|c| c.is_ascii_digit())
            {
                hidden.push(from..from + authority.len());
            }
        }
        for (at, _) in text.match_indices('=') {
            let before = text[..at].trim_end_matches([' ', '\t', '"', '\'']);
            let word = before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).next();
            if word.is_some_and(is_secret_name) {
                let value = &text[at + 1..];
                let blank = value.len() - value.trim_start_matches([' ', '\t']).len();
                let length = value[blank..].find(['&', ' ', ',', ';']).unwrap_or(value.len() - blank);
                hidden.push(at + 1 + blank..at + 1 + blank + length);
            }
        }
        for range in hidden {
            self.hide(start + range.start, start + range.end);
        }
    }

    fn hide(&mut self, start: usize, end: usize) {
        for (at, c) in self.text[start..end].char_indices() {
            if !matches!(c, '"' | '\'' | '\n' | '\r') {
                self.bytes[start + at..start + at + c.len_utf8()].fill(b'*');
            }
        }
    }
}

/// The position of the closing quotes, or the end of the line of a single-line string.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_the_file_are_masked_and_positions_stay_valid() {
        for (text, shown) in [
            ("password = \"hunter2\" # x", "password = \"*******\" # x"),
            ("password = hunter2", "password = *******"),
            ("password = \"hunt", "password = \"****"),
            ("password = { env = \"DB_PASSWORD\" }", "password = { env = \"DB_PASSWORD\" }"),
            ("env = { API_TOKEN = \"t0\", HOME = \"/\" }", "env = { API_TOKEN = \"**\", HOME = \"*\" }"),
            ("url = \"redis://:pw@h/0\"", "url = \"redis://***@h/0\""),
            ("url = \"redis://u:p/w#x y@h/0\"", "url = \"redis://*********@h/0\""),
            ("url = \"postgres://h/d?password=pw&a=b\"", "url = \"postgres://h/d?password=**&a=b\""),
            ("\"my-secret\" = 'é'", "\"my-secret\" = '**'"),
            ("password = \"a\\\"b\"\nhost = \"h\"", "password = \"**\"*\"\nhost = \"h\""),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn a_malformed_value_is_masked() {
        for text in [
            "password: hunter2",
            "password: \"hunter2\"",
            "password \"hunter2\"",
            "password \"hunter=hunter2\"",
            "password = hunter,hunter2",
            "password = hunter}hunter2 # hunter2",
            "password = hunter#hunter2",
            "password = \"hunter\"hunter2\"",
            "url = postgres://u:hunter\"hunter2@h/d",
            "reader = { user: \"u\", password: \"hunter2\" }",
            "reader = { user = \"u\", \"password\": \"hunter2\" }",
            "x = [\npassword = \"hunter2\"",
            "  export password=hunter2",
        ] {
            let shown = redact(text);
            assert!(!shown.contains("hunter"), "{shown}");
            assert_eq!(shown.len(), text.len());
        }
    }

    #[test]
    fn the_value_of_an_undeclared_key_is_masked() {
        for (text, shown) in [
            ("pasword = \"hunter2\"\nhost = \"h\"", "pasword = \"*******\"\nhost = \"h\""),
            ("pasword = hunter2", "pasword = *******"),
            ("direct.pasword = \"hunter2\"", "direct.pasword = \"*******\""),
            ("pw = { value = \"hunter2\", name = 'x' }", "pw = { value = \"*******\", name = '*' }"),
            ("pw = [\"hunter2\", \"x\"]\nrole = \"web\"", "pw = [\"*******\", \"*\"]\nrole = \"web\""),
            ("run = [\"app\", \"--password=x y\"]", "run = [\"app\", \"--password=* y\"]"),
            ("where = \"status = 'x'\"", "where = \"status = 'x'\""),
            (
                "run = [\"app\", \"--password\", \"x\", \"y\"]",
                "run = [\"app\", \"--password\", \"*\", \"y\"]",
            ),
        ] {
            assert_eq!(redact(text), shown);
        }
    }
}
