//! Row-level security and conditions of the registry: the gate never takes some of the rows for all rows.

use crate::support::project::Project;

#[test]
fn a_row_policy_that_hides_registry_rows_closes_the_gate() {
    let project = Project::complete("");
    project.database.execute("DROP TABLE b.item");
    project.portcullis.run(["verify"]).exits(1);
    let role = project.database.column("SELECT current_database()::text").remove(0);
    project.database.execute(&format!(
        "CREATE ROLE \"{role}_reader\" NOSUPERUSER LOGIN PASSWORD 'bound'; GRANT USAGE ON SCHEMA public, a, b, c TO \"{role}_reader\"; \
         GRANT SELECT ON ALL TABLES IN SCHEMA public, a, b, c TO \"{role}_reader\"; \
         ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; CREATE POLICY visible ON tenants USING (name <> 'b')"
    ));
    let reader =
        format!("url = \"${{DATABASE_URL}}\"\nreader = {{ user = \"{role}_reader\", password = \"bound\" }}");
    let project = project.replace("url = \"${DATABASE_URL}\"", &reader);
    let outcome = project.portcullis.run(["verify"]);
    project.start().exits(74).prints_not("the server started");
    project.database.execute(&format!("DROP OWNED BY \"{role}_reader\"; DROP ROLE \"{role}_reader\""));
    outcome.exits(74).prints("row-level security").prints("BYPASSRLS");
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
