//! The comparison of the README: each cell about another tool has a source, and each of ours a test.

use std::{fs, path::Path};

use super::links::rust_code;

#[test]
fn every_cell_of_the_comparison_has_a_source_or_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let section = readme.split_once("## Comparison").unwrap().1.split_once("\n## ").unwrap().0;
    let mut rows = section.lines().filter(|line| line.starts_with('|')).map(|line| {
        line.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().trim_matches('|').trim())
            .collect::<Vec<_>>()
    });
    let tools = rows.next().unwrap();
    let tools = &tools[1..tools.len() - 1];
    let code = rust_code(&["tests", "src"]);
    let mut tests = 0;
    for row in rows.skip(1) {
        let (ours, foreign) = (row[row.len() - 1], &row[1..row.len() - 1]);
        assert_eq!(foreign.len(), tools.len(), "{row:?}");
        for (cell, tool) in foreign.iter().zip(tools) {
            // "-" has the source of its column: the documentation that describes no such function.
            let has_source = cell.contains("](") || *cell == "-" && tool.contains("](");
            assert!(has_source, "{}: the cell {cell:?} of {tool} has no source", row[0]);
        }
        let names: Vec<&str> = ours.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{}: no test is named", row[0]);
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "{}: no test is named {name}", row[0]);
            tests += 1;
        }
    }
    assert!(tests >= 7, "{tests}");
}
