//! Roles: the patterns of `when.role`, and the roles that `roles` declares.

use std::ops::Range;

use super::{
    problem::{Problem, shown},
    reading::Reading,
    steps::ParsedStep,
};

/// Whether the pattern matches the whole text: `*` is any text, `?` one character.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The position to resume from if the text after the last star does not match: one character later.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    (p, t) = (star, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The role of this container, and where the file sets it.
pub(super) struct Role<'r> {
    pub(super) name: &'r str,
    pub(super) span: Option<Range<usize>>,
}

/// Reports a role that `roles` does not declare and, without `roles`, one that looks like a misspelled pattern of a step.
pub(super) fn check(
    role: Option<&Role<'_>>,
    declared: Option<&[String]>,
    drafts: &[ParsedStep],
    reading: &Reading<'_>,
) {
    // An option of the command line has no place in the file.
    let place = |span: &Option<Range<usize>>| {
        let first = drafts.iter().find(|draft| !draft.when.role.is_empty());
        span.clone().or_else(|| first.map(|draft| draft.kind_span.clone())).unwrap_or(0..0)
    };
    let patterns = || drafts.iter().flat_map(|draft| draft.when.role.iter().map(move |role| (role, draft)));
    if let Some(declared) = declared {
        let known: Vec<&str> = declared.iter().map(String::as_str).collect();
        let undeclared = |span: Range<usize>, message: String, name: &str| {
            let help = match reading.nearest(name, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of: {}", known.join(", ")),
            };
            reading.report(Problem::error(span, message).help(help));
        };
        if let Some(Role { name, span }) = role
            && !known.contains(name)
        {
            let message = format!("`roles` does not contain the role `{}`", shown(name));
            undeclared(place(span), message, name);
        }
        for (pattern, draft) in patterns() {
            if !known.iter().any(|role| matches(pattern, role)) {
                let message =
                    format!("{} is for `{}`, which is none of `roles`", draft.called, shown(pattern));
                undeclared(draft.when_span.clone().unwrap_or_default(), message, pattern);
            }
        }
        return;
    }
    let Some(Role { name, span }) = role else { return };
    let known: Vec<&str> = patterns().map(|(pattern, _)| pattern.as_str()).collect();
    if known.iter().any(|pattern| matches(pattern, name)) {
        return;
    }
    if let Some(near) = reading.nearest(name, &known) {
        let message = format!("no step is for the role `{}`", shown(name));
        let help = format!("did you mean `{near}`? `roles = [...]` makes any other role an error");
        reading.report(Problem::warning(place(span), message).help(help));
    }
}
