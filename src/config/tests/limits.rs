//! Files that are far too large are refused or read in a time that grows with their size alone.

use super::{messages, rendered};
use crate::config::{Overrides, environment::Environment, load::load};

#[test]
fn so_many_problems_are_counted_and_the_first_are_shown() {
    let text: Vec<String> = (0..10_000).map(|at| format!("unknown_{at} = {at}\n")).collect();
    let text = text.concat();
    let shown = rendered(&text, &Environment::default());
    assert_eq!(shown.matches("error: ").count(), 50);
    assert!(shown.contains(" --> config.toml:50:1") && shown.ends_with("and 9950 more problems"));
}

#[test]
fn so_many_steps_are_refused_at_the_first_that_is_too_many() {
    let step = |at: usize| format!("[[step]]\nname = \"s{at}\"\ncommand.run = [\"true\"]\n");
    let text: String = (0..4_000).map(step).collect();
    assert_eq!(messages(&text, &Environment::default()), ["more than 1000 times `[[step]]`"]);
    assert!(rendered(&text, &Environment::default()).contains(" --> config.toml:3001:1"));
}

#[test]
fn steps_that_all_name_all_others_are_read() {
    let names = |at: usize| (0..at).map(|step| format!("\"s{step}\"")).collect::<Vec<_>>().join(", ");
    let step = |at: usize| {
        let after = if at == 0 { "\"start\"".into() } else { format!("[{}]", names(at)) };
        format!("[[step]]\nname = \"s{at}\"\nafter = {after}\nsql.run = \"SELECT 1\"\n")
    };
    let text: String =
        ["[database]\nurl = \"sqlite://v\"\n".into()].into_iter().chain((0..500).map(step)).collect();
    assert_eq!(messages(&text, &Environment::default()), [""; 0]);
}

#[test]
fn a_file_that_is_too_large_or_endless_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "# ".repeat(1024 * 1024)).unwrap();
    for path in [file.as_path(), std::path::Path::new("/dev/zero")] {
        let failure = load(path, &Environment::default(), &Overrides::default()).unwrap_err();
        assert_eq!((failure.id(), failure.code()), ("config-unreadable", 78));
    }
}
