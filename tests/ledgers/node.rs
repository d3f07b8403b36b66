//! The ledgers of Node's tools: each tool applies its own migrations to a tenant, and the gate judges every state.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{detect::assert_written, project::Project};
use crate::support::process::Outcome;

/// A tool, whose migrations are in the folder `migrations` and whose configuration is a fixture.
struct Tool {
    framework: &'static str,
    title: &'static str,
    folder: &'static str,
    /// The command that migrates the schema `{schema}`.
    apply: &'static [&'static str],
    /// The command that undoes the newest migration; empty if the tool has none.
    undo: &'static [&'static str],
    /// Writes a migration with these statements, the `number`th one, and returns its file and its name in messages.
    write: fn(&Project, number: u32, name: &str, up: &str, down: &str) -> (String, String),
}

const PRISMA: Tool = Tool {
    framework: "prisma",
    title: "Prisma",
    folder: "prisma/migrations",
    apply: &["env", "TENANT={schema}", "prisma", "migrate", "deploy"],
    undo: &[],
    write: |project, number, name, up, _| {
        let name = format!("2024010100000{number}_{name}");
        let file = format!("prisma/migrations/{name}/migration.sql");
        project.write(&file, &format!("{up};\n"));
        project.write("prisma/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
        (file, name)
    },
};

const DRIZZLE: Tool = Tool {
    framework: "drizzle",
    title: "Drizzle",
    folder: "migrations",
    apply: &["env", "TENANT={schema}", "drizzle-kit", "migrate"],
    undo: &[],
    write: |project, number, name, up, _| {
        let name = format!("000{number}_{name}");
        let file = format!("migrations/{name}.sql");
        project.write(&file, &format!("{up};\n"));
        let journal = project.path("migrations/meta/_journal.json");
        let text = fs::read_to_string(&journal)
            .unwrap_or_else(|_| r#"{ "version": "7", "dialect": "postgresql", "entries": [] }"#.into());
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["entries"].as_array_mut().unwrap().push(serde_json::json!({
            "idx": number, "version": "7", "when": 1_704_067_200_000_u64 + u64::from(number), "tag": name, "breakpoints": true,
        }));
        project.write("migrations/meta/_journal.json", &json.to_string());
        (file, name)
    },
};

const TYPEORM: Tool = Tool {
    framework: "typeorm",
    title: "TypeORM",
    folder: "migrations",
    apply: &["env", "TENANT={schema}", "typeorm", "migration:run", "-d", "data-source.js"],
    undo: &["env", "TENANT={schema}", "typeorm", "migration:revert", "-d", "data-source.js"],
    write: |project, number, name, up, down| {
        let class = format!("{name}170406720000{number}");
        let file = format!("migrations/170406720000{number}-{name}.js");
        let method = |name: &str, sql: &str| format!("  async {name}(q) {{ await q.query(`{sql}`); }}\n");
        let text =
            format!("module.exports = class {class} {{\n{}{}}};\n", method("up", up), method("down", down));
        project.write(&file, &text);
        (file, class)
    },
};

const KNEX: Tool = Tool {
    framework: "knex",
    title: "Knex",
    folder: "migrations",
    apply: &["env", "TENANT={schema}", "knex", "migrate:latest"],
    undo: &["env", "TENANT={schema}", "knex", "migrate:down"],
    write: |project, number, name, up, down| {
        let file = format!("2024010100000{number}_{name}.js");
        let text = format!("exports.up = (k) => k.raw(`{up}`);\nexports.down = (k) => k.raw(`{down}`);\n");
        project.write(&format!("migrations/{file}"), &text);
        (format!("migrations/{file}"), file)
    },
};

const SEQUELIZE: Tool = Tool {
    framework: "sequelize",
    title: "Sequelize",
    folder: "migrations",
    apply: &["env", "TENANT={schema}", "sequelize-cli", "db:migrate"],
    undo: &["env", "TENANT={schema}", "sequelize-cli", "db:migrate:undo"],
    write: |project, number, name, up, down| {
        let file = format!("2024010100000{number}-{name}.js");
        let method = |sql: &str| format!("(q) => q.sequelize.query(`{sql}`)");
        let text = format!("module.exports = {{ up: {}, down: {} }};\n", method(up), method(down));
        project.write(&format!("migrations/{file}"), &text);
        (format!("migrations/{file}"), file)
    },
};

const NODE_PG_MIGRATE: Tool = Tool {
    framework: "node-pg-migrate",
    title: "node-pg-migrate",
    folder: "migrations",
    apply: &["node-pg-migrate", "up", "--schema", "{schema}", "--migrations-schema", "{schema}"],
    undo: &["node-pg-migrate", "down", "--schema", "{schema}", "--migrations-schema", "{schema}"],
    write: |project, number, name, up, down| {
        let name = format!("170406720000{number}_{name}");
        let file = format!("migrations/{name}.sql");
        project.write(&file, &format!("-- Up Migration\n{up};\n-- Down Migration\n{down};\n"));
        (file, name)
    },
};

impl Tool {
    /// Two migrations; the tenants `a` and `b` have both.
    fn project(&self) -> Project {
        let migrations = format!(
            "framework = \"{}\"\ntenant = \"{}\"\napply = {{ run = {:?} }}\n",
            self.framework, self.folder, self.apply
        );
        let project = Project::new(&format!("node/{}", self.framework), &migrations, "npm/node_modules/.bin");
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/npm/node_modules");
        symlink(modules, project.path("node_modules")).unwrap();
        self.write(&project, 1, "First", "CREATE TABLE account (id int PRIMARY KEY)", "DROP TABLE account");
        self.write(
            &project,
            2,
            "Second",
            "ALTER TABLE account ADD COLUMN total int",
            "ALTER TABLE account DROP COLUMN total",
        );
        project.manifest();
        for tenant in ["a", "b"] {
            self.apply(&project, tenant).exits(0);
        }
        project
    }

    /// Writes a migration; returns its file and its name in messages.
    fn write(&self, project: &Project, number: u32, name: &str, up: &str, down: &str) -> (String, String) {
        (self.write)(project, number, name, up, down)
    }

    /// Migrates a tenant with the tool's own command.
    fn apply(&self, project: &Project, tenant: &str) -> Outcome {
        run(project, tenant, self.apply)
    }

    /// The states of every tool: applied, pending, failed, undone, ahead, stamped without tables, and a new tenant.
    fn states(&self) {
        let project = self.project();
        self.apply(&project, "c").exits(0);
        assert_written(&project, self.title);
        project.database.execute("DROP SCHEMA c CASCADE; CREATE SCHEMA c");
        project.verify("a").exits(0);
        project.portcullis.run(["manifest", "structure", "--tenant", "a"]).exits(0).prints("2 migrations");

        let (third_file, third) =
            self.write(&project, 3, "Third", "CREATE TABLE bill (id int PRIMARY KEY)", "DROP TABLE bill");
        project.verify("a").exits(78).prints(&third).prints("portcullis manifest structure");
        fs::remove_file(project.path("portcullis.manifest.json")).unwrap();
        project.manifest();
        project.verify("a").exits(1).prints("pending").prints(&third).prints_not("First");
        project.portcullis.run(["migrate", "a"]).exits(0);
        project.verify("a").exits(0);
        project.portcullis.run(["tenant", "create", "fresh"]).exits(0);
        project.verify("fresh").exits(0);

        if !self.undo.is_empty() {
            run(&project, "fresh", self.undo).exits(0);
            project.verify("fresh").exits(1).prints("pending").prints(&third).prints_not("Second");
        }

        // The next one fails, and its name is in the box.
        let (fourth_file, fourth) =
            self.write(&project, 4, "Fourth", "ALTER TABLE missing ADD COLUMN x int", "SELECT 1");
        project.manifest();
        let failed = project.portcullis.run(["migrate", "a"]).exits(1);
        // Drizzle's command prints no error without a terminal.
        failed.prints(if self.framework == "drizzle" { "exited with 1" } else { "missing" });
        project.verify("a").exits(1).prints(&fourth).prints_not(&third);

        // The release that has two migrations runs on a database of the one with three.
        self.remove(&project, &fourth_file, &fourth);
        project.manifest();
        self.apply(&project, "b").exits(0);
        project.verify("b").exits(0);
        self.remove(&project, &third_file, &third);
        project.manifest();
        // Drizzle's ledger has times and no names.
        let ahead = if self.framework == "drizzle" { "1704067200003" } else { "Third" };
        project.verify("b").exits(0).prints("ahead").prints(ahead);
        project.portcullis.run(["manifest", "structure", "--tenant", "b"]).exits(1).prints(ahead);

        // The ledger of `c` is a copy: no migration has run there.
        let ledger: String = project.database.column(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'b' AND c.relkind = 'r' AND c.relname NOT IN ('account', 'bill') AND c.relname !~ 'lock$'",
        ).remove(0);
        project.database.execute(&format!("CREATE TABLE c.\"{ledger}\" AS TABLE b.\"{ledger}\""));
        project.verify("c").exits(0);
        project.database.execute("DROP TABLE b.bill");
        project
            .database
            .execute(&format!("DELETE FROM b.\"{ledger}\" WHERE \"{ledger}\"::text ~ 'Third|1704067200003'"));
        project.portcullis.run(["manifest", "structure", "--tenant", "b"]).exits(0).prints("2 migrations");
        project.verify("b").exits(0);
        project.verify("c").exits(1).prints("account");
    }

    /// Removes a migration from the disk.
    fn remove(&self, project: &Project, file: &str, name: &str) {
        let path = project.path(file);
        if self.framework == "prisma" {
            fs::remove_dir_all(path.parent().unwrap()).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        if self.framework == "drizzle" {
            let journal = project.path("migrations/meta/_journal.json");
            let mut json: serde_json::Value =
                serde_json::from_str(&fs::read_to_string(&journal).unwrap()).unwrap();
            json["entries"].as_array_mut().unwrap().retain(|entry| entry["tag"] != name);
            fs::write(journal, json.to_string()).unwrap();
        }
    }
}

/// Runs a command of the tool for one tenant.
fn run(project: &Project, tenant: &str, command: &[&str]) -> Outcome {
    let words: Vec<String> = command.iter().map(|word| word.replace("{schema}", tenant)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    project.tool(words[0], &words[1..])
}

#[test]
fn the_gate_judges_every_state_that_prisma_makes() {
    PRISMA.states();
}

#[test]
fn the_gate_judges_every_state_that_drizzle_makes() {
    DRIZZLE.states();
}

#[test]
fn the_gate_judges_every_state_that_typeorm_makes() {
    TYPEORM.states();
}

#[test]
fn the_gate_judges_every_state_that_knex_makes() {
    KNEX.states();
}

#[test]
fn the_gate_judges_every_state_that_sequelize_makes() {
    SEQUELIZE.states();
}

#[test]
fn the_gate_judges_every_state_that_node_pg_migrate_makes() {
    NODE_PG_MIGRATE.states();
}

#[test]
fn a_failed_prisma_migration_is_dirty_until_it_is_resolved() {
    let project = PRISMA.project();
    let (file, name) = PRISMA.write(&project, 3, "Third", "ALTER TABLE missing ADD COLUMN x int", "");
    project.manifest();
    let resolve = |how: &str| {
        let command = ["env", "TENANT={schema}", "prisma", "migrate", "resolve", how, &name];
        run(&project, "a", &command).exits(0);
    };
    PRISMA.apply(&project, "a").exits(1);
    project.verify("a").exits(1).prints("failed").prints(&name).prints_not("pending");
    // Only the attempt that was not rolled back counts.
    resolve("--rolled-back");
    project.verify("a").exits(1).prints("pending").prints(&name);
    project.write(&file, "CREATE TABLE bill (id int PRIMARY KEY);\n");
    project.manifest();
    PRISMA.apply(&project, "a").exits(0);
    project.verify("a").exits(0);
    assert_eq!(project.database.column("SELECT count(*)::text FROM a._prisma_migrations"), ["4"]);

    // A baseline records a migration that was applied by hand.
    let (_, name) = PRISMA.write(&project, 4, "Fourth", "CREATE TABLE note (id int PRIMARY KEY)", "");
    project.manifest();
    project.database.execute("CREATE TABLE a.note (id int PRIMARY KEY)");
    project.verify("a").exits(1).prints("pending");
    let command = ["env", "TENANT={schema}", "prisma", "migrate", "resolve", "--applied", &name];
    run(&project, "a", &command).exits(0);
    project.verify("a").exits(0);
}

#[test]
fn a_prisma_file_with_other_line_ends_is_not_altered_and_any_other_change_is() {
    let project = PRISMA.project();
    let (file, name) =
        PRISMA.write(&project, 3, "Third", "CREATE TABLE bill (\n    id int PRIMARY KEY\n)", "");
    PRISMA.apply(&project, "a").exits(0);
    let text = fs::read_to_string(project.path(&file)).unwrap();
    for (changed, code) in [(text.replace('\n', "\r\n"), 0), (text.replace("int", "bigint"), 1)] {
        project.write(&file, &changed);
        project.manifest();
        let outcome = project.verify("a").exits(code);
        if code == 1 {
            outcome.prints("changed").prints(&name);
        }
    }
}

#[test]
fn a_changed_drizzle_file_and_a_late_entry_are_found() {
    let project = DRIZZLE.project();
    let (file, third) = DRIZZLE.write(&project, 5, "Fifth", "CREATE TABLE bill (id int PRIMARY KEY)", "");
    DRIZZLE.apply(&project, "a").exits(0);
    project.write(&file, "CREATE TABLE bill (id bigint PRIMARY KEY);\n");
    project.manifest();
    project.verify("a").exits(1).prints("changed").prints(&third);
    project.write(&file, "CREATE TABLE bill (id int PRIMARY KEY);\n");
    // Drizzle ignores an entry that is older than the newest row.
    let (_, late) = DRIZZLE.write(&project, 4, "Late", "CREATE TABLE note (id int PRIMARY KEY)", "");
    project.manifest();
    project.portcullis.run(["migrate", "a"]).exits(1).prints("still").prints(&late);
}

#[test]
fn the_class_names_of_typeorm_are_the_identifiers() {
    let project = TYPEORM.project();
    let text = "module.exports = class Other {\n  name = 'Renamed1704067200003';\n  async up(q) { await q.query('SELECT 1'); }\n  async down() {}\n};\n";
    project.write("migrations/1704067200009-x.js", text);
    project.manifest();
    project.verify("a").exits(1).prints("Renamed1704067200003");
    TYPEORM.apply(&project, "a").exits(0);
    project.verify("a").exits(0);
    project.write("migrations/1704067200010-y.js", &text.replace("'Renamed", "prefix + '"));
    let refused = project.portcullis.run(["manifest", "files"]).exits(78);
    refused.prints("1704067200010-y.js").prints("`name` is not a literal");
}
