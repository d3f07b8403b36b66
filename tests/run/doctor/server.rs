//! Checks of the database server: its roles, its lock and its pooler.

use std::fs;

use super::{assert_outcomes, examine};
use crate::support::{
    cluster::Database,
    pooler::Pooler,
    project::Project,
    sample::{Engine, Sample},
};

#[test]
fn an_unreachable_database_hides_no_other_check() {
    let sample = Sample::on(Engine::Sqlite).env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    let found = assert_outcomes(
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
fn the_role_has_its_permissions_and_the_reader_role_no_more() {
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
        assert_outcomes(&sample.portcullis, expected);
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
fn the_doctor_names_the_lock_holder() {
    let project = Project::complete("")
        .file("tenant/2_slow.sql", "SELECT pg_sleep(50) WHERE current_schema() = 'a';\n");
    let migrating = project.portcullis.spawn(["migrate"]);
    // Not in the derivation of the manifest, which creates other schemas.
    project.until_sleeping();
    let found = examine(&project.portcullis);
    drop(migrating);
    assert_eq!(found["lock"].0, "warned", "{found:#?}");
    assert!(found["lock"].1.contains("portcullis"), "{found:#?}");
}

#[test]
fn a_pooler_in_transaction_mode_is_detected_and_a_direct_connection_bypasses_it() {
    let sample = Sample::complete_on(Engine::Postgres);
    let direct = sample.sqlx_url(None);
    let pooler = Pooler::before(sample.database(), 20);
    let sample = sample.env("DATABASE_URL", &pooler.url());
    assert_outcomes(&sample.portcullis, &[("pooler", "warned")]);
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let line = "url = \"${DATABASE_URL:-sqlite://var}\"";
    let sample = sample
        .file("config.toml", &config.replace(line, &format!("{line}\ndirect = {{ url = \"{direct}\" }}")));
    assert_outcomes(&sample.portcullis, &[("pooler", "passed"), ("lock", "passed")]);
}
