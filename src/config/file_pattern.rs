//! The pattern of migration files: text with placeholders, such as `{number}_{name}.up.sql`.
//!
//! `{id}` and `{name}` match text without a slash, `{digits}` matches digits, `{number}` matches them without leading
//! zeros. `**/` at the beginning matches any folders, and `!` excludes the matching files.

use std::collections::BTreeMap;

/// The placeholders of a pattern.
const PLACEHOLDERS: [&str; 4] = ["id", "number", "digits", "name"];

/// The placeholder for the file's name without its folders, in an identifier's template only.
const FILE: &str = "file";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePattern {
    pub(crate) excludes: bool,
    any_folder: bool,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(&'static str),
}

/// The text that each placeholder has matched.
pub(crate) type Captures = BTreeMap<&'static str, String>;

/// How an identifier in the ledger follows from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdTemplate(Vec<Part>);

impl FilePattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (excludes, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (any_folder, rest) = rest.strip_prefix("**/").map_or((false, rest), |rest| (true, rest));
        let parts = parts(rest, &PLACEHOLDERS)?;
        let is_ambiguous = |pair: &[Part]| {
            matches!(
                pair,
                [Part::Placeholder("id" | "name"), Part::Placeholder(_)]
                    | [Part::Placeholder("number"), Part::Placeholder("digits")]
                    | [Part::Placeholder("digits"), Part::Placeholder("number")]
            )
        };
        if parts.windows(2).any(is_ambiguous) {
            return Err("two placeholders need text between them".into());
        }
        Ok(Self { excludes, any_folder, parts })
    }

    /// How many folders deep its files can be.
    pub(crate) fn depth(&self) -> usize {
        let slashes = |part: &Part| match part {
            Part::Text(text) => text.matches('/').count(),
            Part::Placeholder(_) => 0,
        };
        if self.any_folder { usize::MAX } else { self.parts.iter().map(slashes).sum() }
    }

    /// The captures if the pattern matches this path, which has slashes between its folders.
    pub(crate) fn captures(&self, path: &str) -> Option<Captures> {
        let mut starts = vec![path];
        if self.any_folder {
            starts.extend(path.match_indices('/').filter_map(|(at, _)| path.get(at + 1..)));
        }
        starts.into_iter().find_map(|path| {
            let mut captures = Captures::new();
            matches(&self.parts, path, &mut captures).then_some(captures)
        })
    }
}

impl IdTemplate {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts = parts(text, &["id", "number", "digits", "name", FILE])?;
        if !parts.iter().any(|part| matches!(part, Part::Placeholder(_))) {
            return Err("it has no placeholder, so all files have the same identifier".into());
        }
        Ok(Self(parts))
    }

    /// The identifier of a file; the error names a placeholder that the file's pattern does not have.
    pub(crate) fn fill(&self, captures: &Captures, path: &str) -> Result<String, String> {
        let file = path.rsplit('/').next().unwrap_or(path);
        let text = |part: &Part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Placeholder(FILE) => Ok(file.to_owned()),
            Part::Placeholder(name) => {
                let missing = || format!("the pattern of the file `{path}` has no placeholder `{{{name}}}`");
                captures.get(name).cloned().ok_or_else(missing)
            }
        };
        self.0.iter().map(text).collect()
    }
}

fn parts(text: &str, known: &[&'static str]) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a `{` has no `}`")?;
        let found = known.iter().find(|word| **word == name);
        let unknown = || format!("`{{{name}}}` is none of {{{}}}", known.join("}, {"));
        let placeholder = Part::Placeholder(found.copied().ok_or_else(unknown)?);
        if parts.contains(&placeholder) {
            return Err(format!("`{{{name}}}` occurs twice"));
        }
        parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
        parts.push(placeholder);
        rest = after;
    }
    parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
    if parts.is_empty() { Err("it is empty".into()) } else { Ok(parts) }
}

/// Matches each placeholder with the shortest text that lets the rest match; digits are matched as a group.
fn matches(parts: &[Part], path: &str, captures: &mut Captures) -> bool {
    let Some((first, others)) = parts.split_first() else { return path.is_empty() };
    let name = match first {
        Part::Text(text) => {
            return path.strip_prefix(text.as_str()).is_some_and(|rest| matches(others, rest, captures));
        }
        Part::Placeholder(name) => *name,
    };
    let is_number = matches!(name, "number" | "digits");
    let longest = path.find(|c: char| c == '/' || (is_number && !c.is_ascii_digit())).unwrap_or(path.len());
    let shortest = if is_number { longest } else { 0 };
    for end in (shortest..=longest).filter(|end| path.is_char_boundary(*end)) {
        let (matched, rest) = path.split_at(end);
        if (matched.is_empty() && name != "name") || !matches(others, rest, captures) {
            continue;
        }
        let text = match (name, matched.trim_start_matches('0')) {
            ("number", "") => "0",
            ("number", number) => number,
            _ => matched,
        };
        captures.insert(name, text.to_owned());
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn captured(pattern: &str, path: &str) -> Option<String> {
        let captures = FilePattern::parse(pattern).unwrap().captures(path)?;
        Some(captures.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_pattern_matches_the_names_that_a_tool_reads() {
        for (pattern, path, expected) in [
            ("{number}_{name}.up.sql", "000042_add_users.up.sql", Some("name=add_users number=42")),
            ("{number}_{name}.up.sql", "000042_add_users.down.sql", None),
            ("{digits}{name}.sql", "007_x.sql", Some("digits=007 name=_x")),
            ("V{id}__{name}.sql", "V1.2__create_it.sql", Some("id=1.2 name=create_it")),
            ("{id}/migration.sql", "20240101_init/migration.sql", Some("id=20240101_init")),
            ("{id}/migration.sql", "deep/20240101_init/migration.sql", None),
            ("**/{number}_{name}.rb", "billing/3_x.rb", Some("name=x number=3")),
            ("**/{number}_{name}.rb", "3_x.rb", Some("name=x number=3")),
            ("{number}_{name}.sql", "0_none.sql", Some("name=none number=0")),
            ("{number}_{name}.sql", "_none.sql", None),
            ("{id}.ts", ".ts", None),
            ("{id}.ts", "ä.ts", Some("id=ä")),
            ("!{id}.d.ts", "x.d.ts", Some("id=x")),
        ] {
            assert_eq!(captured(pattern, path).as_deref(), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_meant_is_refused() {
        for (pattern, why) in [
            ("", "empty"),
            ("{id}{name}.sql", "between them"),
            ("{version}.sql", "none of"),
            ("{id", "has no `}`"),
            ("{id}_{id}.sql", "twice"),
        ] {
            assert!(FilePattern::parse(pattern).is_err_and(|error| error.contains(why)), "{pattern}");
        }
    }

    #[test]
    fn an_identifier_is_built_from_the_captures_or_the_files_name() {
        let captures = FilePattern::parse("{digits}_{name}.Designer.cs").unwrap();
        let captures = captures.captures("20240101_Init.Designer.cs").unwrap();
        let fill = |template: &str| {
            IdTemplate::parse(template).unwrap().fill(&captures, "a/20240101_Init.Designer.cs")
        };
        assert_eq!(fill("{digits}_{name}").unwrap(), "20240101_Init");
        assert_eq!(fill("{file}").unwrap(), "20240101_Init.Designer.cs");
        assert!(fill("{id}").is_err());
        assert!(IdTemplate::parse("x").is_err());
    }
}
