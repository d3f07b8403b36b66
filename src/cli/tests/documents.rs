//! Every command of Portcullis in the documents is a valid command line.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{ffi::OsString, path::Path};

use clap::error::ErrorKind;

use crate::cli::Cli;

const FOLDERS: [&str; 3] = ["", "docs", "docker/kubernetes"];

/// The command lines of a document: lines of consoles, and spans of code that are no pattern.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for (index, block) in text.split("```").enumerate() {
        if index % 2 == 0 {
            commands.extend(block.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")));
        } else if block.starts_with("console") {
            commands.extend(block.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned));
        }
    }
    commands
}

/// The words from `portcullis` on, without what belongs to the shell.
fn words(command: &str) -> Option<Vec<OsString>> {
    let is_pattern =
        command.contains(['[', '…', '{', '*']) || command.contains("...") || command.contains(" \\| ");
    let first = command.split_whitespace().position(|word| word == "portcullis")?;
    // A program that a shell, docker or make runs.
    let before = command.split_whitespace().take(first);
    let is_start = before.clone().all(|word| word.contains('=') || word == "RUN")
        || before.clone().next() == Some("docker") && before.clone().any(|word| word == "run");
    let words = command.split_whitespace().skip(first);
    let words = words.take_while(|word| !word.starts_with(['|', '>', '#', ';', '&', '(']));
    (is_start && !is_pattern).then(|| words.map(|word| word.trim_matches(['\'', '"']).into()).collect())
}

#[test]
fn every_command_in_the_documents_parses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut checked, mut wrong) = (0, Vec::new());
    for folder in FOLDERS {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // The changelog also names earlier commands.
            if path.extension().is_none_or(|extension| extension != "md") || path.ends_with("CHANGELOG.md") {
                continue;
            }
            for command in commands(&std::fs::read_to_string(&path).unwrap()) {
                let Some(words) = words(&command).filter(|words| words.len() > 1) else { continue };
                checked += 1;
                // The name of a command alone is not a line to type.
                let is_name = |error: &clap::Error| {
                    let kind = error.kind();
                    words.len() <= 3
                        && (kind == ErrorKind::MissingRequiredArgument
                            || kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
                };
                let error = Cli::of(&words).err();
                if let Some(error) = error.filter(|error| error.use_stderr() && !is_name(error)) {
                    let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                    wrong.push(format!("{}: `{command}`: {first}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 100, "only {checked} commands found");
}

/// Chromium prints this many rows of this width on one page A4 (11 pixels, margins of 12 mm).
#[test]
fn the_quick_reference_fits_one_page() {
    let page = include_str!("../../../docs/quick-reference.md");
    assert!(page.lines().count() <= 60, "{} lines", page.lines().count());
    let long: Vec<_> = page.lines().filter(|line| line.len() > 125).collect();
    assert!(long.is_empty(), "{long:?}");
}
