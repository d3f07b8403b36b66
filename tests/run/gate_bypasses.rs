//! The four bypasses of the gate: each must be configured, is reported, and is recorded.

use serde_json::Value;

use crate::support::{process::Outcome, project::Project};

const SHOW: &str =
    "echo list=$PORTCULLIS_QUARANTINED; cat $PORTCULLIS_QUARANTINE_FILE; echo; echo the server started";

#[test]
fn a_broken_tenant_blocks_the_start_and_the_box_offers_the_bypasses() {
    let project = broken("");
    let outcome = start(&project).exits(1).prints_not("the server started");
    let printed = outcome.failure_box().split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "or serve the 2 other tenants until then: set `[gate] incomplete = \"quarantine\"` and `max_quarantined = 1`;",
        "PORTCULLIS_OVERRIDE=\"gate:REASON\"",
    ] {
        assert!(printed.contains(words), "{printed}");
    }
}

#[test]
fn a_gate_in_report_mode_reports_every_finding_and_blocks_nothing() {
    let project = broken("[gate]\nmode = \"report\"\n");
    let outcome = start(&project).exits(0).prints("the server started");
    let text = outcome.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "THE GATE IS OPEN, BUT NOT EVERYTHING IS COMPLETE report",
        "b table missing item (its ledger is complete)",
        "`[gate] mode = \"report\"` blocks nothing",
        "portcullis verify b",
    ] {
        assert!(text.contains(words), "{words}\n{outcome}");
    }
    project.portcullis.run(["verify"]).exits(1);
}

#[test]
fn report_mode_does_not_excuse_a_failing_step() {
    let project = broken("[gate]\nmode = \"report\"\n")
        .step("[[step]]\nname = \"fails\"\ncommand = { run = [\"false\"] }\n");
    start(&project).exits(79).prints_not("the server started");
}

#[test]
fn accepted_findings_are_ignored_until_their_date_and_still_listed() {
    let project = broken(&accept("b", "item", "2999-12-31"));
    start(&project).exits(0).prints("the server started").prints(
        "b: accepted: table missing: item (its ledger is complete); until 2999-12-31: being restored",
    );
    project.portcullis.run(["verify"]).exits(0);
    let json = project.portcullis.run(["verify", "--format", "json"]).exits(0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let finding = &json["tenants"]["b"]["findings"][0];
    assert_eq!((&finding["kind"], &finding["until"]), (&"accepted".into(), &"2999-12-31".into()));
    assert_eq!(finding["finding"]["tables"][0], "item");
    // A finding without an accept entry still blocks.
    project.database.execute("DROP TABLE c.item");
    start(&project).exits(1);
}

#[test]
fn an_expired_accept_entry_is_reported_and_ignores_nothing() {
    let project = broken(&accept("b", "item", "2026-01-31"));
    start(&project).exits(1).prints("`[[accept]]` of b: item expired on 2026-01-31 (being restored)");
}

#[test]
fn an_unused_accept_entry_is_reported() {
    let project = broken(&(accept("b", "item", "2999-12-31") + &accept("a", "item", "2999-12-31")));
    start(&project).exits(0).prints("`[[accept]]` of a: item is no longer needed; remove it");
}

#[test]
fn migrate_does_not_touch_an_accepted_tenant() {
    let project = Project::complete("").step(&accept("b", "1 item", "2999-12-31"));
    project.database.execute("UPDATE b._sqlx_migrations SET checksum = '\\x00'");
    project.start().exits(0).prints("b: accepted: altered: 1 item");
}

#[test]
fn complete_tenants_are_served_and_the_server_gets_the_list_of_the_others() {
    let project = broken("[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\n");
    start(&project)
        .exits(0)
        .prints("THE GATE IS OPEN, BUT NOT EVERYTHING IS COMPLETE")
        .prints("the server must not serve b")
        .prints("list=[\"b\"]\n[\"b\"]\nthe server started");
    project.portcullis.run(["history", "--limit", "1"]).exits(0).prints("QUARANTINE of b");
    // No tenant is quarantined any longer, and the server gets the empty list.
    project.database.execute("CREATE TABLE b.item (n bigint)");
    start(&project).exits(0).prints("list=[]\n[]\nthe server started");
}

#[test]
fn the_quarantine_list_reaches_a_supervised_server_and_a_configured_file() {
    let project = broken(
        "[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\nquarantine_file = \"quarantined.json\"\n",
    )
    .replace("[server]", "[server]\nmode = \"supervise\"");
    start(&project).exits(0).prints("list=[\"b\"]\n[\"b\"]\nthe server started");
    assert_eq!(std::fs::read_to_string(project.portcullis.path("quarantined.json")).unwrap(), "[\"b\"]");
    let project = project.replace("\nquarantine_file = \"quarantined.json\"", "");
    start(&project).exits(0).prints("list=[\"b\"]\n[\"b\"]\nthe server started");
}

#[test]
fn an_unwritable_quarantine_list_prevents_the_server() {
    let project = broken(
        "[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\nquarantine_file = \"no/such/folder\"\n",
    );
    start(&project)
        .exits(74)
        .prints("receives the list of quarantined tenants")
        .prints_not("the server started");
}

#[test]
fn more_broken_tenants_than_the_maximum_block() {
    let project = broken("[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\n");
    project.database.execute("DROP TABLE c.item");
    start(&project).exits(1).prints_not("the server started");
}

#[test]
fn a_broken_shared_schema_is_never_quarantined() {
    let project = broken("[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 3\n");
    project.database.execute("ALTER TABLE _sqlx_migrations RENAME TO lost");
    start(&project).exits(1).prints_not("the server started");
}

#[test]
fn a_tenant_named_by_a_step_is_never_quarantined() {
    let project = broken("[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 3\n")
        .replace("verify = { tenants = \"all\" } # every", "verify = { tenants = [\"b\"] }");
    start(&project).exits(1).prints_not("the server started");
}

#[test]
fn a_tenant_whose_migration_fails_is_quarantined_if_configured() {
    let project = Project::complete("on_tenant_failure = \"continue\"")
        .replace("migrate.tenants = {}", "migrate.tenants = {}\non_failure = \"warn\"")
        .replace("bootstrap = { tenants = [\"a\", \"b\", \"c\"] }", "command.run = [\"true\"]")
        .step("[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\nsettle_timeout = \"0s\"\n")
        .file("tenant/2_positive.sql", "ALTER TABLE item ADD CONSTRAINT positive CHECK (n > 0);\n");
    project.database.execute("INSERT INTO b.item VALUES (-1)");
    project.start().exits(0).prints("the server must not serve b").prints("the server started");
    assert_eq!(project.ledger("a"), ["1", "2"]);
}

#[test]
fn an_override_opens_the_gate_once_and_is_recorded() {
    let project = broken("").env("PORTCULLIS_OVERRIDE", "gate:acme pays at midnight");
    start(&project)
        .exits(0)
        .prints("THE GATE IS OPEN, BUT NOT EVERYTHING IS COMPLETE")
        .prints("PORTCULLIS_OVERRIDE is set: acme pays at midnight")
        .prints("the server started");
    project.portcullis.run(["history"]).exits(0).prints("OVERRIDE of b, reason: acme pays at midnight");
    // An override does not apply to a restart of the container or to another pod.
    project.database.execute("UPDATE portcullis.run SET host = 'another-pod'");
    start(&project)
        .exits(1)
        .prints("PORTCULLIS_OVERRIDE does not open the gate: run ")
        .prints("a reason works once per release")
        .prints_not("the server started");
    let project = project.env("PORTCULLIS_OVERRIDE", "gate:once more, until the backup is in");
    start(&project).exits(0).prints("the server started");
}

#[test]
fn an_override_that_cannot_be_recorded_does_not_open_the_gate() {
    let project = broken("").env("PORTCULLIS_OVERRIDE", "gate:now");
    project.database.execute(
        "DROP SCHEMA portcullis CASCADE; CREATE SCHEMA portcullis; CREATE VIEW portcullis.run AS SELECT 1 AS nothing",
    );
    start(&project).exits(1).prints("does not open the gate").prints_not("the server started");
}

#[test]
fn an_unneeded_override_is_reported_and_not_consumed() {
    let project = gated("").env("PORTCULLIS_OVERRIDE", "gate:in case");
    start(&project).exits(0).prints("the gate did not need it");
    project.database.execute("DROP TABLE b.item");
    start(&project).exits(0).prints("the server started");
}

#[test]
fn an_override_without_a_reason_is_a_usage_error() {
    let mut project = gated("");
    for word in ["gate", "gate:", "gate: ", "everything:please", "true"] {
        project = project.env("PORTCULLIS_OVERRIDE", word);
        start(&project).exits(64).prints("gate:REASON").prints_not("the server started");
    }
}

#[test]
fn metrics_and_a_notification_report_a_bypassed_gate() {
    let project = broken(
        "[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\n[metrics]\nfile = \"m.prom\"\n\
         [notify]\ncommand = [\"sh\", \"-c\", \"echo $PORTCULLIS_NOTIFICATION > notification\"]\n",
    );
    start(&project).exits(0);
    let metrics = std::fs::read_to_string(project.portcullis.path("m.prom")).unwrap();
    for line in [
        "portcullis_schemas{state=\"complete\"} 3",
        "portcullis_schemas{state=\"accepted\"} 0",
        "portcullis_schemas{state=\"incomplete\"} 0",
        "portcullis_schemas{state=\"quarantined\"} 1",
        "portcullis_gate_opened{how=\"quarantine\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let notification = std::fs::read_to_string(project.portcullis.path("notification")).unwrap();
    let notification: Value = serde_json::from_str(&notification).unwrap();
    assert_eq!(notification["gate_opened"][0]["how"], "quarantine");
    assert_eq!(notification["gate_opened"][0]["tenants"][0], "b");
}

#[test]
fn a_notification_reports_an_override_and_its_reason() {
    let notify = "[notify]\ncommand = [\"sh\", \"-c\", \"echo $PORTCULLIS_NOTIFICATION > notification\"]\n";
    let project = broken(notify).env("PORTCULLIS_OVERRIDE", "gate:a restore is under way");
    start(&project).exits(0);
    let notification: Value =
        serde_json::from_str(&std::fs::read_to_string(project.portcullis.path("notification")).unwrap())
            .unwrap();
    assert_eq!(notification["gate_opened"][0]["how"], "override");
    assert_eq!(notification["gate_opened"][0]["reason"], "a restore is under way");
    assert_eq!(notification["status"], "starting");
}

#[test]
fn the_json_log_reports_a_bypassed_gate_with_the_complete_verdict() {
    let project = broken("").env("PORTCULLIS_OVERRIDE", "gate:now").env("PORTCULLIS_LOG_FORMAT", "json");
    let outcome = start(&project).exits(0);
    let line = outcome.stderr.lines().find(|line| line.contains("\"gate_opened\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["opened"]["how"]), (&"warn".into(), &"override".into()));
    assert_eq!(line["opened"]["reason"], "now");
    assert_eq!(line["judgement"]["tenants"]["b"]["outcome"], "incomplete");
}

/// Starts with the role whose only step is the gate over all tenants.
fn start(project: &Project) -> Outcome {
    project.portcullis.run(["run", "--role", "gate"])
}

/// A complete project with a role that only runs the gate; `more` is added to the configuration.
fn gated(more: &str) -> Project {
    Project::complete("")
        .replace("[\"echo\", \"the server started\"]", &format!("[\"sh\", \"-c\", \"{SHOW}\"]"))
        .step("[[step]]\nname = \"every\"\nwhen = { role = \"gate\" }\nverify = { tenants = \"all\" } # every\n")
        .step(more)
}

/// Like `gated`, but tenant `b` has lost its table.
fn broken(more: &str) -> Project {
    let project = gated(more);
    project.database.execute("DROP TABLE b.item");
    project
}

fn accept(tenant: &str, what: &str, until: &str) -> String {
    format!(
        "[[accept]]\ntenant = \"{tenant}\"\nwhat = \"{what}\"\nuntil = \"{until}\"\nreason = \"being restored\"\n"
    )
}
