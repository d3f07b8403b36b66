//! Checks the metrics and the alert rules with Prometheus' own tool.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{
    portcullis::Portcullis,
    process::{Outcome, Running},
};

#[test]
fn the_alert_rules_fire_exactly_on_their_conditions() {
    promtool(&["check", "rules", "docker/alerts.yaml"]).exits(0);
    promtool(&["test", "rules", "tests/fixtures/alerts.yaml"]).exits(0);
}

#[test]
fn the_metrics_file_is_valid_for_prometheus() {
    let portcullis = Portcullis::new().config(
        "[metrics]\nfile = \"out.prom\"\n\
         [[step]]\nname = 'quotes \" and \\ backslashes'\non_failure = \"warn\"\ncommand.run = [\"false\"]\n\
         [[step]]\nname = \"files\"\ncommand.run = [\"false\"]\n",
    );
    portcullis.run(["run"]).exits(79);
    let metrics = File::open(portcullis.path("out.prom")).unwrap();
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::from(metrics));
    let output = command.output().expect("promtool: run scripts/promtool, and have target/tools/bin in PATH");
    let printed = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.is_empty(), "{printed}");
}

fn promtool(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("promtool");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).args(arguments);
    Running::start(command, false).wait()
}
