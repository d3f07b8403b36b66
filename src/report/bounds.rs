//! The maximum length of a line of text for people. JSON is complete.

use std::borrow::Cow;

/// A longer line is cut after an item of its list.
const LONGEST: usize = 2_000;
const SEPARATOR: &str = ", ";

/// The line, or its beginning and the number of omitted items.
pub(super) fn capped(line: &str) -> Cow<'_, str> {
    if line.len() <= LONGEST {
        return Cow::Borrowed(line);
    }
    let head = &line[..line.floor_char_boundary(LONGEST)];
    let Some(end) = head.rfind(SEPARATOR) else {
        return Cow::Owned(format!("{head}... ({} bytes)", line.len()));
    };
    let more = line[end..].matches(SEPARATOR).count();
    Cow::Owned(format!("{} ... and {more} more", &line[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_at_an_item_and_counted() {
        let names: Vec<String> = (0..100_000).map(|number| format!("app.{number:04}")).collect();
        let line = format!("warning: unknown: {}", names.join(", "));
        let shown = capped(&line);
        assert!(shown.len() < 2_100 && shown.ends_with("app.0197 ... and 99802 more"), "{shown}");
        assert_eq!(capped("warning: a, b"), "warning: a, b");
        assert!(capped(&"é".repeat(3_000)).ends_with("... (6000 bytes)"));
    }
}
