//! Laravel, from Debian's packages.

use std::fs;

use super::tool::{Tool, run};

const LARAVEL: Tool = Tool {
    framework: "laravel",
    title: "Laravel",
    folder: "database/migrations",
    fixture: "laravel",
    programs: "",
    apply: &["env", "TENANT={schema}", "php", "artisan", "migrate", "--force"],
    undo: &["env", "TENANT={schema}", "php", "artisan", "migrate:rollback", "--step=1", "--force"],
    fake: &[],
    applies_older: true,
    write: |project, number, name, up, down| {
        let name = format!("2024_01_01_00000{number}_{name}");
        let file = format!("database/migrations/{name}.php");
        let method =
            |name: &str, sql: &str| format!("    public function {name}() {{ DB::statement(\"{sql}\"); }}\n");
        let text = format!(
            "<?php\nuse Illuminate\\Database\\Migrations\\Migration;\nuse Illuminate\\Support\\Facades\\DB;\n\n\
             return new class extends Migration {{\n{}{}}};\n",
            method("up", up),
            method("down", down)
        );
        project.write(&file, &text);
        (file, name)
    },
};

#[test]
fn the_gate_judges_every_state_that_laravel_makes() {
    LARAVEL.states();
}

#[test]
fn migrations_that_laravel_prunes_after_a_dump_do_not_count() {
    let project = LARAVEL.project();
    run(&project, "a", &["env", "TENANT={schema}", "php", "artisan", "schema:dump", "--prune"]).exits(0);
    assert!(!project.path("database/migrations").exists());
    let (_, third) =
        LARAVEL.write(&project, 3, "Third", "CREATE TABLE bill (id int PRIMARY KEY)", "DROP TABLE bill");
    project.manifest();
    project.verify("a").exits(1).prints("pending").prints(&third).prints_not("diverged");
    project.portcullis.run(["migrate", "a"]).exits(0);
    project.verify("a").exits(0).prints_not("ahead");
}

const WITHOUT_TENANTS: &str = r#"
[database]
url = "${DATABASE_URL}"
[migrations]
framework = "laravel"
shared = "database/migrations"
apply = { run = ["env", "TENANT={schema}", "php", "artisan", "migrate", "--force"] }
[server]
command = ["echo", "the server started"]
[[step]]
name = "migrations"
migrate.shared = {}
[[step]]
name = "gate"
verify = { tenants = "all" }
"#;

#[test]
fn a_project_without_tenants_is_gated_by_its_shared_schema() {
    let project = LARAVEL.project();
    project
        .database
        .execute("DROP SCHEMA a CASCADE; DROP SCHEMA b CASCADE; DROP SCHEMA c; DROP TABLE tenants");
    project.write("config.toml", WITHOUT_TENANTS);
    project.manifest();
    let verify = || project.portcullis.run(["verify"]);
    verify().exits(1).prints("the shared schema");
    run(&project, "public", LARAVEL.apply).exits(0);
    verify().exits(0).prints("the shared schema").prints("complete");

    let (_, third) =
        LARAVEL.write(&project, 3, "Third", "CREATE TABLE bill (id int PRIMARY KEY)", "DROP TABLE bill");
    project.manifest();
    verify().exits(1).prints("pending").prints(&third);
    project.portcullis.run(["run"]).exits(0).prints("the server started");
    verify().exits(0);
    project.portcullis.run(["manifest", "structure"]).exits(0);
    project.database.execute("DROP TABLE bill");
    project.portcullis.run(["run"]).exits(1).prints("bill").prints_not("the server started");

    project.database.execute("CREATE TABLE bill (id int PRIMARY KEY)");
    fs::remove_file(project.path("config.toml")).unwrap();
    project
        .portcullis
        .run(["detect"])
        .exits(0)
        .prints("Laravel: `migrations` in the shared schema")
        .prints("shared = \"database/migrations\"")
        .prints("each is recorded in public")
        .prints_not("[tenants]");
    project
        .portcullis
        .run(["init-config"])
        .exits(0)
        .prints("Laravel's ledger `migrations` in the shared schema");
    project.portcullis.run(["check"]).exits(0).prints_not("warning");
    verify().exits(0);
}
