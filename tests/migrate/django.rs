//! A plan of Django's migrations: the SQL of its own sqlmigrate, which executes nothing.

use serde_json::{Value, json};

use super::{hash, plan};
use crate::support::django::Project;

const BEHIND: &str = "DELETE FROM demo.django_migrations WHERE name = '0004_invoice_payment'; \
    ALTER TABLE demo.finance_invoice DROP COLUMN total, DROP COLUMN paid_on";

#[test]
fn the_sql_of_a_django_migration_is_that_of_sqlmigrate_and_an_approved_plan_is_executed() {
    let project = Project::complete();
    project.database.execute(BEHIND);
    let before = plan(&project.portcullis);
    assert_eq!(before["groups"][0]["tenants"], json!(["demo"]), "{before}");
    let migration = &before["groups"][0]["migrations"][0];
    assert_eq!(migration["name"], "finance.0004_invoice_payment");
    let statements = migration["statements"].as_array().unwrap_or_else(|| panic!("{before}"));
    let printed =
        project.manage(&["tenant_command", "sqlmigrate", "finance", "0004", "--schema=demo"]).exits(0);
    let sql: Vec<&str> = statements.iter().filter_map(|one| one["sql"].as_str()).collect();
    assert!(sql.len() > 1, "{before}");
    for statement in &sql {
        assert!(printed.stdout.contains(statement), "{statement}: {printed}");
    }
    let adds = statements
        .iter()
        .find(|one| one["sql"].as_str().is_some_and(|sql| sql.contains("ADD COLUMN \"paid_on\"")));
    let locks =
        json!([{ "table": "finance_invoice", "tables": null, "lock": "ACCESS EXCLUSIVE", "rows": "none" }]);
    assert_eq!(adds.unwrap()["locks"], locks, "{before}");
    project.portcullis.run(["verify"]).exits(1).prints("finance.0004_invoice_payment");
    assert_eq!(before["groups"][0]["measured"], Value::Null);
    project.portcullis.run(["migrate", "--approve", hash(&before)]).exits(0).prints("1 migration applied");
    project.portcullis.run(["verify"]).exits(0);
    project.database.execute(BEHIND);
    assert_eq!(plan(&project.portcullis)["groups"][0]["measured"]["tenants"], 1);
}

#[test]
fn python_code_and_a_query_of_an_own_operation_are_not_known_and_change_nothing() {
    let project = Project::complete();
    let migration = |operations: &str| {
        format!(
            "from django.db import migrations\n\n\nclass Write(migrations.operations.base.Operation):\n    reduces_to_sql = True\n\n    \
             def state_forwards(self, app_label, state):\n        pass\n\n    \
             def database_forwards(self, app_label, schema_editor, from_state, to_state):\n        \
             schema_editor.connection.cursor().execute(\"DELETE FROM finance_invoice\")\n\n\n\
             class Migration(migrations.Migration):\n    dependencies = [(\"finance\", \"DEPENDS\")]\n    operations = [{operations}]\n"
        )
    };
    let code = migration("migrations.RunPython(migrations.RunPython.noop), migrations.RunSQL(\"SELECT 1\")");
    let write = migration("Write()").replace("DEPENDS", "0005_code");
    for (name, text) in
        [("0005_code", code.replace("DEPENDS", "0004_invoice_payment")), ("0006_write", write)]
    {
        std::fs::write(project.portcullis.path(&format!("finance/migrations/{name}.py")), text).unwrap();
    }
    project.portcullis.run(["manifest", "django"]).exits(0);
    let count = "SELECT count(*)::text FROM demo.finance_invoice";
    let invoices = project.database.column(count);
    let planned = plan(&project.portcullis);
    let [first, second] = planned["groups"][0]["migrations"].as_array().unwrap().as_slice() else {
        panic!("{planned}")
    };
    assert_eq!(first["statements"][0], json!({ "sql": null, "locks": null }), "{planned}");
    assert_eq!(first["statements"][1]["locks"], Value::Null);
    assert_eq!((&second["statements"], &second["command"]), (&Value::Null, &json!("Django")), "{planned}");
    assert_eq!(project.database.column(count), invoices);
    let text = project.portcullis.run(["migrate", "--plan"]).exits(0);
    for line in ["    code of the project\n", "SQL not known; it is applied by: Django\n"] {
        assert!(text.stdout.contains(line), "{line}: {text}");
    }
}
