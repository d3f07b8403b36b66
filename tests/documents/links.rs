//! The documents: every link leads to a file and to a heading in it, and every source file that they name exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::blocks::{Block, all};
use crate::support::portcullis::Portcullis;

const FOLDERS: [&str; 3] = ["", "docs", "docs/decisions"];

#[test]
fn every_link_in_the_documents_has_a_target() {
    let broken: Vec<String> = documents()
        .iter()
        .flat_map(|document| {
            let text = prose(document);
            let links: Vec<String> = text
                .split("](")
                .skip(1)
                .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
                .filter(|link| !link.starts_with("http") && !leads_somewhere(document, link))
                .map(|link| format!("{}: {link}", document.display()))
                .collect();
            links
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The files that the examples in CONTRIBUTING.md would add.
const ADDED_BY_EXAMPLES: [&str; 3] =
    ["src/steps/wait/memcached.rs", "src/frameworks/alembic.rs", "src/report/tap.rs"];

/// `src/` may be left out, as in the table of the guarantees.
#[test]
fn every_source_file_in_the_documents_for_developers_exists() {
    let text = prose(&root().join("ARCHITECTURE.md")) + &prose(&root().join("CONTRIBUTING.md"));
    let missing: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| {
            std::path::Path::new(name).extension().is_some_and(|ending| ending == "rs")
                && !name.contains(['*', '{'])
                && !ADDED_BY_EXAMPLES.contains(name)
        })
        .filter(|name| {
            !["", "src", "src/actions"].iter().any(|folder| root().join(folder).join(name).exists())
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A name of four words or more is the name of a test.
#[test]
fn every_test_in_the_documents_for_developers_exists() {
    let files = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/attack.md"];
    let text: String = files.iter().map(|file| prose(&root().join(file))).collect();
    let code = rust_code(&["src", "tests"]);
    let is_test = |name: &&str| {
        name.matches('_').count() >= 3 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let names = text.split('`').skip(1).step_by(2).filter(is_test);
    let missing: Vec<&str> = names.filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_patch_for_the_driver_applies() {
    let metadata = Command::new("cargo")
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform=x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let driver = packages.iter().find(|package| package["name"] == "postgres-protocol").unwrap();
    let folder = Path::new(driver["manifest_path"].as_str().unwrap()).parent().unwrap();
    let patch = root().join("docs/decisions/postgres-protocol.patch");
    let applied =
        Command::new("git").args(["apply", "--check"]).arg(patch).current_dir(folder).output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}

/// The text of every Rust file below these folders.
pub fn rust_code(folders: &[&str]) -> String {
    let mut code = String::new();
    for folder in folders {
        collect(&root().join(folder), &mut code);
    }
    code
}

/// Appends the text of every Rust file.
fn collect(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_map_answers_twenty_questions_with_files_that_exist() {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let table = text.split_once("| where is ... |").expect("the map's questions").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let files: Vec<&str> = rows.map(|row| row.rsplit('`').nth(1).unwrap_or(row)).collect();
    let missing: Vec<&&str> = files.iter().filter(|file| !root().join("src").join(file).is_file()).collect();
    assert_eq!(files.len(), 20);
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A complete configuration passes `check` in an empty folder; a part of one has only keys that exist, with values of
/// their kinds.
#[test]
fn every_configuration_in_the_documents_is_valid_as_written() {
    let (mut complete, mut wrong) = (0, Vec::new());
    for Block { document, language, text } in all() {
        if language == "toml" {
            let portcullis =
                Portcullis::new().env("DATABASE_URL", "postgres://app@localhost/app").config(&text);
            let outcome = portcullis.run(["check"]);
            let is_complete = text.contains("[server]") && text.contains("[[step]]");
            complete += usize::from(is_complete);
            let wrong_parts = ["has no key", "TOML parse error", "error: this must be"];
            let invalid = wrong_parts.iter().any(|part| outcome.stderr.contains(part));
            if is_complete && outcome.code != Some(0) || invalid {
                wrong.push(format!("{document}: {text}\n{outcome}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(complete >= 4, "only {complete} complete configurations found");
}

/// mdBook renders only the pages in its summary, and a README.md under another name.
#[test]
fn the_book_has_every_page() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let docs = root().join("docs");
    for page in documents() {
        let Ok(page) = page.strip_prefix(&docs) else { continue };
        let link = format!("]({})", page.display());
        if !["README.md", "SUMMARY.md"].contains(&page.to_str().unwrap()) {
            assert!(summary.contains(&link), "docs/SUMMARY.md lacks {link}");
            assert!(page.components().count() > 1 || index.contains(&link), "docs/README.md lacks {link}");
        }
        let text = prose(&docs.join(page));
        let is_summary = page == Path::new("SUMMARY.md");
        assert!(is_summary || !text.contains("README.md)"), "{} links to a README.md", page.display());
    }
}

/// mdBook copies only the files of `docs`.
#[test]
fn no_page_of_the_book_links_to_a_file_outside_of_it() {
    let book = fs::read_to_string(root().join("book.toml")).unwrap();
    let book: toml::Table = book.parse().unwrap();
    assert_eq!(book["book"]["src"].as_str(), Some("docs"));
    let outside: Vec<PathBuf> = documents()
        .into_iter()
        .filter(|document| document.starts_with(root().join("docs")))
        .filter(|document| {
            let depth = document.strip_prefix(root().join("docs")).unwrap().components().count();
            prose(document).contains(&format!("]({}", "../".repeat(depth)))
        })
        .collect();
    assert!(outside.is_empty(), "{outside:#?}");
}

fn leads_somewhere(document: &Path, link: &str) -> bool {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { document.to_owned() } else { document.parent().unwrap().join(file) };
    target.exists() && (heading.is_empty() || headings(&target).contains(heading))
}

/// The anchor that GitHub derives from the text of a heading.
fn headings(document: &Path) -> BTreeSet<String> {
    let text = prose(document);
    let titles =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let letter = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    titles.map(|title| title.to_lowercase().chars().filter_map(letter).collect()).collect()
}

/// The text without its code blocks.
fn prose(document: &Path) -> String {
    let text = fs::read_to_string(document).unwrap();
    text.split("```").step_by(2).collect()
}

pub fn documents() -> Vec<PathBuf> {
    let files = FOLDERS.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
