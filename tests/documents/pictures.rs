//! The pictures of the README show the current program's output; `scripts/pictures` draws them.

use std::{fs, path::Path};

use regex_lite::Regex;

use crate::support::sample::{Engine, Sample};

#[test]
fn the_pictures_of_the_readme_show_a_real_start() {
    let sample = Sample::complete_on(Engine::Sqlite).env("INVOICES", "true");
    let start = || sample.portcullis.run(["run", "--", "echo", "the server starts"]);
    assert_eq!(drawn("start-passed"), comparable(&start().exits(0).stderr));
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    assert_eq!(drawn("start-blocked"), comparable(&start().exits(1).stderr));
}

fn drawn(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{name}.svg"));
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("<text "))
        .map(|line| Regex::new("<[^>]*>").unwrap().replace_all(line, "").into_owned())
        .map(|line| line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
        .collect();
    comparable(&lines.join("\n"))
}

/// Without durations, their padding and the run's number.
fn comparable(text: &str) -> String {
    let text = Regex::new(" +[0-9.]+ (ms|s)\\b").unwrap().replace_all(text.trim_end(), " TIME");
    let text = Regex::new("[0-9.]+ (ms|s)\\b").unwrap().replace_all(&text, "TIME");
    Regex::new("run [0-9a-f]{8}").unwrap().replace_all(&text, "run NUMBER").into_owned()
}
