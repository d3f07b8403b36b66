//! The PostgreSQL majors of the README: the gate, provisioning, repair and the structure on a server of each. All other
//! tests run on Debian's own major.

use crate::support::{
    cluster::Database,
    sample::Sample,
    server::{Server, majors},
};

#[test]
fn the_readme_names_the_majors_that_the_tests_run_on() {
    let readme = include_str!("../../README.md");
    let row = readme.lines().find(|line| line.starts_with("| PostgreSQL | ")).unwrap();
    let named: Vec<u32> =
        row.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    assert_eq!(named, majors());
    assert_eq!(named, [13, 14, 15, 16, 17, 18]);
}

#[test]
fn postgresql_13() {
    gate_provisioning_repair_and_structure(13);
}

#[test]
fn postgresql_14() {
    gate_provisioning_repair_and_structure(14);
}

#[test]
fn postgresql_16() {
    gate_provisioning_repair_and_structure(16);
}

#[test]
fn postgresql_17() {
    gate_provisioning_repair_and_structure(17);
}

#[test]
fn postgresql_18() {
    gate_provisioning_repair_and_structure(18);
}

fn gate_provisioning_repair_and_structure(major: u32) {
    let server = Server::of_major(major);
    let database = Database::on(server.url("postgres"));
    assert!(database.column("SHOW server_version")[0].starts_with(&major.to_string()));
    let sample = Sample::in_database(database);
    let portcullis = &sample.portcullis;
    portcullis.run(["manifest", "sql"]).exits(0);
    portcullis.run(["run", "--no-server"]).exits(0).prints("demo tenants: ok: 3 created");
    portcullis.run(["verify", "--structure"]).exits(0);

    // Two starts at the same time: the lock, and work for one of them.
    sample.execute(
        Some("acme"),
        "DELETE FROM _sqlx_migrations WHERE version = 4; ALTER TABLE finance_invoice DROP COLUMN paid_on",
    );
    for run in [(); 2].map(|()| portcullis.spawn(["run", "--no-server"])) {
        run.wait().exits(0).prints("every tenant is complete: ok");
    }

    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    sample.execute(Some("globex"), "DELETE FROM _sqlx_migrations WHERE version = 2");
    sample.execute(Some("demo"), "ALTER TABLE crm_customer ALTER COLUMN email DROP NOT NULL");
    let closed = portcullis.run(["verify", "--structure"]).exits(1);
    closed
        .prints("table missing finance_invoice")
        .prints("not recorded 2 invoices")
        .prints("column crm_customer.email");
    portcullis.run(["repair", "acme", "--restore"]).exits(0);
    portcullis.run(["repair", "globex", "--record"]).exits(0);
    sample.execute(Some("demo"), "ALTER TABLE crm_customer ALTER COLUMN email SET NOT NULL");
    portcullis.run(["verify", "--structure"]).exits(0);

    portcullis.run(["tenant", "create", "initech"]).exits(0);
    sample.execute(None, "CREATE SCHEMA taken; CREATE TABLE taken.crm_customer (n int)");
    portcullis.run(["tenant", "create", "taken"]).exits(73);
    portcullis.run(["tenant", "delete", "initech", "--yes"]).exits(0);
    portcullis.run(["doctor"]).exits(0);
    portcullis.run(["history"]).exits(0).prints("`2 invoices` recorded without running");
}
