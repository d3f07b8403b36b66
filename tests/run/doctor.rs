//! `portcullis doctor`: each check passes on what is sound and does not on what is broken, and hides no other.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;

use super::on_both_engines;
use crate::support::{
    cluster::{Database, cluster},
    http::{answers, free_port},
    patience::until_true,
    portcullis::Portcullis,
    process::{Outcome, Running},
    project::Project,
    sample::{Engine, Sample},
};

on_both_engines! {
    a_sound_installation_fails_no_check
    each_broken_tenant_is_told_by_its_own_checks
    a_manifest_that_is_gone_hides_no_other_check
    what_a_killed_run_left_behind_is_told
}

/// Each check's outcome and words, by its name.
fn checks(outcome: &Outcome) -> BTreeMap<String, (String, String)> {
    let said: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}\n{outcome}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |check: &Value| (text(&check["id"]), (text(&check["outcome"]), text(&check["said"])));
    said["checks"].as_array().unwrap().iter().map(one).collect()
}

fn examine(portcullis: &Portcullis) -> BTreeMap<String, (String, String)> {
    checks(&portcullis.run(["doctor", "--format", "json"]))
}

/// Checks that the named ones came out so, and that nothing else has failed.
#[track_caller]
fn only(portcullis: &Portcullis, expected: &[(&str, &str)]) -> BTreeMap<String, (String, String)> {
    let outcome = portcullis.run(["doctor", "--format", "json"]);
    let found = checks(&outcome);
    for (id, outcome) in expected {
        assert_eq!(found[*id].0, *outcome, "{id}\n{found:#?}");
    }
    let others = found
        .iter()
        .filter(|(id, (outcome, _))| outcome == "failed" && !expected.iter().any(|(one, _)| one == id));
    assert_eq!(others.count(), 0, "{found:#?}");
    let fails = expected.iter().any(|(_, outcome)| *outcome == "failed");
    outcome.exits(i32::from(fails));
    found
}

fn a_sound_installation_fails_no_check(engine: Engine) {
    let sample = Sample::complete_on(engine);
    let passed = [
        "configuration-valid",
        "gate-blocks",
        "server-command",
        "manifest-fresh",
        "database-reachable",
        "lock",
        "registry-readable",
        "registry-duplicates",
        "orphan-schemas",
        "shared-complete",
        "demo-complete",
        "tenants-complete",
        "tables-answer",
        "leftovers",
    ];
    let mut expected: Vec<(&str, &str)> = passed.iter().map(|id| (*id, "passed")).collect();
    match engine {
        // The cluster's role is a superuser.
        Engine::Postgres => expected.extend([
            ("role-privileges", "warned"),
            ("gate-role", "not_applicable"),
            ("pooler", "passed"),
            ("server-limits", "passed"),
            ("clock", "passed"),
        ]),
        Engine::Sqlite => expected.extend([
            ("role-privileges", "not_applicable"),
            ("gate-role", "not_applicable"),
            ("pooler", "not_applicable"),
            ("server-limits", "not_applicable"),
            ("clock", "not_applicable"),
        ]),
    }
    only(&sample.portcullis, &expected);
    let text = sample.portcullis.run(["doctor"]).exits(0).says("3 tenants complete");
    text.says_not("\u{1b}[");
}

fn each_broken_tenant_is_told_by_its_own_checks(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    let found = only(
        &sample.portcullis,
        &[
            ("tenants-complete", "failed"),
            ("demo-complete", "failed"),
            ("shared-complete", "passed"),
            ("tables-answer", "passed"),
        ],
    );
    assert!(found["tenants-complete"].1.contains("acme: table missing: finance_invoice"), "{found:#?}");
    sample.execute(None, "DELETE FROM tenants WHERE schema_name = 'acme'");
    only(
        &sample.portcullis,
        &[("orphan-schemas", "warned"), ("demo-complete", "failed"), ("tenants-complete", "passed")],
    );
    sample.execute(None, "UPDATE _sqlx_migrations SET success = false WHERE version = 3");
    only(
        &sample.portcullis,
        &[("shared-complete", "failed"), ("demo-complete", "failed"), ("tenants-complete", "passed")],
    );
}

fn a_manifest_that_is_gone_hides_no_other_check(engine: Engine) {
    let sample = Sample::complete_on(engine);
    fs::remove_file(sample.portcullis.path("portcullis.manifest.json")).unwrap();
    only(
        &sample.portcullis,
        &[
            ("manifest-fresh", "failed"),
            ("tenants-complete", "not_applicable"),
            ("database-reachable", "passed"),
            ("registry-readable", "passed"),
            ("lock", "passed"),
            ("leftovers", "passed"),
        ],
    );
}

fn what_a_killed_run_left_behind_is_told(engine: Engine) {
    let sample = Sample::complete_on(engine);
    let sample = match engine {
        Engine::Postgres => {
            sample.execute(
                None,
                "CREATE SCHEMA portcullis_tenant_0123456789abcdef; INSERT INTO portcullis.journal (nonce, run, registry, tenant, kind) \
                 VALUES ('1', '2', 'public.tenants', 'initech', 'command')",
            );
            sample
        }
        Engine::Sqlite => sample.file("var/tenants/initech.0123456789abcdef.new", ""),
    };
    let found = only(&sample.portcullis, &[("leftovers", "warned")]);
    assert!(found["leftovers"].1.contains("0123456789abcdef"), "{found:#?}");
    let noted = found["leftovers"].1.contains("had the framework make initech");
    assert_eq!(noted, engine == Engine::Postgres, "{found:#?}");
}

#[test]
fn a_database_that_is_not_there_hides_no_other_check() {
    let sample = Sample::on(Engine::Sqlite).env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    let found = only(
        &sample.portcullis,
        &[
            ("database-reachable", "failed"),
            ("configuration-valid", "passed"),
            ("server-command", "passed"),
            ("manifest-fresh", "passed"),
            ("tenants-complete", "not_applicable"),
            ("pooler", "not_applicable"),
        ],
    );
    assert_eq!(found["tenants-complete"].1, "no connection");
}

#[test]
fn a_configuration_that_is_not_valid_is_the_one_failure() {
    let broken =
        Portcullis::new().config("[databse]\nurl = \"sqlite://var\"\n").file("Dockerfile", "FROM a\n");
    only(&broken, &[("configuration-valid", "failed"), ("lock", "not_applicable"), ("entrypoint", "warned")]);
    only(&Portcullis::new(), &[("configuration-valid", "failed"), ("gate-blocks", "not_applicable")]);
}

#[test]
fn a_server_that_cannot_run_and_a_start_that_is_not_gated_have_failed() {
    let sample = Sample::complete_on(Engine::Sqlite).env("INVOICES", "/nonexistent/invoices");
    only(&sample.portcullis, &[("server-command", "failed")]);
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let sample = sample.file(
        "config.toml",
        &config.replace("verify = { tenants = \"all\" }", "verify = { tenants = [\"demo\"] }"),
    );
    only(
        &sample.portcullis,
        &[("gate-blocks", "failed"), ("server-command", "failed"), ("configuration-valid", "warned")],
    );
    let conditional = config.replace(
        "verify = { tenants = \"all\" }",
        "when = { env = \"GATE\" }\nverify = { tenants = \"all\" }",
    );
    let sample = sample.file("config.toml", &conditional);
    only(&sample.portcullis, &[("gate-blocks", "warned"), ("server-command", "failed")]);
    let few =
        config.replace("schema_column = \"schema_name\"", "schema_column = \"schema_name\", min_rows = 9");
    let sample = sample.file("config.toml", &few);
    only(&sample.portcullis, &[("registry-readable", "failed"), ("server-command", "failed")]);
}

#[test]
fn a_name_that_the_registry_holds_twice_has_failed() {
    let sample = Sample::complete_on(Engine::Postgres);
    sample.execute(None, "ALTER TABLE tenants DROP CONSTRAINT tenants_pkey CASCADE; INSERT INTO tenants SELECT * FROM tenants WHERE schema_name = 'acme'");
    let found = only(&sample.portcullis, &[("registry-duplicates", "failed")]);
    assert!(found["registry-duplicates"].1.contains("acme"), "{found:#?}");
}

#[test]
fn a_role_has_what_it_needs_and_a_readers_role_no_more() {
    let database = Database::fresh();
    let (writer, reader) = (format!("{}_writer", database.name()), format!("{}_reader", database.name()));
    database.execute(&format!(
        "CREATE ROLE {writer} LOGIN PASSWORD 'w'; CREATE ROLE {reader} LOGIN PASSWORD 'r';
         GRANT CREATE ON DATABASE {} TO {writer}; GRANT ALL ON SCHEMA public TO {writer}",
        database.name()
    ));
    let url = database.url();
    let (_, server) = url.split_once('@').unwrap();
    let sample = Sample::on(Engine::Sqlite).env("DATABASE_URL", &format!("postgres://{writer}:w@{server}"));
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let line = "url = \"${DATABASE_URL:-sqlite://var}\"";
    assert!(config.contains(line));
    let sample = sample.file(
        "config.toml",
        &config.replace(line, &format!("{line}\nreader = {{ user = \"{reader}\", password = \"r\" }}")),
    );
    let grant = "DO $$ DECLARE s text; BEGIN FOREACH s IN ARRAY ARRAY['public', 'demo', 'acme', 'globex'] LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO ROLE; GRANT SELECT ON ALL TABLES IN SCHEMA %I TO ROLE', s, s);
        END LOOP; END $$";
    database.execute(&grant.replace("ROLE", &reader));

    let run = |expected: &[(&str, &str)]| {
        only(&sample.portcullis, expected);
    };
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(&[("role-privileges", "passed"), ("gate-role", "passed"), ("tables-answer", "passed")]);
        database.execute(&format!("GRANT DELETE ON acme.finance_invoice TO {reader}"));
        run(&[("gate-role", "failed"), ("role-privileges", "passed")]);
        database.execute(&format!("REVOKE ALL ON acme.finance_invoice FROM {reader}"));
        run(&[("gate-role", "passed"), ("tables-answer", "failed")]);
        database.execute(&format!("GRANT SELECT, UPDATE (id) ON acme.finance_invoice TO {reader}"));
        run(&[("gate-role", "failed")]);
        database.execute(&format!("REVOKE UPDATE (id) ON acme.finance_invoice FROM {reader}"));
        database.execute(&format!(
            "CREATE SEQUENCE acme.numbers OWNED BY NONE; GRANT USAGE ON SEQUENCE acme.numbers TO {reader}"
        ));
        run(&[("gate-role", "failed")]);
        database.execute("DROP SEQUENCE acme.numbers");
        database.execute(&format!(
            "ALTER TABLE acme.finance_invoice OWNER TO postgres; GRANT ALL ON acme.finance_invoice TO {writer}"
        ));
        run(&[("gate-role", "passed"), ("role-privileges", "failed")]);
        database.execute(&format!("ALTER TABLE acme.finance_invoice OWNER TO {writer}"));
        run(&[("role-privileges", "passed")]);
        database.execute(&format!(
            "GRANT SELECT ON acme.finance_invoice TO {reader}; REVOKE CREATE ON DATABASE {} FROM {writer}",
            database.name()
        ));
        run(&[("role-privileges", "failed")]);
    }));
    database.execute(&format!("DROP OWNED BY {writer}, {reader} CASCADE; DROP ROLE {writer}, {reader}"));
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn who_holds_the_lock_is_named() {
    let project = Project::complete("")
        .file("tenant/2_slow.sql", "SELECT pg_sleep(50) WHERE current_schema() = 'a';\n");
    let migrating = project.portcullis.spawn(["migrate"]);
    // Not where the manifest is derived, which makes other schemas.
    project.until_sleeping();
    let found = examine(&project.portcullis);
    drop(migrating);
    assert_eq!(found["lock"].0, "warned", "{found:#?}");
    assert!(found["lock"].1.contains("portcullis"), "{found:#?}");
}

#[test]
fn a_pooler_in_transaction_mode_is_seen_and_a_direct_connection_goes_past_it() {
    let sample = Sample::complete_on(Engine::Postgres);
    let direct = sample.sqlx_url(None);
    let pooler = PgBouncer::start();
    let name = direct.rsplit('/').next().unwrap();
    let sample = sample.env("DATABASE_URL", &pooler.url(name));
    only(&sample.portcullis, &[("pooler", "warned")]);
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let line = "url = \"${DATABASE_URL:-sqlite://var}\"";
    let sample = sample
        .file("config.toml", &config.replace(line, &format!("{line}\ndirect = {{ url = \"{direct}\" }}")));
    only(&sample.portcullis, &[("pooler", "passed"), ("lock", "passed")]);
}

#[test]
fn who_is_pid_1_is_told() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let own = sample.env("A", "b");
    let first = own.portcullis.run(["doctor", "--format", "json"]);
    assert_ne!(checks(&first)["pid-1"].0, "passed", "{first}");
    let portcullis = Portcullis::new().config("").in_own_pid_namespace();
    assert_eq!(checks(&portcullis.run(["doctor", "--format", "json"]))["pid-1"].0, "passed");
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args([
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        "\"$0\" doctor --format json; true",
    ]);
    command.arg(env!("CARGO_BIN_EXE_portcullis")).current_dir(own.portcullis.folder());
    let under_a_shell = Running::start(command, true).wait();
    assert_eq!(checks(&under_a_shell)["pid-1"].0, "warned", "{under_a_shell}");
}

#[test]
fn a_termination_message_that_cannot_be_written_has_failed() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let path = sample.portcullis.path("message").display().to_string();
    let sample = sample.env("PORTCULLIS_TERMINATION_LOG", &path);
    only(&sample.portcullis, &[("termination-log", "passed")]);
    let sample = sample.env("PORTCULLIS_TERMINATION_LOG", "/nonexistent/message");
    only(&sample.portcullis, &[("termination-log", "failed")]);
}

#[test]
fn an_image_that_does_not_start_with_the_gate_has_failed() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let sample = sample.file("Dockerfile", "FROM scratch\nENTRYPOINT [\"/portcullis\", \"run\", \"--\"]\n");
    only(&sample.portcullis, &[("entrypoint", "passed")]);
    let sample = sample.file("Dockerfile", "FROM scratch\nENTRYPOINT exec /portcullis run --\n");
    only(&sample.portcullis, &[("entrypoint", "failed")]);
}

#[test]
fn a_ci_server_reads_it_as_junit() {
    let sample = Sample::complete_on(Engine::Sqlite);
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    let junit = sample.portcullis.run(["doctor", "--format", "junit"]).exits(1);
    fs::write(sample.portcullis.path("doctor.xml"), &junit.stdout).unwrap();
    let script = "import sys, xml.etree.ElementTree as x\n\
        suite = x.parse('doctor.xml').getroot()[0]\n\
        failed = [c.get('name') for c in suite if c.find('failure') is not None]\n\
        print(len(suite) == int(suite.get('tests')), failed)";
    let mut python = Command::new("python3");
    python.args(["-c", script]).current_dir(sample.portcullis.folder());
    Running::start(python, false).wait().exits(0).says("True ['demo-complete', 'tenants-complete']");
}

/// A real pooler in front of the cluster; dropped, it ends.
struct PgBouncer {
    _running: Running,
    _folder: tempfile::TempDir,
    port: u16,
    login: String,
}

impl PgBouncer {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pgbouncer.").tempdir().unwrap();
        let port = free_port();
        let cluster = cluster();
        let (login, server) = cluster.split_once("://").unwrap().1.rsplit_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let (host, rest) = server.split_once(':').unwrap();
        let server_port = rest.split('/').next().unwrap();
        let path = folder.path();
        fs::write(path.join("users.txt"), format!("\"{user}\" \"{password}\"\n")).unwrap();
        let ini = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n",
            path.join("users.txt").display()
        );
        fs::write(path.join("pgbouncer.ini"), ini).unwrap();
        let mut command = if nix::unistd::geteuid().is_root() {
            // It refuses to run as root.
            assert!(Command::new("chown").args(["-R", "postgres"]).arg(path).status().unwrap().success());
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid",
                "postgres",
                "--regid",
                "postgres",
                "--clear-groups",
                "/usr/sbin/pgbouncer",
            ]);
            command
        } else {
            Command::new("/usr/sbin/pgbouncer")
        };
        command.arg(path.join("pgbouncer.ini"));
        let running = Running::start(command, false);
        until_true("the pooler to listen", || answers(port));
        Self { _running: running, _folder: folder, port, login: login.to_owned() }
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}", self.login, self.port)
    }
}
