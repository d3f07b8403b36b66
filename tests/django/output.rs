//! The output of a project's programs: shown while they run, bounded in memory, no influence on the result.

use std::fs;

use super::tenants::empty;
use crate::support::{django::Project, time_limits::until_true};

/// Text without a line end, bytes that are no UTF-8, and lines that look like Portcullis' messages.
const NOISE: &str = r#"
import os
os.write(1, b"\xff\xfe loading\x1etenant:demo settings...")
print('{"begin": "tenant:other"}')
print("still loading settings...", end="", flush=True)
"#;

const NOISY: &str = r#"
from django.db import migrations


def noise(*_):
    os.write(1, b"half a line of \xe9")


import os


class Migration(migrations.Migration):
    dependencies = [("finance", "0004_invoice_payment")]
    operations = [migrations.RunPython(noise)]
"#;

#[test]
fn output_without_line_ends_or_in_any_encoding_is_accepted() {
    let project = Project::complete();
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, NOISE.to_owned() + &text + NOISE).unwrap();
    fs::write(project.portcullis.path("finance/migrations/0005_noisy.py"), NOISY).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate"]).exits(0).prints("tenants: 1 migration applied");
    project.portcullis.run(["tenant", "create", "beta"]).exits(0);
    project.portcullis.run(["verify"]).exits(0).prints("2 tenants complete");
    project.database.execute("DROP TABLE beta.finance_invoice");
    let repaired = project.portcullis.run(["repair", "beta", "--replay", "finance", "--allow-code"]).exits(0);
    repaired.prints("beta: finance.0005_noisy run again");
}

#[test]
fn a_failure_before_the_first_schema_is_reported_by_its_exception() {
    let project = Project::complete();
    fs::write(project.portcullis.path("finance/migrations/0005_noisy.py"), NOISY).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text + "\nraise RuntimeError('no licence\\nfor this host')\n").unwrap();
    project.portcullis.run(["migrate"]).exits(1).prints("exited with 1: RuntimeError: no licence");
}

const STEP: &str =
    r#"bootstrap = { tenants = ["demo"], run = ["python", "manage.py", "bootstrap_demo_tenants", "demo"] }"#;

#[test]
fn command_output_is_shown_at_once_and_not_buffered() {
    let mut project = empty();
    project.set("CREATE_DEMO_TENANT", "1");
    let script = "echo running; while [ ! -e released ]; do sleep 0.05; done; yes 'a line of output' | head -400000; \
                  touch printed; while [ ! -e measured ]; do sleep 0.05; done; exit 3";
    project.configure(
        STEP,
        &format!("bootstrap = {{ tenants = [\"demo\"], run = [\"sh\", \"-c\", \"{script}\"] }}"),
    );
    let running = project.portcullis.spawn(["run"]);
    running.wait_for_line("running");
    fs::write(project.portcullis.path("released"), "").unwrap();
    until_true("everything to be printed", || project.portcullis.path("printed").exists());
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()).unwrap();
    assert!(peak.parse::<u32>().unwrap() < 60_000, "{peak} kB");
    fs::write(project.portcullis.path("measured"), "").unwrap();
    running.wait().exits(73).prints("`sh` exited with 3");
}

/// The settings print a line and wait until the test has read it.
const SLOW: &str = r#"
import os, time
print("the settings wait", flush=True)
while os.path.exists("slow") and not os.path.exists("released"):
    time.sleep(0.02)
"#;

#[test]
fn project_output_is_shown_while_a_manual_command_runs() {
    let project = Project::complete();
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text + SLOW).unwrap();
    shown_while_it_runs(&project, ["manifest", "django"]);
    shown_while_it_runs(&project, ["tenant", "create", "beta"]);
    project.database.execute("DROP TABLE beta.finance_invoice");
    shown_while_it_runs(&project, ["repair", "beta", "--replay", "finance"]);
}

fn shown_while_it_runs<const N: usize>(project: &Project, arguments: [&str; N]) {
    let [slow, released] = ["slow", "released"].map(|name| project.portcullis.path(name));
    fs::write(&slow, "").unwrap();
    let running = project.portcullis.spawn(arguments);
    running.wait_for_line("the settings wait");
    fs::write(&released, "").unwrap();
    running.wait().exits(0);
    fs::remove_file(&slow).unwrap();
    fs::remove_file(&released).unwrap();
}
