//! The progress of a long step: a bar on a terminal, lines in a log, and progress for other runs.

use crate::support::{cluster::Database, fleet, process::Outcome, project::Project};

#[test]
fn a_log_gets_regular_progress_lines_with_the_rate_and_the_time_left() {
    let outcome = slow().portcullis.run(["run"]).exits(0);
    let lines: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("tenants migrated")).collect();
    let [first, second] = lines.as_slice() else { panic!("{outcome}") };
    for (line, done) in [(first, 1), (second, 2)] {
        assert!(
            line.starts_with(&format!("[2/5] tenant schemas: {done} of 3 tenants migrated, 0.")),
            "{line}"
        );
        assert!(line.contains(" a second, ") && line.ends_with(" s left"), "{line}");
    }
    assert!(!outcome.stderr.contains('\r'), "{outcome}");
}

#[test]
fn the_json_log_gets_progress_events_with_numbers() {
    let outcome = slow().env("PORTCULLIS_LOG_FORMAT", "json").portcullis.run(["run"]).exits(0);
    let line = outcome.stderr.lines().find(|line| line.contains("\"progress\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["done"], &line["total"], &line["step"]),
        (&1.into(), &3.into(), &"tenant schemas".into())
    );
}

#[test]
fn a_terminal_gets_a_progress_bar_below_the_lines() {
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
    // The bar is erased before the next line.
    let end = outcome.stdout.lines().find(|line| line.contains("3 migrations applied")).unwrap();
    let (_, after) = end.rsplit_once("\u{1b}[2K").unwrap();
    assert!(after.contains("[2/5] tenant schemas:"), "{end:?}");
}

#[test]
fn a_manual_command_prints_regular_progress_lines() {
    slow().portcullis.run(["migrate"]).exits(0).prints("2 of 3 tenants migrated, 0.");
}

#[test]
fn a_bootstrap_reports_progress() {
    let project = Project::new("jobs = 1").file("tenant/2_slow.sql", "SELECT pg_sleep(1.2);\n");
    let outcome = project.env("PORTCULLIS_LOG_FORMAT", "json").start().exits(0);
    let events: Vec<serde_json::Value> = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("\"progress\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<_> = events.iter().map(|line| (line["done"].as_u64(), line["what"].as_str())).collect();
    let what = Some("demo tenants complete");
    assert_eq!(events, [(Some(1), what), (Some(2), what)], "{outcome}");
}

#[test]
fn a_long_inspection_reports_progress() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute(&fleet::copies(&fleet::names(3)));
    let gate = fleet.config(
        r#"
        database = { url = "${DATABASE_URL}" }
        tenants = { registry = { table = "tenants", schema_column = "name" } }
        migrations = { shared = "shared", tenant = "tenant" }
        [[step]]
        name = "gate"
        verify = { tenants = "all" }
        "#,
    );
    // After the first locked ledger, the inspection waits for the second one, so that a terminal shows the first count.
    let locked = "LOCK TABLE demo._sqlx_migrations, t1._sqlx_migrations";
    let [log, cli_progress, quiet, terminal, terminal_by_hand] = database.while_held(locked, || {
        let running = [
            gate.spawn(["run", "--no-server"]),
            gate.spawn(["verify"]),
            gate.spawn(["verify", "--quiet"]),
            gate.on_a_terminal(["run", "--no-server"]),
            gate.on_a_terminal(["verify"]),
        ];
        running.map(|running| running.wait().exits(74))
    });
    let line = |outcome: &Outcome, start: &str| {
        outcome.stderr.lines().any(|line| line.starts_with(start) && line.ends_with(" s left"))
    };
    assert!(line(&log, "[1/1] gate: 1 of 5 schemas inspected, "), "{log}");
    assert!(line(&cli_progress, "1 of 5 schemas inspected, "), "{cli_progress}");
    assert!(!quiet.stderr.contains("inspected"), "{quiet}");
    for (outcome, name) in [(&terminal, "gate"), (&terminal_by_hand, "verify")] {
        assert!(outcome.stdout.contains(&format!("\u{1b}[2K{name} [")), "{outcome}");
        assert!(outcome.stdout.contains("] 1 of 5 schemas inspected"), "{outcome}");
    }
}

/// A project that migrates one tenant at a time, each for more than a second.
fn slow() -> Project {
    Project::complete("jobs = 1").file("tenant/2_slow.sql", "SELECT pg_sleep(1.2) FROM (SELECT count(*) FROM item) AS once WHERE current_schema() IN ('a', 'b', 'c');\n")
}
