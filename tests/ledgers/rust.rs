//! The migration libraries of Rust, in a program that `scripts/ledger-tools` builds.

use std::fs;

use super::tool::{Tool, run};

/// The program's folder in `target`.
const LEDGERS: &str = "ledgers-rust";

const REFINERY: Tool = Tool {
    framework: "refinery",
    title: "refinery",
    folder: "migrations",
    fixture: "rust/project",
    programs: LEDGERS,
    apply: &["env", "TENANT={schema}", "ledgers", "refinery", "up"],
    undo: &[],
    fake: &[],
    applies_older: false,
    write: |project, number, name, up, _| {
        let file = format!("migrations/V{number}__{name}.sql");
        project.write(&file, &format!("{up};\n"));
        (file, format!("{number} {name}"))
    },
};

const DIESEL: Tool = Tool {
    framework: "diesel",
    title: "Diesel",
    folder: "migrations",
    fixture: "rust/project",
    programs: LEDGERS,
    apply: &["sh", "-c", r#"PGOPTIONS="$PGOPTIONS -csearch_path=\"$0\"" exec ledgers diesel up"#, "{schema}"],
    undo: &["sh", "-c", "PGOPTIONS=-csearch_path=$0 exec ledgers diesel down", "{schema}"],
    fake: &[],
    applies_older: true,
    write: |project, number, name, up, down| {
        let folder = format!("migrations/2024-01-01-00000{number}_{name}");
        let file = format!("{folder}/up.sql");
        project.write(&file, &format!("{up};\n"));
        project.write(&format!("{folder}/down.sql"), &format!("{down};\n"));
        (file, format!("2024010100000{number} {name}"))
    },
};

const SEA_ORM: Tool = Tool {
    framework: "sea-orm",
    title: "SeaORM",
    folder: "migrations",
    fixture: "rust/project",
    programs: LEDGERS,
    apply: &["env", "TENANT={schema}", "ledgers", "sea-orm", "up"],
    undo: &["env", "TENANT={schema}", "ledgers", "sea-orm", "down"],
    fake: &[],
    applies_older: true,
    write: |project, number, name, up, down| {
        let name = format!("m20240101_00000{number}_{name}");
        let file = format!("migrations/{name}.rs");
        let method = |name: &str, sql: &str| {
            format!(
                "    async fn {name}(&self, manager: &SchemaManager) -> Result<(), DbErr> {{\n        execute(manager, \"{sql}\").await\n    }}\n"
            )
        };
        let text = format!(
            "#[derive(DeriveMigrationName)]\npub struct Migration;\n\nimpl MigrationTrait for Migration {{\n{}{}}}\n",
            method("up", up),
            method("down", down)
        );
        project.write(&file, &text);
        (file, name)
    },
};

#[test]
fn the_gate_judges_every_state_that_refinery_makes() {
    REFINERY.states();
}

#[test]
fn the_gate_judges_every_state_that_diesel_makes() {
    DIESEL.states();
}

#[test]
fn the_gate_judges_every_state_that_sea_orm_makes() {
    SEA_ORM.states();
}

#[test]
fn a_changed_refinery_file_is_found_and_one_in_rust_is_not_compared() {
    let project = REFINERY.project();
    let (file, name) = REFINERY.write(&project, 3, "third", "CREATE TABLE bill (id int PRIMARY KEY)", "");
    REFINERY.apply(&project, "a").exits(0);
    project.write(&file, "CREATE TABLE bill (id bigint PRIMARY KEY);\n");
    project.manifest();
    project.verify("a").exits(1).prints("changed").prints(&name);
    run(&project, "a", REFINERY.apply).exits(1).prints("DivergentVersion");
    fs::rename(project.path(&file), project.path("migrations/V3__third.rs")).unwrap();
    project.manifest();
    project.verify("a").exits(0);
}
