//! How far a long step is: a bar on a terminal, lines elsewhere, and what others are told.

use crate::support::project::Project;

#[test]
fn a_log_gets_a_line_now_and_then_with_the_rate_and_the_time_left() {
    let outcome = slow().portcullis.run(["run"]).exits(0);
    let lines: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("tenants migrated")).collect();
    let [line] = lines.as_slice() else { panic!("{outcome}") };
    assert!(line.starts_with("[2/5] tenant schemas: 2 of 3 tenants migrated, 0."), "{line}");
    assert!(line.contains(" a second, ") && line.ends_with(" s left"), "{line}");
    assert!(!outcome.stderr.contains('\r'), "{outcome}");
}

#[test]
fn json_gets_an_event_with_the_numbers() {
    let outcome = slow().env("PORTCULLIS_LOG_FORMAT", "json").portcullis.run(["run"]).exits(0);
    let line = outcome.stderr.lines().find(|line| line.contains("\"progress\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["done"], &line["total"], &line["step"]),
        (&2.into(), &3.into(), &"tenant schemas".into())
    );
}

#[test]
fn a_terminal_gets_a_bar_below_its_lines() {
    let project = slow();
    let outcome = project.portcullis.on_a_terminal(["run"]).wait().exits(0);
    for text in [
        "\u{1b}[2Ktenant schemas [",
        "] 1 of 3 tenants migrated",
        "] 2 of 3 tenants migrated",
        "the server started",
    ] {
        assert!(outcome.stdout.contains(text), "{text:?}\n{outcome}");
    }
    // Nothing of the bar is left in front of the line that follows.
    let end = outcome.stdout.lines().find(|line| line.contains("3 migrations applied")).unwrap();
    let (_, after) = end.rsplit_once("\u{1b}[2K").unwrap();
    assert!(after.contains("[2/5] tenant schemas:"), "{end:?}");
}

#[test]
fn by_hand_there_is_a_line_now_and_then_too() {
    slow().portcullis.run(["migrate"]).exits(0).says("2 of 3 tenants migrated, 0.");
}

/// One in which each tenant takes more than a second, one after the other.
fn slow() -> Project {
    Project::complete("jobs = 1").file("tenant/2_slow.sql", "SELECT pg_sleep(1.2) FROM (SELECT count(*) FROM item) AS once WHERE current_schema() IN ('a', 'b', 'c');\n")
}
