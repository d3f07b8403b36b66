//! Tests run in parallel on one cluster and one machine: no test reads or changes another test's data.

use std::{fs, path::Path};

/// These tests start their own server.
const OWN_SERVER: [&str; 3] = ["inspection/limits.rs", "run/databases/locks.rs", "run/databases/mod.rs"];

/// This loop blocks in a read.
const BLOCKS: &str = "while self.more() {}";

/// Every file of `tests`, with its path relative to that folder.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && path != root.join(file!()) {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut found);
    found.retain(|(name, _)| !name.starts_with("architecture/") && !OWN_SERVER.contains(&name.as_str()));
    found
}

#[test]
fn every_session_query_is_limited_to_the_tests_database() {
    for (name, text) in all() {
        for (at, _) in text.match_indices("pg_stat_activity") {
            let statement = text[at..].split("\";").next().unwrap_or_default();
            assert!(
                statement.contains("datname = current_database()"),
                "tests/{name}: pg_stat_activity without `datname = current_database()` shows other tests' sessions"
            );
        }
    }
}

#[test]
fn every_polling_loop_pauses() {
    for (name, text) in all() {
        for line in text.lines().map(str::trim) {
            let empty = (line.starts_with("while ") || line.starts_with("until ")) && line.ends_with("{}");
            assert!(!empty || line == BLOCKS, "tests/{name}: `{line}`: use support::time_limits");
            assert!(!line.contains("do :; done"), "tests/{name}: `{line}`: the loop needs a `sleep 0.01`");
        }
    }
}
