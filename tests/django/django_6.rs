//! Django 6.0, which allows squashes of squashes.

use std::fs;

use crate::support::{
    django::{Project, Release},
    process::Running,
};

const SQUASHES: [(&str, &str); 2] = [
    ("0001_squashed_0002_place", include_str!("../fixtures/django/squashes/0001_squashed_0002_place.py")),
    (
        "0001_squashed_0003_sort_name",
        include_str!("../fixtures/django/squashes/0001_squashed_0003_sort_name.py"),
    ),
];

/// The example on Django 6.0, with a squash of a squash in `contacts`.
pub fn project() -> Project {
    let add_squashes = |project: &Project| {
        for (name, text) in SQUASHES {
            fs::write(project.portcullis.path(&format!("contacts/migrations/{name}.py")), text).unwrap();
        }
    };
    Project::copy_of("django_6_complete", Release::Six, add_squashes, Project::build)
}

#[test]
fn generated_ledgers_get_the_verdict_of_both_django_versions() {
    for (release, file) in [(Release::Five, "ledgers-5.2.json"), (Release::Six, "ledgers-6.0.json")] {
        let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/django");
        let mut command = std::process::Command::new(release.programs().join("python"));
        command.arg(fixtures.join("ledgers.py"));
        let results = Running::start(command, false).wait().exits(0).stdout;
        assert!(
            results == fs::read_to_string(fixtures.join(file)).unwrap(),
            "{file} differs from its results"
        );
    }
}

#[test]
fn a_lost_app_is_replayed_and_pending_migrations_are_applied() {
    let project = project();
    project.database.execute("DROP TABLE demo.finance_invoice; DROP TABLE demo.contacts_contact");
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
    project.portcullis.run(["verify"]).exits(1).prints("contacts.Contact").prints("finance.Invoice");
    let replayed = project.portcullis.run(["repair", "demo", "--replay", "contacts"]).exits(1);
    // A migration that runs code is not in the squash and still exists.
    replayed.prints("--allow-code");
    let replayed =
        project.portcullis.run(["repair", "demo", "--replay", "contacts", "--allow-code"]).exits(1);
    replayed.prints("contacts.0001_squashed_0003_sort_name run again");
    project.portcullis.run(["repair", "demo", "--replay", "finance"]).exits(0);
    project.database.execute(
        "DELETE FROM demo.django_migrations WHERE name = '0004_invoice_payment'; \
         ALTER TABLE demo.finance_invoice DROP COLUMN total, DROP COLUMN paid_on",
    );
    project.portcullis.run(["migrate"]).exits(0).prints("1 migration applied");
    project.portcullis.run(["verify"]).exits(0);
    project.manage(&["migrate_schemas", "--check", "-v0"]).exits(0);
}
