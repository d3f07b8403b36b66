//! A project that asks for its password at each connection.

use std::{fs, path::Path};

use crate::{documents::blocks::block, support::django::Project};

#[test]
fn the_engine_of_the_document_asks_for_the_password_at_each_connection() {
    let mut project = Project::complete();
    let role = format!("{}_login", project.database.name());
    project.database.execute(&format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'the-first-password'"));
    let folder = Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    project.set("PATH", &format!("{}:{}:{path}", folder.display(), crate::support::django::venv().display()));
    project.set("DB_USER", &role);
    project.set("DB_PASSWORD", "");
    project.configure("{ env = \"DB_PASSWORD\" }", "{ command = [\"cat\", \"current\"] }");
    let file = |name: &str| project.portcullis.path(name);
    fs::write(file("current"), "the-first-password\n").unwrap();
    project.manage(&["showmigrations", "finance"]).exits(1).prints("no password supplied");

    fs::create_dir(file("invoicing/token")).unwrap();
    fs::write(file("invoicing/token/__init__.py"), "").unwrap();
    fs::write(file("invoicing/token/base.py"), block("docs/credentials.md", "import subprocess")).unwrap();
    let settings = fs::read_to_string(file("invoicing/settings.py")).unwrap();
    let engine = block("docs/credentials.md", "ORIGINAL_BACKEND");
    fs::write(file("invoicing/settings.py"), settings + &engine).unwrap();
    project.manage(&["showmigrations", "finance"]).exits(0).prints("0004_invoice_payment");
    project.database.execute(&format!("ALTER ROLE {role} PASSWORD 'the-second-password'"));
    project.manage(&["showmigrations", "finance"]).exits(1).prints("password authentication failed");
    fs::write(file("current"), "the-second-password\n").unwrap();
    project.manage(&["showmigrations", "finance"]).exits(0);
    project.portcullis.run(["verify"]).exits(0).prints_not("the-second-password");
    project.database.execute(&format!("DROP ROLE {role}"));
}
