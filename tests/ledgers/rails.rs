//! Rails, from Debian's packages.

use std::fs;

use super::tool::{Tool, run};
use crate::documents::blocks::block;

pub const RAILS: Tool = Tool {
    framework: "rails",
    title: "Rails",
    folder: "db/migrate",
    fixture: "rails",
    programs: "",
    apply: &["env", "RAILS_ENV=production", "TENANT={schema}", "bin/rails", "db:migrate"],
    undo: &["env", "RAILS_ENV=production", "TENANT={schema}", "bin/rails", "db:rollback"],
    fake: &[],
    applies_older: true,
    write: |project, number, name, up, down| {
        let version = format!("2024010100000{number}");
        // The folder of an engine's migrations.
        let folder = if number == 2 { "billing/" } else { "" };
        let file = format!("db/migrate/{folder}{version}_{}.rb", name.to_lowercase());
        let method = |name: &str, sql: &str| format!("  def {name}\n    execute \"{sql}\"\n  end\n");
        let text = format!(
            "class {name} < ActiveRecord::Migration[6.1]\n{}{}end\n",
            method("up", up),
            method("down", down)
        );
        project.write(&file, &text);
        project.write("config/database.yml", &block("docs/ledgers.md", "production:"));
        (file, format!("{version} {}", name.to_lowercase()))
    },
};

#[test]
fn the_gate_judges_every_state_that_rails_makes() {
    RAILS.states();
}

/// Rails records every older file when it loads the schema instead of the migrations.
#[test]
fn a_schema_that_rails_loads_is_complete_and_deleted_old_files_do_not_count() {
    let project = RAILS.project();
    project.write(
        "db/schema.rb",
        "ActiveRecord::Schema.define(version: 20240101000002) do\n  create_table :account, id: :integer do |t|\n    t.integer :total\n  end\nend\n",
    );
    let command = [
        "env",
        "RAILS_ENV=production",
        "DISABLE_DATABASE_ENVIRONMENT_CHECK=1",
        "TENANT={schema}",
        "bin/rails",
        "db:schema:load",
    ];
    run(&project, "c", &command).exits(0);
    project.portcullis.run(["manifest", "structure", "--tenant", "a"]).exits(0);
    project.verify("c").exits(0);
    fs::remove_file(project.path("db/migrate/20240101000001_first.rb")).unwrap();
    fs::remove_file(project.path("portcullis.manifest.json")).unwrap();
    project.manifest();
    project.verify("a").exits(0).prints_not("ahead");
    RAILS.write(&project, 3, "Third", "CREATE TABLE bill (id int PRIMARY KEY)", "DROP TABLE bill");
    fs::remove_file(project.path("portcullis.manifest.json")).unwrap();
    project.manifest();
    project.verify("a").exits(1).prints("pending").prints_not("diverged");
    project.portcullis.run(["migrate", "a"]).exits(0);
    project.verify("a").exits(0);
}
