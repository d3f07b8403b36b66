//! The spellings of a secret that the mask recognizes (`docs/logs.md`).

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};

use crate::words::hex;

pub(super) fn spellings(secret: &str) -> Vec<String> {
    // Letters and digits are their own spelling.
    let each = |spelling: fn(char) -> String| -> String {
        secret.chars().map(|c| if c.is_ascii_alphanumeric() { c.into() } else { spelling(c) }).collect()
    };
    let json = serde_json::Value::from(secret).to_string();
    let debug = format!("{secret:?}");
    let within_quotes = |text: &str| text[1..text.len() - 1].to_owned();
    let digits = hex(secret.as_bytes());
    let mut spelled = vec![
        secret.to_owned(),
        within_quotes(&json),
        within_quotes(&json).replace('/', "\\/"),
        each(json_unit),
        within_quotes(&debug),
        each(|c| c.escape_unicode().to_string()),
        each(python),
        each(percent),
        each(|c| percent(c).to_lowercase()),
        html(secret),
        each(|c| format!("&#{};", u32::from(c))),
        each(|c| format!("&#x{:x};", u32::from(c))),
        secret.replace('\'', "'\\''"),
        secret.replace('\'', "'\"'\"'"),
        each(|c| format!("\\{c}")),
        digits.to_uppercase(),
        digits,
    ];
    for before in ["", "a", "ab"] {
        let text = format!("{before}{secret}:");
        spelled.extend([STANDARD.encode(&text), URL_SAFE.encode(&text)]);
    }
    spelled
}

/// `\u00e9`, with two units beyond U+FFFF.
fn json_unit(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}"))
}

/// As Python's `ascii`.
fn python(c: char) -> String {
    match u32::from(c) {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

fn percent(c: char) -> String {
    c.encode_utf8(&mut [0; 4]).bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

fn html(secret: &str) -> String {
    let entities = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];
    entities.iter().fold(secret.to_owned(), |text, (c, entity)| text.replace(*c, entity))
}
