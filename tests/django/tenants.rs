//! Tenants of a real django-tenants project: its migrations create them completely, or not at all.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::manifest::with_types;
use crate::support::django::Project;

pub(super) fn empty() -> Project {
    Project::without_tenants()
}

pub(super) fn schemas(project: &Project) -> Vec<String> {
    project.database.column(
        "SELECT nspname::text FROM pg_namespace WHERE nspname NOT LIKE 'pg_%' \
         AND nspname NOT IN ('information_schema', 'public', 'portcullis') ORDER BY 1",
    )
}

pub(super) fn clients(project: &Project) -> Vec<String> {
    project.database.column("SELECT schema_name::text FROM customers_client ORDER BY 1")
}

pub(super) fn journal(project: &Project) -> Vec<String> {
    project.database.column("SELECT tenant || ' ' || kind FROM portcullis.journal ORDER BY 1")
}

/// Adds a tenant migration with this SQL, to fail or to take long.
pub(super) fn with_migration(project: &Project, sql: &str) {
    let text = format!(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    \
         dependencies = [(\"finance\", \"0004_invoice_payment\")]\n    operations = [migrations.RunSQL({sql:?})]\n"
    );
    fs::write(project.portcullis.path("finance/migrations/0005_own.py"), text).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
}

/// The SQL runs only in tenants, not in the shared schema.
pub(super) const FAILS: &str =
    "DO $$ BEGIN IF current_schema() <> 'public' THEN RAISE EXCEPTION 'not today'; END IF; END $$";
pub(super) const SLOW: &str = "SELECT pg_sleep(40) WHERE current_schema() NOT IN ('public')";

#[test]
fn a_created_tenant_is_complete_for_the_gate_for_django_and_for_visitors() {
    let project = empty();
    let create =
        ["tenant", "create", "Acme GmbH", "--schema", "acme", "--domain", "acme.localhost", "--json"];
    let created = project.portcullis.run(create).exits(0);
    let result: Value = serde_json::from_str(&created.stdout).unwrap();
    assert_eq!((&result["created"], &result["schema"]), (&true.into(), &"acme".into()));
    project.portcullis.run(["verify"]).exits(0);
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
    // The settings have no TIME_ZONE, and this is Django's default.
    let row = "SELECT c.schema_name || '|' || c.name || '|' || (c.created_on = (now() AT TIME ZONE 'America/Chicago')::date)::text \
               || '|' || d.domain \
               || '|' || d.is_primary::text FROM customers_client c JOIN customers_domain d ON d.tenant_id = c.id";
    assert_eq!(project.database.column(row), ["acme|Acme GmbH|true|acme.localhost|true"]);
    assert!(journal(&project).is_empty());
    // A domain in use is detected before the long work, and nothing remains.
    let same_domain = ["tenant", "create", "other", "--domain", "acme.localhost"];
    project.portcullis.run(same_domain).exits(73).prints("customers_domain").prints("rolled back");
    project.portcullis.run(["tenant", "create", "other", "--set", "colour=red"]).exits(64).prints("colour");
    assert_eq!(schemas(&project), ["acme"]);
    let deleted = project.portcullis.run(["tenant", "delete", "acme", "--yes"]).exits(0);
    deleted.prints("1 domain").prints("its schema");
    assert!(schemas(&project).is_empty() && clients(&project).is_empty());
}

#[test]
fn a_failing_migration_shows_djangos_error_and_leaves_nothing() {
    let project = empty();
    with_migration(&project, FAILS);
    let failed = project.portcullis.run(["tenant", "create", "acme"]).exits(73);
    failed.prints("rolled back").prints("not today").prints("finance.0005_own");
    let failed = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(73);
    let result: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(result["failure"]["left"], "elsewhere");
    assert!(result["failure"]["output"].to_string().contains("not today"));
    assert!(schemas(&project).is_empty() && clients(&project).is_empty() && journal(&project).is_empty());
}

#[test]
fn a_missing_interpreter_is_reported_and_leaves_nothing() {
    let project = empty();
    project.configure("framework = \"django\"", "framework = \"django\"\npython = \"no-such-python\"");
    let failed = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(73);
    let failure: Value = serde_json::from_str::<Value>(&failed.stdout).unwrap()["failure"].clone();
    assert_eq!((&failure["id"], &failure["left"]), (&"provisioning-failed".into(), &"nothing".into()));
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.contains("cannot start `no-such-python`") && message.contains("(rolled back)"),
        "{message}"
    );
    assert!(schemas(&project).is_empty() && clients(&project).is_empty() && journal(&project).is_empty());
}

#[test]
fn a_time_out_a_signal_and_a_kill_leave_no_tenant_and_no_rows_in_public() {
    let project = empty();
    let public = || {
        project
            .database
            .column("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    };
    with_migration(&project, SLOW);
    let before = public();
    let running = project.portcullis.spawn(["tenant", "create", "acme"]);
    project.database.until_sleeping();
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).prints("`acme` was being created: rolled back");
    assert!(schemas(&project).is_empty() && journal(&project).is_empty());

    let running = project.portcullis.spawn(["tenant", "create", "acme"]);
    project.database.until_sleeping();
    running.signal(Signal::SIGKILL);
    running.wait();
    assert_eq!(journal(&project), ["acme making"]);
    project.portcullis.run(["verify"]).exits(0).prints("interrupted by a kill: acme");
    fs::remove_file(project.portcullis.path("finance/migrations/0005_own.py")).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let next = project.portcullis.run(["tenant", "create", "globex"]).exits(0);
    next.prints(
        "left unfinished, was removed; what the project's command may have written outside of it stays",
    );
    assert_eq!(schemas(&project), ["globex"]);

    with_migration(&project, SLOW);
    let config = fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    fs::write(
        project.portcullis.path("config.toml"),
        config.replace("timeout = \"10m\"", "timeout = \"6s\""),
    )
    .unwrap();
    project
        .portcullis
        .run(["tenant", "create", "acme"])
        .exits(73)
        .prints("ran longer than 6 s")
        .prints("(rolled back, except for what the command wrote outside of new tenants)");
    assert_eq!(
        (schemas(&project), clients(&project)),
        (vec!["globex".to_owned()], vec!["globex".to_owned()])
    );
    assert_eq!(public(), before);
}

#[test]
fn a_failing_project_command_rolls_back_only_the_named_tenants() {
    let mut project = empty();
    project.set("CREATE_DEMO_TENANT", "1");
    // The command creates the demo tenant and then fails. A customer signs up at the same time.
    let bootstrap = project.portcullis.path("customers/management/commands/bootstrap_demo_tenants.py");
    let text = fs::read_to_string(&bootstrap).unwrap();
    let ending = "\n        Client(schema_name=\"customer\", name=\"A customer\").save(verbosity=0)\n        raise RuntimeError(\"seeding failed\")\n";
    fs::write(&bootstrap, text.trim_end().to_owned() + ending).unwrap();
    let failed = project.portcullis.run(["tenant", "bootstrap"]).exits(73);
    failed.prints("rolled back").prints("seeding failed").prints("another session created tenant `customer`");
    assert_eq!(
        (schemas(&project), clients(&project)),
        (vec!["customer".to_owned()], vec!["customer".to_owned()])
    );
    assert!(journal(&project).is_empty());
    // A killed command leaves a tenant that is complete for the gate and lacks what the command would have added.
    let sleeping = text.trim_end().to_owned()
        + "\n        from django.db import connection\n        connection.cursor().execute(\"SELECT pg_sleep(40)\")\n";
    fs::write(&bootstrap, sleeping).unwrap();
    let running = project.portcullis.spawn(["tenant", "bootstrap"]);
    project.database.until_sleeping();
    running.signal(Signal::SIGKILL);
    running.wait();
    fs::write(&bootstrap, &text).unwrap();
    // The steps before the bootstrap refuse it, too.
    for command in [["tenant", "bootstrap"], ["run", "--no-server"], ["migrate", "--all"]] {
        let refused = project.portcullis.run(command).exits(73);
        let refused = refused.prints("`demo`").prints("nothing proves that the command finished");
        refused.prints("portcullis tenant delete demo").prints("keep = \"complete\"");
    }
    project
        .portcullis
        .run(["verify"])
        .exits(1)
        .prints("half created")
        .prints("portcullis tenant delete demo");
    assert!(schemas(&project).contains(&"demo".to_owned()));
    project.portcullis.run(["tenant", "delete", "demo", "--yes"]).exits(0);
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("1 created");
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_bootstrap_does_not_touch_customers_who_sign_up_meanwhile() {
    let mut project = empty();
    project.set("CREATE_DEMO_TENANT", "1");
    // The demo tenant is complete only after the last customer exists.
    with_migration(
        &project,
        "DO $$ BEGIN WHILE current_schema() = 'demo' AND NOT EXISTS (SELECT FROM customers_client WHERE schema_name = 'customer2') \
         LOOP PERFORM pg_sleep(0.1); END LOOP; END $$",
    );
    let sign_up = "import django, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'invoicing.settings'; django.setup()\n\
                   from customers.models import Client\n\
                   for n in range(3): Client(schema_name=f'customer{n}', name='x').save(verbosity=0)\n";
    let bootstrapping = project.portcullis.spawn(["tenant", "bootstrap"]);
    project.database.until_sleeping();
    project.python(&["-c", sign_up]).exits(0);
    bootstrapping
        .wait()
        .exits(0)
        .prints("another session created tenant `customer0`")
        .prints("another session created tenant `customer2`");
    let expected: Vec<String> = ["customer0", "customer1", "customer2", "demo"].map(str::to_owned).to_vec();
    assert_eq!((schemas(&project), clients(&project)), (expected.clone(), expected));
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn the_documented_snippet_creates_a_tenant_and_distinguishes_its_failures() {
    let mut project = empty();
    let path = std::env::var("PATH").unwrap();
    let built =
        std::path::Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().unwrap().display().to_string();
    project.set("PATH", &format!("{built}:{}/target/venv/bin:{path}", env!("CARGO_MANIFEST_DIR")));
    let call = |body: &str| {
        let text = format!(
            "import django, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'invoicing.settings'; django.setup()\n\
             from customers.provisioning import *\nfrom django.db import transaction\n{body}\n"
        );
        project.python(&["-c", &text])
    };
    let create = "create_tenant('Acme GmbH', 'acme', 'acme.localhost')";
    call(create).exits(0);
    project.portcullis.run(["verify"]).exits(0);
    call(&format!("try:\n  {create}\nexcept Exists as e:\n  print('taken', e)")).exits(0).prints("taken");
    call(&format!("with transaction.atomic():\n  {create}")).exits(1).prints("inside a transaction");
    with_migration(&project, FAILS);
    let other = "create_tenant('Other', 'other', 'other.localhost')";
    call(&format!("try:\n  {other}\nexcept NotCreated as e:\n  print('again', e.again, e)"))
        .exits(0)
        .prints("again False")
        .prints("rolled back");
    assert_eq!(schemas(&project), ["acme"]);
}

#[test]
fn each_tenant_is_created_with_the_tables_of_its_type() {
    let project = Project::new();
    with_types(&project);
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    let create = |name: &str, kind: &str| {
        project.portcullis.run(["tenant", "create", name, "--set", &format!("kind={kind}")])
    };
    create("odd", "none").exits(64).prints("unknown tenant type `none`").prints("full, light");
    create("small", "light").exits(0);
    create("big", "full").exits(0);
    // Without options, the model's defaults apply.
    project.portcullis.run(["tenant", "create", "plain"]).exits(0);
    let kinds = "SELECT schema_name || ' ' || kind FROM customers_client ORDER BY 1";
    assert_eq!(project.database.column(kinds), ["big full", "plain full", "small light"]);
    let invoices = "SELECT schemaname::text FROM pg_tables WHERE tablename = 'finance_invoice' ORDER BY 1";
    assert_eq!(project.database.column(invoices), ["big", "plain"]);
    project.portcullis.run(["verify"]).exits(0).prints("3 tenants complete");
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);

    // Here the row is written first: it is removed with the schema after any interruption.
    let tenants = ["big", "plain", "small"].map(str::to_owned).to_vec();
    let state = || (schemas(&project), clients(&project), journal(&project));
    with_migration(&project, FAILS);
    create("failing", "full").exits(73).prints("not today").prints("rolled back");
    assert_eq!(state(), (tenants.clone(), tenants.clone(), vec![]));
    with_migration(&project, SLOW);
    let running = project.portcullis.spawn(["tenant", "create", "killed"]);
    project.database.until_sleeping();
    assert_eq!(journal(&project), ["killed making"]);
    running.signal(Signal::SIGKILL);
    running.wait();
    // The half-created tenant has a row: the gate is closed until the next lock holder has removed it.
    project.portcullis.run(["verify", "--tenant", "killed"]).exits(1);
    fs::remove_file(project.portcullis.path("finance/migrations/0005_own.py")).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    create("small2", "light").exits(0).prints("`killed`").prints("left unfinished, was removed");
    let tenants = ["big", "plain", "small", "small2"].map(str::to_owned).to_vec();
    assert_eq!(state(), (tenants.clone(), tenants, vec![]));
    project.portcullis.run(["verify"]).exits(0);

    // A replay migrates the tenants of one type by the statements of that type.
    project.configure("apply     = {", "apply     = { replay = true,");
    let note = "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n    \
                dependencies = [(\"finance\", \"0004_invoice_payment\")]\n    operations = [migrations.AddField(\"invoice\", \
                \"note\", models.TextField(default=\"\"))]\n";
    fs::write(project.portcullis.path("finance/migrations/0005_own.py"), note).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let migrated = project.portcullis.run(["migrate", "--all"]).exits(0);
    assert_eq!(migrated.stderr.matches("its statements run for 1 tenant ").count(), 2, "{migrated}");
    let notes =
        "SELECT table_schema::text FROM information_schema.columns WHERE column_name = 'note' ORDER BY 1";
    assert_eq!(project.database.column(notes), ["big", "plain"]);
    project.portcullis.run(["verify"]).exits(0);
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
}
