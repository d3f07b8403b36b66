//! The tools that npm installs.

use std::fs;

use super::tool::{NODE, Tool, run};

pub const PRISMA: Tool = Tool {
    framework: "prisma",
    title: "Prisma",
    folder: "prisma/migrations",
    fixture: "node/prisma",
    programs: NODE,
    apply: &["env", "TENANT={schema}", "prisma", "migrate", "deploy"],
    undo: &[],
    fake: &[
        "sh",
        "-ec",
        "export TENANT=$0; for name in $(ls prisma/migrations | grep ^2); do prisma migrate resolve --applied $name; done",
        "{schema}",
    ],
    applies_older: true,
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
    fixture: "node/drizzle",
    programs: NODE,
    apply: &["env", "TENANT={schema}", "drizzle-kit", "migrate"],
    undo: &[],
    fake: &[],
    applies_older: false,
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
    fixture: "node/typeorm",
    programs: NODE,
    apply: &["env", "TENANT={schema}", "typeorm", "migration:run", "-d", "data-source.js"],
    undo: &["env", "TENANT={schema}", "typeorm", "migration:revert", "-d", "data-source.js"],
    fake: &["env", "TENANT={schema}", "typeorm", "migration:run", "-d", "data-source.js", "--fake"],
    applies_older: true,
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

pub const KNEX: Tool = Tool {
    framework: "knex",
    title: "Knex",
    folder: "migrations",
    fixture: "node/knex",
    programs: NODE,
    apply: &["env", "TENANT={schema}", "knex", "migrate:latest"],
    undo: &["env", "TENANT={schema}", "knex", "migrate:down"],
    fake: &[],
    applies_older: true,
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
    fixture: "node/sequelize",
    programs: NODE,
    apply: &["env", "TENANT={schema}", "sequelize-cli", "db:migrate"],
    undo: &["env", "TENANT={schema}", "sequelize-cli", "db:migrate:undo"],
    fake: &[],
    applies_older: true,
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
    fixture: "node/node-pg-migrate",
    programs: NODE,
    apply: &["node-pg-migrate", "up", "--schema", "{schema}", "--migrations-schema", "{schema}"],
    undo: &["node-pg-migrate", "down", "--schema", "{schema}", "--migrations-schema", "{schema}"],
    fake: &["node-pg-migrate", "up", "--fake", "--schema", "{schema}", "--migrations-schema", "{schema}"],
    applies_older: false,
    write: |project, number, name, up, down| {
        let name = format!("170406720000{number}_{name}");
        let file = format!("migrations/{name}.sql");
        project.write(&file, &format!("-- Up Migration\n{up};\n-- Down Migration\n{down};\n"));
        (file, name)
    },
};

const KYSELY: Tool = Tool {
    framework: "kysely",
    title: "Kysely",
    folder: "migrations",
    fixture: "node/kysely",
    programs: NODE,
    apply: &["env", "TENANT={schema}", "kysely", "migrate:latest"],
    undo: &["env", "TENANT={schema}", "kysely", "migrate:down"],
    fake: &[],
    applies_older: false,
    write: |project, number, name, up, down| {
        let name = format!("2024010100000{number}_{name}");
        let file = format!("migrations/{name}.ts");
        let method = |name: &str, sql: &str| {
            format!("export async function {name}(db) {{ await sql`{sql}`.execute(db); }}\n")
        };
        let text = format!("import {{ sql }} from \"kysely\";\n{}{}", method("up", up), method("down", down));
        project.write(&file, &text);
        (file, name)
    },
};

const MIKRO_ORM: Tool = Tool {
    framework: "mikro-orm",
    title: "MikroORM",
    folder: "migrations",
    fixture: "node/mikro-orm",
    programs: NODE,
    apply: &["env", "TENANT={schema}", "mikro-orm", "migration:up"],
    undo: &["env", "TENANT={schema}", "mikro-orm", "migration:down"],
    fake: &[
        "sh",
        "-ec",
        "export TENANT=$0; for name in $(ls migrations); do mikro-orm migration:log --name $name; done",
        "{schema}",
    ],
    applies_older: true,
    write: |project, number, name, up, down| {
        let class = format!("Migration2024010100000{number}_{name}");
        // MikroORM records the ending `.cjs`.
        let (file, name) = if number == 3 {
            (format!("migrations/{class}.cjs"), format!("{class}.cjs"))
        } else {
            (format!("migrations/{class}.js"), class.clone())
        };
        let method = |name: &str, sql: &str| format!("  async {name}() {{ this.addSql(`{sql}`); }}\n");
        let text = format!(
            "const {{ Migration }} = require(\"@mikro-orm/migrations\");\nexports.{class} = class extends Migration {{\n{}{}}};\n",
            method("up", up),
            method("down", down)
        );
        project.write(&file, &text);
        (file, name)
    },
};

const DBMATE: Tool = Tool {
    framework: "dbmate",
    title: "dbmate",
    folder: "db/migrations",
    fixture: "node/dbmate",
    programs: NODE,
    apply: &[
        "sh",
        "-c",
        r#"export PGSSLMODE=disable; PGOPTIONS="$PGOPTIONS -csearch_path=\"$0\"" exec dbmate --no-dump-schema migrate"#,
        "{schema}",
    ],
    undo: &[
        "sh",
        "-c",
        "PGSSLMODE=disable PGOPTIONS=-csearch_path=$0 exec dbmate --no-dump-schema rollback",
        "{schema}",
    ],
    fake: &[],
    applies_older: true,
    write: |project, number, name, up, down| {
        let version = format!("2024010100000{number}");
        let file = format!("db/migrations/{version}_{name}.sql");
        project.write(&file, &format!("-- migrate:up\n{up};\n-- migrate:down\n{down};\n"));
        (file, format!("{version} {name}"))
    },
};

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
fn the_gate_judges_every_state_that_kysely_makes() {
    KYSELY.states();
}

#[test]
fn the_gate_judges_every_state_that_mikro_orm_makes() {
    MIKRO_ORM.states();
}

#[test]
fn the_gate_judges_every_state_that_dbmate_makes() {
    DBMATE.states();
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

/// Sequelize runs no transaction: a repetition would make the first change again.
#[test]
fn a_sequelize_migration_is_not_repeated_after_a_lock_time_out() {
    let project = SEQUELIZE.project();
    project.database.execute("INSERT INTO a.account VALUES (1, 1)");
    let (file, third) = SEQUELIZE.write(&project, 3, "Third", "UPDATE account SET total = total * 10", "");
    let text = project.read(&file);
    let second = ".then(() => q.sequelize.query(`ALTER TABLE account ADD COLUMN note text`)), down";
    project.write(&file, &text.replace(", down", second));
    project.manifest();
    let config = project.read("config.toml");
    project.write("config.toml", &config.replace("\"7s\"", "\"1s\""));
    project.database.while_held("LOCK TABLE a.account IN ROW SHARE MODE", || {
        project.portcullis.run(["migrate", "a"]).exits(1).prints("lock timeout").prints_not("attempt");
    });
    project.verify("a").exits(1).prints("pending").prints(&third);
    assert_eq!(project.database.column("SELECT total::text FROM a.account"), ["10"]);
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

#[test]
fn tenants_diverge_from_a_squashed_prisma_migration_until_it_is_recorded() {
    let project = PRISMA.project();
    for folder in ["20240101000001_First", "20240101000002_Second"] {
        fs::remove_dir_all(project.path(&format!("prisma/migrations/{folder}"))).unwrap();
    }
    let (_, name) =
        PRISMA.write(&project, 3, "Squashed", "CREATE TABLE account (id int PRIMARY KEY, total int)", "");
    project.manifest();
    let command = ["env", "TENANT={schema}", "prisma", "migrate", "resolve", "--applied", &name];
    run(&project, "a", &command).exits(0);
    project.verify("a").exits(0).prints("ahead").prints("20240101000001_First");
    project.verify("b").exits(1).prints("diverged").prints("20240101000001_First").prints(&name);
}

#[test]
fn tenants_diverge_from_migrations_that_mikro_orm_has_rolled_up_for_another() {
    let project = MIKRO_ORM.project();
    run(&project, "a", &["env", "TENANT={schema}", "mikro-orm", "migration:rollup"]).exits(0);
    project.manifest();
    project.verify("a").exits(0).prints_not("ahead");
    project.verify("b").exits(1).prints("diverged").prints("First").prints("pending");
}
