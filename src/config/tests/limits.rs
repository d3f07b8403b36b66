//! Tests files that are far too large: they are refused, or read in linear time.

use super::{messages, rendered};
use crate::config::{Overrides, environment::Environment, load::load};

#[test]
fn the_first_problems_are_shown_and_the_others_counted() {
    let text: Vec<String> = (0..10_000).map(|at| format!("unknown_{at} = {at}\n")).collect();
    let text = text.concat();
    let shown = rendered(&text, &Environment::default());
    assert_eq!(shown.matches("error: ").count(), 50);
    assert!(shown.contains(" --> config.toml:50:1") && shown.ends_with("and 9950 more problems"));
}

#[test]
fn too_many_steps_are_refused_at_the_first_excess_step() {
    let step = |at: usize| format!("[[step]]\nname = \"s{at}\"\ncommand.run = [\"true\"]\n");
    let text: String = (0..4_000).map(step).collect();
    assert_eq!(messages(&text, &Environment::default()), ["more than 1000 times `[[step]]`"]);
    assert!(rendered(&text, &Environment::default()).contains(" --> config.toml:3001:1"));
}

#[test]
fn steps_that_depend_on_all_others_are_read() {
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
