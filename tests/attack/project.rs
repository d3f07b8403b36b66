//! The attacked project: every kind of step, three tenants with pending migrations and data, and one to be created.

use crate::support::{portcullis::Portcullis, process::Running};

pub const STARTED: &str = "the server started";
/// The existing tenants. `demo` is created by the start.
pub const TENANTS: [&str; 3] = ["t0", "t1", "t2"];

const CONFIG: &str = r#"
database = { url = "${DATABASE_URL}" }
tenants = { registry = { table = "tenants", schema_column = "name" } }
gate = { structure = "block" }
lock = { timeout = "${LOCK_TIMEOUT:-40s}", silence_timeout = "3s" }
[migrations]
shared = "shared"
tenant = "tenant"
apply = { jobs = 2, timeout = "20s" }
[server]
command = ["echo", "the server started"]
[[step]]
name = "database"
wait.database = { timeout = "6s" }
[[step]]
name = "shared schema"
migrate.shared = {}
[[step]]
name = "once"
sql = { run = "INSERT INTO counted VALUES ('once')", once_per_release = true, timeout = "20s" }
[[step]]
name = "tenant schemas"
migrate.tenants = {}
[[step]]
name = "demo tenant"
bootstrap = { tenants = ["demo"] }
[[step]]
name = "gate"
verify = { tenants = "all", timeout = "20s" }
"#;

const SHARED: [(&str, &str); 2] = [
    ("1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\nCREATE TABLE counted (what text);\n"),
    ("2_plan.sql", "CREATE TABLE plan (n bigint);\nINSERT INTO counted VALUES ('plan');\n"),
];

/// The files of a tenant. The oracle knows their effects.
pub const TENANT: [(i64, &str, &str); 4] = [
    (1, "1_item.sql", "CREATE TABLE item (n bigint);\n"),
    (2, "2_note.sql", "ALTER TABLE item ADD COLUMN note text;\nINSERT INTO item VALUES (-2, 'once');\n"),
    (3, "3_index.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY item_note ON item (note);\n"),
    (
        4,
        "4_line.sql",
        "CREATE TABLE line (item bigint);\nINSERT INTO item VALUES (-4, 'once');\nCREATE UNIQUE INDEX line_item ON line (item);\n",
    ),
];

/// The SQL that adds each tenant's data.
pub fn data() -> String {
    TENANTS.map(|tenant| format!("INSERT INTO {tenant}.item (n) VALUES (42);")).concat()
}

/// The project with its current files; the database at this URL has the tenants as an earlier release left them.
pub fn behind(url: &str) -> Portcullis {
    let project = Portcullis::new().config(CONFIG).env("DATABASE_URL", url);
    let earlier = project
        .file(&format!("shared/{}", SHARED[0].0), SHARED[0].1)
        .file(&format!("tenant/{}", TENANT[0].1), TENANT[0].2);
    earlier.run(["manifest", "sql"]).exits(0);
    earlier.run(["migrate", "--shared"]).exits(0);
    for tenant in TENANTS {
        earlier.run(["tenant", "create", tenant]).exits(0);
    }
    let mut project = earlier.file(&format!("shared/{}", SHARED[1].0), SHARED[1].1);
    for (_, name, text) in &TENANT[1..] {
        project = project.file(&format!("tenant/{name}"), text);
    }
    project.run(["manifest", "sql"]).exits(0);
    project
}

/// Starts a copy of the project against another database.
pub fn start(project: &Portcullis, url: &str) -> (Portcullis, Running) {
    let project = project.copy().env("DATABASE_URL", url);
    let running = project.spawn(["run"]);
    (project, running)
}
