//! The laws for output: the mask and the filter for terminals.

use super::input::Input;
use crate::report::{
    mask::{Lines, Mask},
    terminal_filter,
};

/// A secret survives in no cut of a text into lines.
pub(super) fn mask(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let secret: String = input.text().split_whitespace().collect();
    // A shorter secret is masked only as a whole word of its own line.
    if secret.chars().count() < 12 || secret.chars().any(char::is_control) {
        return;
    }
    let (before, after, cut) = (input.text(), input.text(), usize::from(input.byte()));
    let cut = secret.floor_char_boundary(cut % secret.len());
    let mask = Mask::default().with([secret.clone()].into_iter());
    let mut lines = Lines::default();
    let text = format!("{before} {}\n{} {after}", &secret[..cut], &secret[cut..]);
    let shown: Vec<String> = text.split('\n').map(|line| lines.mask(&mask, line).into_owned()).collect();
    let has = |text: &str| text.contains(&secret);
    assert!(!has(&shown.concat()), "{text:?} is shown as {shown:?}");
    let whole = format!("{before} {secret} {after}");
    assert!(!has(&mask.apply(&whole)), "{whole:?}");
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
