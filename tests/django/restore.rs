//! `repair --restore` of a Django tenant: the structure comes from the template or from a complete tenant.

use std::process::Command;

use crate::support::django::Project;

/// Tables of two apps that keep other tables, with what refers to them.
const LOSS: &str = "DROP TABLE demo.auth_group CASCADE; ALTER TABLE demo.finance_invoice DROP COLUMN paid_on; \
    DROP INDEX demo.auth_permission_content_type_id_2f476e4b";

/// pg_dump's lines in any order: a column that is created again is the last one of its table.
fn dump(project: &Project) -> Vec<String> {
    let url = project.database.url();
    let output = Command::new("pg_dump").args(["--schema-only", "--schema=demo", &url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('\\'));
    let mut lines: Vec<String> = lines.map(|line| line.trim_end_matches(',').to_owned()).collect();
    lines.sort();
    lines
}

#[test]
fn lost_objects_of_the_only_tenant_come_from_the_template() {
    let project = Project::complete();
    let before = dump(&project);
    project.database.execute(LOSS);
    let blocked = project.portcullis.run(["verify"]).exits(1);
    blocked
        .prints("no other tenant is complete")
        .prints("portcullis tenant template")
        .prints_not("--restore demo");
    let restore = ["repair", "demo", "--restore"];
    project.portcullis.run(restore).exits(1).prints("no other tenant is complete, and there is no template");

    project.configure("manifest  = {", "template  = { file = \"portcullis.template.sql\" }\nmanifest  = {");
    project.portcullis.run(restore).exits(78).prints("portcullis tenant template");
    project.portcullis.run(["tenant", "template"]).exits(0);
    let blocked = project.portcullis.run(["verify"]).exits(1);
    assert!(blocked.commands().contains(&"portcullis repair --restore demo"), "{blocked}");
    project.portcullis.run(restore).exits(0).prints("table auth_group").prints("(as in the template)");
    assert_eq!(dump(&project), before);
    project.portcullis.run(["verify", "--structure"]).exits(0);
    let schemas = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'portcullis\\_template%'";
    assert_eq!(project.database.column(schemas), [""; 0]);
}

#[test]
fn lost_objects_come_from_a_complete_tenant() {
    let project = Project::complete();
    project.portcullis.run(["tenant", "create", "acme"]).exits(0);
    let before = dump(&project);
    project.database.execute(LOSS);
    let printed = project.portcullis.run(["repair", "demo", "--print-sql"]).exits(0);
    assert!(printed.stdout.contains("CREATE TABLE"), "{printed}");
    let blocked = project.portcullis.run(["verify"]).exits(1);
    assert!(blocked.commands().contains(&"portcullis repair --restore demo"), "{blocked}");
    project.portcullis.run(["repair", "--restore", "demo"]).exits(0).prints("(as in acme)");
    assert_eq!(dump(&project), before);
    project.portcullis.run(["verify", "--structure"]).exits(0);
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
}
