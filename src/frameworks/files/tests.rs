//! Compares the matrix of `docs/ledgers.md` with the frameworks.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::is_pruned;
use crate::{
    config::environment::Environment,
    frameworks::{ALL, Framework, framework::External},
    tenants::manifest::Migration,
};

const BEGIN: &str = "<!-- frameworks -->";
const END: &str = "<!-- end -->";

/// The real tools whose ledgers the tests read, at the versions that the test set-up installs.
fn proved_by(framework: &str) -> String {
    const ALEMBIC: &str = include_str!("../../../tests/fixtures/ledgers/alembic/requirements.txt");
    const DJANGO: &str = include_str!("../../../examples/django/requirements.txt");
    const NODE: &str = include_str!("../../../tests/fixtures/ledgers/node/package.json");
    const RUST: &str = include_str!("../../../tests/fixtures/ledgers/rust/Cargo.toml");
    let pinned = |requirements: &str, names: &[&str]| {
        let version = |name: &&str| {
            let line = requirements.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix("=="));
            format!("{name} {}", line.unwrap())
        };
        names.iter().map(version).collect::<Vec<_>>().join(", ")
    };
    let package = |name: &str| {
        let json: serde_json::Value = serde_json::from_str(NODE).unwrap();
        format!("{name} {}", json["dependencies"][name].as_str().unwrap())
    };
    let crate_of = |name: &str| {
        let line = RUST.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
        let (_, version) = line.split_once("\"=").unwrap();
        format!("{name} {}", version.split_once('"').unwrap().0)
    };
    match framework {
        "refinery" => crate_of("refinery"),
        "diesel" => crate_of("diesel_migrations"),
        "sea-orm" => crate_of("sea-orm-migration"),
        "sql" => "sqlx".into(),
        "django" => pinned(DJANGO, &["Django"]),
        "alembic" => pinned(ALEMBIC, &["alembic", "Flask-Migrate"]),
        "prisma" | "typeorm" | "knex" | "node-pg-migrate" | "dbmate" => package(framework),
        "kysely" => format!("{}, {}", package("kysely"), package("kysely-ctl")),
        "mikro-orm" => package("@mikro-orm/cli"),
        "rails" => "Rails 6.1 (Debian 12)".into(),
        "laravel" => "Laravel 8 (Debian 12)".into(),
        "drizzle" => package("drizzle-kit"),
        "sequelize" => package("sequelize-cli"),
        _ => "-".into(),
    }
}

/// The commands that undo the newest migration, and that record migrations without running them; empty if the tool has none.
fn rewrites_with(framework: &str) -> [&'static str; 2] {
    match framework {
        "django" => ["migrate APP NAME", "migrate --fake"],
        "alembic" => ["downgrade", "stamp"],
        "prisma" => ["", "migrate resolve --applied"],
        "typeorm" => ["migration:revert", "migration:run --fake"],
        "node-pg-migrate" => ["down", "up --fake"],
        "mikro-orm" => ["migration:down", "migration:log"],
        "rails" => ["db:rollback", "db:schema:load"],
        "sql" => ["migrate revert", ""],
        "knex" | "kysely" => ["migrate:down", ""],
        "sequelize" => ["db:migrate:undo", ""],
        "dbmate" => ["rollback", "load"],
        "laravel" => ["migrate:rollback", "schema:dump"],
        "refinery" => ["", "Target::Fake"],
        "diesel" => ["migration revert", ""],
        "sea-orm" => ["down", ""],
        _ => ["", ""],
    }
}

fn row(framework: &'static dyn Framework) -> String {
    let shape = framework.ledgers()[0].shape();
    let yes = |has: bool| if has { "yes" } else { "-" };
    let files = framework.external().is_some_and(External::reads_files);
    let is_custom = framework.name() == "custom";
    let (tables, apply) = match (framework.external(), files) {
        (None, _) => ("derived", "Portcullis"),
        (Some(_), false) => ("derived", "the framework's program"),
        (Some(_), true) => ("`manifest structure`", "`apply.run`"),
    };
    let command = |command: &str| if command.is_empty() { "-".to_owned() } else { format!("`{command}`") };
    let [undo, record] = rewrites_with(framework.name()).map(command);
    format!(
        "| `{}` | {} | yes | yes | {} | {} | {undo} | {record} | {tables} | {apply} | {} |\n",
        framework.name(),
        if is_custom { "as configured".to_owned() } else { format!("`{}`", shape.table) },
        if is_custom { "with `applied_when`" } else { yes(shape.succeeded.is_some()) },
        yes(shape.checksum.is_some()),
        proved_by(framework.name()),
    )
}

/// `UPDATE_DOCS=1 cargo test --lib documentation` writes the matrix.
#[test]
fn the_documentation_has_every_framework() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ledgers.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let rows: String = ALL.iter().map(|framework| row(*framework)).collect();
    let made = format!(
        "{before}{BEGIN}\n\n| `framework` | ledger | pending | ahead | dirty | altered | undone by | recorded by | tables | \
         applied by | real tool in the tests |\n|---|---|---|---|---|---|---|---|---|---|---|\n{rows}\n{END}{after}"
    );
    if Environment::of_process().get("UPDATE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    } else {
        assert!(
            text == made,
            "docs/ledgers.md does not match the frameworks; update it with: UPDATE_DOCS=1 cargo test --lib documentation"
        );
    }
}

#[test]
fn only_recorded_migrations_that_are_older_than_every_file_are_pruned() {
    let file = |id: &&str| Migration { id: (*id).to_owned(), ..Migration::default() };
    let expected = |ids: &[&str]| ids.iter().map(file).collect::<Vec<_>>();
    let files = expected(&["2024_01_01_000003_2fa", "2024_02_01_000000_x"]);
    for (id, pruned) in [
        ("2024_01_01_000002_old", true),
        ("20231231235959", true),
        ("7", true),
        ("2024_01_15_000000_gap", false),
        ("2024_03_01_000000_newer", false),
        ("unnumbered", false),
    ] {
        assert_eq!(is_pruned(id, &files), pruned, "{id}");
    }
    assert!(!is_pruned("1", &expected(&["unnumbered"])));
}
