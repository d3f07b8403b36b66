//! The commands and results in the documents, on the sample and on projects of plain SQL.

use std::{fs, path::Path, process::Command};

use super::blocks::{block, comparable, run};
use crate::support::{
    cluster::{Database, cluster},
    portcullis::Portcullis,
    process::Running,
    project::Project,
    sample::{Engine, Sample},
};

#[test]
fn the_makefile_has_the_targets_of_the_readme() {
    for line in block("README.md", "$ make run").lines() {
        let target = line.trim_start_matches("$ make ").split_whitespace().next().unwrap();
        let mut make = Command::new("make");
        make.args(["--dry-run", target]).current_dir(env!("CARGO_MANIFEST_DIR"));
        Running::start(make, false).wait().exits(0);
    }
}

#[test]
fn a_signed_release_is_checked_with_the_commands_of_the_readme() {
    let folder = Portcullis::new().file("portcullis-linux-amd64", "a program");
    folder.paste("sha256sum portcullis-linux-amd64 > SHA256SUMS").exits(0);
    folder.paste("openssl genpkey -algorithm ed25519 -out key.pem").exits(0);
    folder.paste("openssl pkey -in key.pem -pubout -out portcullis.pub").exits(0);
    folder.paste("openssl pkeyutl -sign -inkey key.pem -rawin -in SHA256SUMS -out SHA256SUMS.sig").exits(0);
    let commands = block("README.md", "$ openssl pkeyutl");
    run(&folder, &commands);
    let changed = folder.file("SHA256SUMS", "");
    let verify = commands.lines().next().unwrap().trim_start_matches("$ ");
    assert_ne!(changed.paste(verify).code, Some(0));
}

#[test]
fn the_commands_for_diagnosis_succeed_on_a_complete_sample() {
    let sample = Sample::complete_on(Engine::Postgres).file("var/static/.keep", "");
    fs::copy(
        sample.portcullis.path("portcullis.manifest.json"),
        sample.portcullis.path("previous.manifest.json"),
    )
    .unwrap();
    for text in [
        block("README.md", "$ portcullis check"),
        block("docs/deployment.md", "$ portcullis check"),
        block("docs/deployment.md", "$ portcullis verify --manifest"),
        block("docs/doctor.md", "$ portcullis doctor"),
    ] {
        run(&sample.portcullis, &text);
    }
    assert!(fs::read_to_string(sample.portcullis.path("doctor.xml")).unwrap().contains("<testsuite"));
}

#[test]
fn a_tenant_is_restored_from_a_backup_as_the_deployment_guide_says() {
    let sample = Sample::complete_on(Engine::Postgres);
    let rows = |sample: &Sample| sample.number(Some("acme"), "SELECT count(*) FROM {}finance_invoice");
    let before = rows(&sample);
    run(&sample.portcullis, &block("docs/deployment.md", "$ pg_dump"));
    assert_eq!((before, rows(&sample)), (4, 4));
    sample.portcullis.run(["verify"]).exits(0);
}

#[test]
fn the_two_roles_of_the_deployment_guide_migrate_and_verify() {
    let server = Database::fresh();
    // The database of the guide; no other test has one of this name.
    server.execute("CREATE DATABASE invoices");
    let url = cluster().rsplit_once('/').unwrap().0.to_owned() + "/invoices";
    let psql =
        Portcullis::new().env("URL", &url).file("roles.sql", &block("docs/deployment.md", "CREATE ROLE"));
    psql.paste("psql \"$URL\" --set=ON_ERROR_STOP=1 --single-transaction --file=roles.sql").exits(0);
    let as_role = |role: &str| {
        let (_, address) = url.split_once('@').unwrap();
        format!("postgres://{role}:...@{address}")
    };
    let sample = Sample::on(Engine::Sqlite).env("DATABASE_URL", &as_role("portcullis"));
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    let reader = sample.env("DATABASE_URL", &as_role("portcullis_ro"));
    reader.portcullis.run(["verify"]).exits(0);
    reader.portcullis.run(["migrate"]).exits(0);
    let refused = reader.portcullis.run(["tenant", "create", "initech"]);
    assert_ne!(refused.code, Some(0), "{refused}");
    refused.prints("permission denied");
    let owner = reader.env("DATABASE_URL", &as_role("portcullis"));
    owner.portcullis.run(["tenant", "create", "initech"]).exits(0);
    psql.paste("psql \"$URL\" --command 'DROP TABLE initech.finance_invoice CASCADE'").exits(0);
    owner.portcullis.run(["run", "--no-server"]).exits(1).prints("finance_invoice");
    for command in [
        "repair --restore initech",
        "tenant show initech",
        "tenant delete initech --yes",
        "run --no-server",
        "history",
        "doctor",
    ] {
        owner.portcullis.paste(&format!("portcullis {command}")).exits(0);
    }
    psql.paste("psql \"$URL\" --command 'DROP OWNED BY portcullis_ro' --command 'DROP OWNED BY portcullis'")
        .exits(0);
    server.execute("DROP DATABASE invoices WITH (FORCE)");
    server.execute("DROP ROLE portcullis, portcullis_ro");
}

#[test]
fn the_repairs_of_the_documents_have_the_shown_result() {
    let sample = Sample::complete_on(Engine::Postgres);
    let pending =
        "DELETE FROM _sqlx_migrations WHERE version = 4; ALTER TABLE finance_invoice DROP COLUMN paid_on";
    sample.execute(Some("acme"), pending);
    run(&sample.portcullis, &block("docs/repair.md", "$ portcullis repair acme\n"));
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    run(&sample.portcullis, &block("docs/repair.md", "$ portcullis repair acme --print-sql"));
    for tenant in ["acme", "demo"] {
        sample.execute(Some(tenant), "DELETE FROM _sqlx_migrations WHERE version = 2");
    }
    run(&sample.portcullis, &block("docs/repair.md", "$ portcullis repair acme --record"));
    sample.portcullis.run(["verify"]).exits(0);
}

#[test]
fn the_override_of_the_documents_opens_the_gate_once() {
    let sample = Sample::complete_on(Engine::Sqlite).env("SKIP_DEMO_TENANTS", "1");
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    let variable = block("docs/gate-bypasses.md", "PORTCULLIS_OVERRIDE=");
    let start = |before: &str| sample.portcullis.paste(&format!("{before} portcullis run -- echo started"));
    start(variable.trim()).exits(0).prints("OPS-1311").prints("started");
    start("").exits(1);
}

#[test]
fn the_history_of_the_documents_is_the_real_one() {
    let tenants = ["t1", "t2", "t3", "t4", "t5", "t6", "t7"];
    let project =
        Project::new("").replace("[\"a\", \"b\", \"c\"] }\n", &format!("{tenants:?} }}\n")).started();
    let project = project
        .file("tenant/2_invoices.sql", "CREATE TABLE invoice (n bigint);\n")
        .file("tenant/3_totals.sql", "CREATE TABLE total (n bigint);\n");
    project.start().exits(0);
    let shown = block("docs/history.md", "$ portcullis history");
    let shown = comparable(shown.split_once('\n').unwrap().1);
    let history = comparable(&project.portcullis.run(["history"]).exits(0).stdout);
    assert!(history.starts_with(&shown), "{history}\n---\n{shown}");
}

#[test]
fn the_error_of_the_configuration_page_is_the_real_one() {
    let config = "role = \"web\"\n\n[database]\nhost = \"db\"\nname = \"app\"\nprot = 5432\nuser = \"app\"\n";
    let checked = Portcullis::new().config(config).run(["check"]).exits(78);
    let shown = block("docs/configuration.md", "error:");
    assert!(
        checked.stderr.contains(shown.trim_end()) || checked.stdout.contains(shown.trim_end()),
        "{checked}"
    );
}

#[test]
fn the_quick_start_of_plain_sql_starts_the_project() {
    let database = Database::fresh();
    let commands = block("docs/quick-start.md", "$ portcullis init-config      # reads the folders");
    let (_, url) = commands.split_once("DATABASE_URL=").unwrap();
    let shown_url = url.split(' ').next().unwrap();
    let portcullis = Portcullis::new()
        .file("migrations/shared/1_tenants.sql", "CREATE TABLE tenants (schema_name text PRIMARY KEY);\n")
        .file("migrations/tenant/1_item.sql", "CREATE TABLE item (n bigint);\n");
    run(&portcullis, &commands.replace(shown_url, &database.url()));
    let written = fs::read_to_string(portcullis.path("config.toml")).unwrap();
    let shown = super::django::shown_configuration("tenant = \"migrations/tenant\"");
    for line in shown.lines().filter(|line| !line.is_empty()) {
        assert!(written.contains(line), "init-config does not write {line:?}: {written}");
    }
    for url in ["sqlite://var", &database.url()] {
        let portcullis = |line: &str| portcullis.paste(&format!("DATABASE_URL={url} portcullis {line}"));
        portcullis("run --no-server").exits(0).prints("every tenant is complete: ok");
        portcullis("tenant create acme").exits(0);
        portcullis("run --no-server").exits(0).prints("the shared schema and 1 tenant");
    }
}

#[test]
fn a_baseline_is_written_as_the_documents_say() {
    let baseline = block("docs/sql-migrations.md", "-- replaces:");
    let project = Project::complete("").file("tenant/0043_baseline.sql", &baseline);
    fs::remove_file(project.portcullis.path("tenant/1_item.sql")).unwrap();
    let plan = project.portcullis.run(["migrate", "--dry-run"]).exits(0);
    plan.prints_not("diverged");
}

/// `kubectl` needs a cluster: the folders and the secret that its lines name are the shipped ones.
#[test]
fn the_commands_for_kubernetes_name_shipped_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines = block("docs/kubernetes.md", "kubectl create") + &block("docs/kubernetes.md", "podman kube");
    let paths: Vec<&str> = lines.split_whitespace().filter(|word| word.starts_with("docker/")).collect();
    assert_eq!(paths.len(), 4);
    for path in paths {
        let has_name = Path::new(path).extension().is_some();
        let file = if has_name { path.to_owned() } else { format!("{path}/kustomization.yaml") };
        assert!(root.join(&file).is_file(), "{file}");
    }
    let deployment = fs::read_to_string(root.join("docker/kubernetes/base/deployment.yaml")).unwrap();
    assert!(lines.contains(" generic invoices-database ") && deployment.contains("invoices-database"));
    let pod = fs::read_to_string(root.join("docker/kubernetes/pod.yaml")).unwrap();
    assert!(
        lines.contains("logs invoices-gate") && pod.contains("name: invoices") && pod.contains("name: gate")
    );
}
