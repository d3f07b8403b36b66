//! The output of `doctor`, `tenant list`, `history` and `detect` on terminals of two widths, and without a terminal.

use crate::support::sample::{Engine, Sample};

/// The words in order; a command that has its own line follows no colon.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace(": /", " /")
}

#[test]
fn tables_fit_the_terminal_and_their_commands_stay_exact() {
    let sample = Sample::complete_on(Engine::Postgres);
    sample.execute(Some("acme"), "DROP TABLE finance_invoice CASCADE");
    sample.execute(Some("globex"), "DROP TABLE _sqlx_migrations");
    for (code, arguments) in
        [(1, ["doctor", ""]), (0, ["tenant", "list"]), (0, ["history", ""]), (0, ["detect", ""])]
    {
        let arguments: Vec<&str> = arguments.into_iter().filter(|word| !word.is_empty()).collect();
        let run = |columns: Option<usize>| {
            let arguments = [&arguments[..], &["--color", "never"]].concat();
            let run = |arguments: &[&str]| match (columns, arguments) {
                (None, [a, b, c]) => sample.portcullis.run([a, b, c]),
                (None, [a, b, c, d]) => sample.portcullis.run([a, b, c, d]),
                (Some(columns), [a, b, c]) => sample.portcullis.on_a_terminal_of(columns, [a, b, c]).wait(),
                (Some(columns), [a, b, c, d]) => {
                    sample.portcullis.on_a_terminal_of(columns, [a, b, c, d]).wait()
                }
                _ => panic!("{arguments:?}"),
            };
            run(&arguments).exits(code).stdout.replace('\r', "")
        };
        let unlimited = run(None);
        for columns in [80, 140] {
            let text = run(Some(columns));
            for line in text.lines().filter(|line| !is_exact(line)) {
                assert!(line.chars().count() <= columns, "{columns} columns, {line:?}:\n{text}");
            }
            // The doctor and the history also show times.
            if ["tenant", "detect"].contains(&arguments[0]) {
                assert_eq!(words(&text), words(&unlimited));
            }
            for line in unlimited.lines().filter(|line| line.contains(" -> ")) {
                let command = line.rsplit_once(": /").map(|(_, command)| format!(" /{command}\n"));
                assert!(command.is_none_or(|command| text.contains(&command)), "{line}: {text}");
            }
        }
    }
}

/// A command, a line of `detect` that is to be pasted, or one that ends in a path.
fn is_exact(line: &str) -> bool {
    let is_path = line.rsplit(' ').next().is_some_and(|word| word.len() > 36);
    line.contains("/portcullis ") || line.contains(" = ") || line.starts_with('#') || is_path
}
