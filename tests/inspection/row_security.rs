//! Row-level security and conditions of the registry: the gate never takes some of the rows for all rows.

use crate::support::project::Project;

#[test]
fn a_row_policy_that_hides_rows_closes_the_gate() {
    let project = Project::complete("");
    project.database.execute("DROP TABLE b.item");
    project.portcullis.run(["verify"]).exits(1);
    let role = project.database.column("SELECT current_database() || '_reader'").remove(0);
    project.database.execute(&format!(
        "CREATE ROLE \"{role}\" NOSUPERUSER LOGIN PASSWORD 'bound'; GRANT USAGE, CREATE ON SCHEMA public TO \"{role}\"; \
         GRANT USAGE ON SCHEMA a, b, c TO \"{role}\"; GRANT SELECT ON ALL TABLES IN SCHEMA public, a, b, c TO \"{role}\"; \
         CREATE VIEW companies WITH (security_invoker) AS SELECT * FROM tenants; GRANT SELECT ON companies TO \"{role}\""
    ));
    let reader =
        format!("url = \"${{DATABASE_URL}}\"\nreader = {{ user = \"{role}\", password = \"bound\" }}");
    let project = project.replace("url = \"${DATABASE_URL}\"", &reader);
    let hidden =
        "ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; CREATE POLICY visible ON tenants USING (name <> 'b')";
    let visible = "DROP POLICY visible ON tenants; ALTER TABLE tenants DISABLE ROW LEVEL SECURITY";
    let mut outcomes = Vec::new();
    let mut judge = |project: &Project, hide: &str, show: &str| {
        project.database.execute(hide);
        outcomes.push(project.portcullis.run(["verify"]));
        outcomes.push(project.start());
        project.database.execute(show);
    };
    judge(&project, hidden, visible);
    // Of every row, of a setting of the session, of the table's own owner, and of a ledger.
    judge(&project, &hidden.replace("name <> 'b'", "true"), visible);
    judge(&project, &hidden.replace("name <> 'b'", "name = current_setting('app.tenant', true)"), visible);
    let owned = format!(
        "{hidden}; ALTER TABLE tenants OWNER TO \"{role}\"; ALTER TABLE tenants FORCE ROW LEVEL SECURITY"
    );
    judge(
        &project,
        &owned,
        &format!(
            "{visible}; ALTER TABLE tenants OWNER TO current_user; GRANT SELECT ON tenants TO \"{role}\""
        ),
    );
    let (of_ledger, table) = ("b._sqlx_migrations", "tenants");
    judge(
        &project,
        &hidden
            .replace(&format!("TABLE {table}"), &format!("TABLE {of_ledger}"))
            .replace(&format!("ON {table} USING (name <> 'b')"), &format!("ON {of_ledger} USING (success)")),
        &visible.replace(table, of_ledger),
    );
    let project = project.replace("table = \"tenants\"", "table = \"companies\"");
    judge(&project, hidden, visible);
    project.database.execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""));
    for outcome in outcomes {
        let outcome = outcome.exits(74).prints_not("the server started");
        let flat = outcome.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("row-level security") && flat.contains("BYPASSRLS"), "{outcome}");
    }
}

#[test]
fn a_row_outside_the_condition_needs_no_schema() {
    let project = Project::complete("")
        .replace("schema_column = \"name\"", "schema_column = \"name\", where = \"name IS NOT NULL\"");
    project.database.execute(
        "ALTER TABLE tenants DROP CONSTRAINT tenants_pkey; ALTER TABLE tenants ALTER name DROP NOT NULL; \
         INSERT INTO tenants VALUES (NULL)",
    );
    project.start().exits(0).prints("the server started");
    let project = project.replace("where = \"name IS NOT NULL\"", "where = \"true\"");
    project.portcullis.run(["verify"]).exits(74).prints("a row without a schema name");
}
