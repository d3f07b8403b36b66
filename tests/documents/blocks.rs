//! The fenced blocks of the documents for users. Each is parsed as a configuration, or fetched by a test that runs it.

use std::{collections::BTreeSet, fs, path::Path};

use regex_lite::Regex;

use super::links::{documents, rust_code};
use crate::support::{portcullis::Portcullis, process::Outcome};

pub struct Block {
    /// The path from the root of the repository.
    pub document: String,
    pub language: String,
    pub text: String,
}

/// These documents are for developers, and their blocks show no command and no configuration of a user.
const FOR_DEVELOPERS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

pub fn all() -> Vec<Block> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut blocks = Vec::new();
    for path in documents() {
        let document = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(language) = line.trim_start().strip_prefix("```") else { continue };
            let indent = line.len() - line.trim_start().len();
            let inner = lines.by_ref().take_while(|line| line.trim_start() != "```");
            let text = inner.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect();
            if !FOR_DEVELOPERS.contains(&&*document) {
                blocks.push(Block { document: document.clone(), language: language.to_owned(), text });
            }
        }
    }
    blocks
}

/// The text of the only block of a document that begins with these words.
#[track_caller]
pub fn block(document: &str, start: &str) -> String {
    let mut found = all();
    found.retain(|block| block.document == document && block.text.starts_with(start));
    assert_eq!(found.len(), 1, "{document} has {} blocks that begin with {start:?}", found.len());
    found.remove(0).text
}

/// The calls of [`block`] in the tests are compared with the documents, so that no new block remains untried.
#[test]
fn every_block_of_the_documents_is_tried_by_a_test() {
    let call = Regex::new(r#"\bblock\(\s*"([^"]+)",\s*"([^"]+)",?\s*\)"#).unwrap();
    let code = rust_code(&["tests"]);
    let calls: BTreeSet<(String, String)> =
        call.captures_iter(&code).map(|call| (call[1].to_owned(), call[2].replace("\\n", "\n"))).collect();
    let untried: Vec<String> = all()
        .iter()
        // The test of all configurations reads these.
        .filter(|block| block.language != "toml")
        .filter(|block| {
            !calls
                .iter()
                .any(|(document, start)| block.document == *document && block.text.starts_with(start))
        })
        .map(|block| format!("{}: {}", block.document, block.text))
        .collect();
    assert!(untried.is_empty(), "{}", untried.join("\n"));
}

/// Runs the lines of a block that begin with `$`, as a reader types them. A printed result that the block shows must be
/// the real one, apart from numbers and times.
#[track_caller]
pub fn run(portcullis: &Portcullis, block: &str) -> Vec<Outcome> {
    let commands = block.split("$ ").skip(1);
    let outcomes = commands.map(|command| {
        let (line, shown) = command.split_once('\n').unwrap();
        let outcome = portcullis.paste(line).exits(0);
        if !shown.trim().is_empty() {
            let printed = format!("{}{}", outcome.stderr, outcome.stdout);
            assert_eq!(comparable(&printed), comparable(shown), "{line}\n{outcome}");
        }
        outcome
    });
    outcomes.collect()
}

/// Without times, identifiers, numbers and the width of columns.
pub fn comparable(text: &str) -> String {
    let mut text = text.trim().to_owned();
    for (pattern, by) in [
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z| UTC)", "TIME"),
        (r"(run|portcullis|release) [0-9a-f]{8,12}\b", "$1 ID"),
        (r"(host|from) [\w.-]+", "$1 HOST"),
        (r"\b[0-9.]+ (ms|s)\b", "N s"),
        (r"\d+", "N"),
        (r"(row|migration|schema|tenant)s?\b", "$1"),
        (" +", " "),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, by).into_owned();
    }
    text
}
