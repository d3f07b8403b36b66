//! `repair --replay`: restores what `migrate` does not change.

use crate::support::django::Project;

#[test]
fn a_replay_restores_a_dropped_table() {
    let project = Project::complete();
    project.database.execute(
        "DROP TABLE demo.finance_invoice; \
         CREATE TABLE public.finance_invoice (id bigint); INSERT INTO public.finance_invoice VALUES (1), (2)",
    );
    project.portcullis.run(["verify"]).exits(1).prints("finance.Invoice").prints("shadowed");
    project.portcullis.run(["migrate"]).exits(0).prints("nothing pending");
    project.portcullis.run(["repair", "demo"]).exits(1).prints("2/5  FAILED").prints("--replay finance");
    let dry = project.portcullis.run(["repair", "demo", "--replay", "finance", "--dry-run"]).exits(0);
    dry.prints("would be applied again").prints("finance.0004_invoice_payment");
    project.portcullis.run(["verify"]).exits(1);

    let repaired = project.portcullis.run(["repair", "demo", "--replay", "finance"]).exits(0);
    repaired
        .prints("finance.0004_invoice_payment run again")
        .prints("public.finance_invoice contains 2 rows, which are not changed")
        .prints("5/5  ok")
        .prints("finance_invoice 0 rows")
        .prints_not("foreign key");
    project.portcullis.run(["verify"]).exits(0);
    assert_eq!(project.database.column("SELECT count(*)::text FROM public.finance_invoice"), ["2"]);
    // The ledger equals the one that Django writes.
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
    project.manage(&["load_demo_data"]).exits(0);
}

#[test]
fn an_app_that_cannot_be_replayed_is_explained_and_not_changed() {
    let project = Project::complete();
    let repair = |app| project.portcullis.run(["repair", "demo", "--replay", app]);
    repair("finance").exits(1).prints("cannot be replayed");
    repair("nonsense").exits(1).prints("cannot be replayed");
    project.portcullis.run(["repair", "nobody", "--replay", "finance"]).exits(1).prints("nobody");
    project.database.execute("DROP TABLE demo.contacts_contact CASCADE");
    repair("contacts").exits(1).prints("contacts.0003_contact_sort_name").prints("--allow-code");
    project.database.execute("DROP TABLE demo.auth_group CASCADE");
    repair("auth").exits(1).prints("still exist");
    project
        .portcullis
        .run(["repair", "demo", "--replay", "contacts", "--allow-code"])
        .exits(1)
        .prints("finance_invoice.contact_id has lost its foreign key")
        .prints("auth_group");
    assert_eq!(
        project.database.column("SELECT count(*)::text FROM pg_tables WHERE schemaname = 'demo' AND tablename = 'contacts_contact'"),
        ["1"],
        "contacts was replayed, and the other missing tables are still reported"
    );
}

#[test]
fn a_failing_replay_does_not_change_the_ledger() {
    let project = Project::complete();
    // A relation of the same name that is no table: the inspection finds no table, and CREATE TABLE fails.
    project.database.execute("DROP TABLE demo.finance_invoice; CREATE SEQUENCE demo.finance_invoice");
    let ledger =
        || project.database.column("SELECT app || '.' || name FROM demo.django_migrations ORDER BY 1");
    let before = ledger();
    project
        .portcullis
        .run(["repair", "demo", "--replay", "finance"])
        .exits(1)
        .prints("rolled back")
        .prints("already exists");
    assert_eq!(ledger(), before);
}

#[test]
fn one_command_repairs_every_tenant_that_lost_an_app() {
    let project = Project::complete();
    project.copies(&["acme".into(), "globex".into()]);
    project.database.execute("DROP TABLE demo.finance_invoice; DROP TABLE globex.finance_invoice");
    let outcome = project.portcullis.run(["repair", "--all-affected", "--replay", "finance"]).exits(0);
    outcome.prints("demo: finance.").prints("globex: finance.").prints_not("acme: finance.");
    project
        .portcullis
        .run(["repair", "--all-affected", "--replay", "finance"])
        .exits(0)
        .prints("no tenant has lost");
}

#[test]
fn pending_migrations_are_applied_by_the_framework() {
    let project = Project::complete();
    project.database.execute(
        "DELETE FROM demo.django_migrations WHERE name = '0004_invoice_payment'; \
         ALTER TABLE demo.finance_invoice DROP COLUMN total, DROP COLUMN paid_on",
    );
    let repaired = project.portcullis.run(["repair", "demo"]).exits(0);
    repaired.prints("1 migration applied: finance.0004_invoice_payment").prints("5/5  ok");
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
}

#[test]
fn pasting_the_commands_of_the_box_records_deleted_ledger_rows_without_running_the_migrations() {
    let project = Project::complete();
    project.copies(&["acme".into()]);
    let rows = "SELECT app || '.' || name FROM acme.django_migrations ORDER BY 1";
    let before = project.database.column(rows);
    project.database.execute(
        "INSERT INTO acme.contacts_contact (id, name, email, city, sort_name) \
         VALUES (1, 'Ada', 'a@example.com', '', 'kept'); \
         DELETE FROM acme.django_migrations WHERE app = 'contacts' OR name = '0002_invoice_lines'",
    );
    let blocked = project.portcullis.run(["verify", "acme"]).exits(1).prints("not recorded");
    assert_eq!(blocked.commands(), ["portcullis repair --record acme"], "{blocked}");
    for command in blocked.commands() {
        project.portcullis.paste(command).exits(0);
    }
    project.portcullis.run(["verify"]).exits(0);
    assert_eq!(project.database.column(rows), before);
    assert_eq!(project.database.column("SELECT sort_name::text FROM acme.contacts_contact"), ["kept"]);
}
