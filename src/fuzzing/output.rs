//! The laws for output: the mask and the filter for terminals.

use super::{input::Input, spellings::spellings};
use crate::report::{
    mask::{Lines, Mask},
    terminal_filter,
};

/// A shorter secret is masked only as a whole word of its own line.
const SHORTEST: usize = 12;
/// A part of this length of a spelled secret would be too much: two to eight characters.
const PART: usize = 24;

/// A secret survives in no spelling and in no cut of a text into lines.
pub(super) fn mask(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let secret: String = input.text().split_whitespace().collect();
    let escapes = secret.matches(['\\', '%', '&']).count();
    // An escape shortens the secret, and more escapes are not decoded.
    if secret.chars().count() < SHORTEST * (1 + escapes)
        || secret.contains(|c: char| c.is_control() || c == '*')
        || escapes > 2
    {
        return;
    }
    let (before, after) = (input.text(), input.text());
    let cuts: Vec<usize> = (0..2).map(|_| usize::from(input.byte())).collect();
    let mask = Mask::default().with([secret.clone()].into_iter());
    for spelled in spellings(&secret) {
        let whole = format!("{before} {spelled} {after}");
        let shown = mask.apply(&whole);
        let length = PART.min(spelled.len());
        for from in (0..=spelled.len() - length).filter(|from| spelled.is_char_boundary(*from)) {
            let part = &spelled[from..spelled.ceil_char_boundary(from + length)];
            let is_foreign = before.contains(part) || after.contains(part);
            assert!(is_foreign || !shown.contains(part), "{whole:?} is shown as {shown:?}");
        }
        // A cut may separate the escapes of an escape.
        if escapes > 0 && spelled != secret {
            continue;
        }
        let mut cut = spelled.clone();
        for place in &cuts {
            cut.insert(cut.floor_char_boundary(place % cut.len()), '\n');
        }
        let mut lines = Lines::default();
        let text = format!("{before} {cut} {after}");
        let shown: Vec<String> = text.split('\n').map(|line| lines.mask(&mask, line).into_owned()).collect();
        assert!(!shown.concat().contains(&spelled), "{text:?} is shown as {shown:?}");
    }
}

/// A printed line contains nothing that controls a terminal or is invisible, except for a tab, and is one line. A value
/// of JSON is the same.
pub(super) fn terminal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for shown in [
        terminal_filter::escaped(&text).into_owned(),
        terminal_filter::shown(terminal_filter::line(&text).trim_end_matches('\n')).into_owned(),
        terminal_filter::shown_json(&text).into_owned(),
    ] {
        // Colours that the program itself has painted.
        let shown = terminal_filter::without_colour(&shown).into_owned();
        assert!(shown.chars().all(is_harmless), "{text:?} is shown as {shown:?}");
    }
    let json = serde_json::Value::from(&*text);
    let shown = terminal_filter::shown_json(&json.to_string()).into_owned();
    assert_eq!(serde_json::from_str(&shown).ok(), Some(json), "{shown}");
}

fn is_harmless(c: char) -> bool {
    let is_invisible = matches!(
        u32::from(c),
        0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x3164 | 0xfeff | 0xffa0
            | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfff0..=0xfffb
            | 0x1_bca0..=0x1_bca3 | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_0fff
    );
    (c == '\t' || !c.is_control()) && !is_invisible
}
