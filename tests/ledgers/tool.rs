//! A tool with a ledger of its own: it applies its migrations to a tenant, and the gate judges every state.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{detect::assert_written, project::Project};
use crate::support::process::Outcome;

/// The programs of the tools that npm installs.
pub const NODE: &str = "npm/node_modules/.bin";

/// A tool, whose configuration is a fixture.
pub struct Tool {
    pub framework: &'static str,
    pub title: &'static str,
    /// The folder of its migrations.
    pub folder: &'static str,
    /// The folder of its fixture in `tests/fixtures/ledgers`.
    pub fixture: &'static str,
    /// The folder of its programs in `target`.
    pub programs: &'static str,
    /// The command that migrates the schema `{schema}`.
    pub apply: &'static [&'static str],
    /// The command that undoes the newest migration; empty if the tool has none.
    pub undo: &'static [&'static str],
    /// The command that records every migration without running it; empty if the tool has none.
    pub fake: &'static [&'static str],
    /// The tool applies a pending migration that is older than an applied one.
    pub applies_older: bool,
    /// Writes a migration with these statements, the `number`th one, and returns its file and its name in messages.
    pub write: fn(&Project, number: u32, name: &str, up: &str, down: &str) -> (String, String),
}

impl Tool {
    /// The third migration in the rows of the ledger.
    fn third_row(&self) -> &'static str {
        match self.framework {
            // These ledgers have no names.
            "drizzle" => "1704067200003",
            "dbmate" | "rails" | "diesel" => "20240101000003",
            _ => "Third",
        }
    }

    /// Without migrations.
    pub fn empty_project(&self) -> Project {
        let migrations = format!(
            "framework = \"{}\"\ntenant = \"{}\"\napply = {{ lock_timeout = \"7s\", statement_timeout = \"3m\", run = {:?} }}\n",
            self.framework, self.folder, self.apply
        );
        let project = Project::new(self.fixture, &migrations, self.programs);
        if self.programs == NODE {
            let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/npm/node_modules");
            symlink(modules, project.path("node_modules")).unwrap();
        }
        project
    }

    /// Two migrations; the tenants `a` and `b` have both.
    pub fn project(&self) -> Project {
        let project = self.empty_project();
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
    pub fn write(
        &self,
        project: &Project,
        number: u32,
        name: &str,
        up: &str,
        down: &str,
    ) -> (String, String) {
        (self.write)(project, number, name, up, down)
    }

    /// Migrates a tenant with the tool's own command.
    pub fn apply(&self, project: &Project, tenant: &str) -> Outcome {
        run(project, tenant, self.apply)
    }

    /// The states of every tool: applied, pending, failed, undone, ahead, recorded without tables, merged from another
    /// branch, and a new tenant. Drizzle and refinery cannot undo; only some tools can record without running.
    pub fn states(&self) {
        let project = self.project();
        self.apply(&project, "c").exits(0);
        assert_written(&project, self.title);
        project.database.execute("DROP SCHEMA c CASCADE; CREATE SCHEMA c");
        project.verify("c").exits(1).prints("no ledger").prints("portcullis detect");
        project.verify("a").exits(0);
        project.portcullis.run(["manifest", "structure", "--tenant", "a"]).exits(0).prints("2 migrations");

        let bill = "CREATE TABLE bill AS SELECT name, setting FROM pg_settings \
                    WHERE name IN ('lock_timeout', 'statement_timeout', 'application_name')";
        let (third_file, third) = self.write(&project, 3, "Third", bill, "DROP TABLE bill");
        project.verify("a").exits(78).prints(&third).prints("portcullis manifest structure");
        fs::remove_file(project.path("portcullis.manifest.json")).unwrap();
        project.manifest();
        project.verify("a").exits(1).prints("pending").prints(&third).prints_not("First");
        project.portcullis.run(["migrate", "a"]).exits(0);
        project.verify("a").exits(0);
        let settings = project.database.column("SELECT setting FROM a.bill ORDER BY name");
        // The client of refinery does not read PGAPPNAME, and the program of the tests sets no name.
        assert!(self.framework == "refinery" || settings[0].starts_with("portcullis:"), "{settings:?}");
        assert_eq!(settings[1..], ["7000", "180000"]);
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
        let ahead = self.third_row();
        project.verify("b").exits(0).prints("ahead").prints(ahead);
        project.portcullis.run(["manifest", "structure", "--tenant", "b"]).exits(1).prints(ahead);

        // No migration has run in `c`, and all are recorded.
        let ledger: String = project
            .database
            .column(
                "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'b' AND c.relkind = 'r' AND c.relname ~ '(migrations?|Meta|history)$'",
            )
            .remove(0);
        if self.fake.is_empty() {
            project.database.execute(&format!("CREATE TABLE c.\"{ledger}\" AS TABLE b.\"{ledger}\""));
        } else {
            run(&project, "c", self.fake).exits(0);
        }
        project.verify("c").exits(0);
        project.database.execute("DROP TABLE b.bill");
        project.database.execute(&format!("DELETE FROM b.\"{ledger}\" WHERE \"{ledger}\"::text ~ '{ahead}'"));
        project.portcullis.run(["manifest", "structure", "--tenant", "b"]).exits(0).prints("2 migrations");
        project.verify("b").exits(0);
        project.verify("c").exits(1).prints("account");
        self.merged(&project);
    }

    /// A branch with an older migration is merged after a newer one was applied.
    fn merged(&self, project: &Project) {
        fs::remove_file(project.path("portcullis.manifest.json")).unwrap();
        let (_, older) = self.write(project, 0, "Older", "CREATE TABLE older (id int)", "DROP TABLE older");
        project.manifest();
        project.verify("b").exits(1).prints("pending").prints(&older).prints_not("Second");
        let code = i32::from(!self.applies_older);
        project.portcullis.run(["migrate", "b"]).exits(code);
        project.verify("b").exits(code).prints(if self.applies_older { "complete" } else { &older });
    }

    /// Removes a migration from the disk.
    fn remove(&self, project: &Project, file: &str, name: &str) {
        let path = project.path(file);
        let folder = path.parent().unwrap();
        if folder == project.path(self.folder) {
            fs::remove_file(path).unwrap();
        } else {
            fs::remove_dir_all(folder).unwrap();
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
pub fn run(project: &Project, tenant: &str, command: &[&str]) -> Outcome {
    let words: Vec<String> = command.iter().map(|word| word.replace("{schema}", tenant)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    project.tool(words[0], &words[1..])
}
