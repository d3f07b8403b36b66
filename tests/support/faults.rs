//! The faults behind the rows of "The commands of the box" in `docs/gate.md`, and the one test of all rows: a place (a shell, a
//! compose project, a pod) finds all faults in one start, and the pasted commands open its gate.

use std::collections::BTreeSet;

use super::process::Outcome;

/// A fault of the tenant with this name, so that one start finds all of them.
#[derive(Clone, Copy)]
pub struct Fault {
    /// The first cell of its row.
    pub row: &'static str,
    pub tenant: &'static str,
    /// Makes the fault, in the tenant's schema. Empty if the schema is dropped.
    sql: &'static str,
    /// The decision that the box leaves to its reader.
    by_hand: &'static str,
    /// How its command begins; empty if the box has none.
    command: &'static str,
    /// SQLite has this fault, too.
    sqlite: bool,
}

const fn fault(row: &'static str, tenant: &'static str, sql: &'static str, command: &'static str) -> Fault {
    Fault { row, tenant, sql, by_hand: "", command, sqlite: true }
}

const fn by_hand(by_hand: &'static str, fault: &Fault) -> Fault {
    Fault { by_hand, ..*fault }
}

pub const FAULTS: [Fault; 16] = [
    fault(
        "`pending`",
        "behind",
        "DELETE FROM _sqlx_migrations WHERE version = 4; ALTER TABLE finance_invoice DROP COLUMN paid_on",
        "migrate behind",
    ),
    fault(
        "`not recorded`",
        "unrecorded",
        "DELETE FROM _sqlx_migrations WHERE version = 2",
        "repair --record both_lost unrecorded",
    ),
    fault(
        "`dirty`",
        "dirty",
        "UPDATE _sqlx_migrations SET success = false WHERE version = 4",
        "repair --record dirty",
    ),
    fault(
        "`altered`",
        "altered",
        "UPDATE _sqlx_migrations SET checksum = (SELECT checksum FROM _sqlx_migrations WHERE version = 1) WHERE version = 2",
        "repair --record altered",
    ),
    fault(
        "`no ledger`, but tables",
        "unledgered",
        "DROP TABLE _sqlx_migrations",
        "repair --record unledgered",
    ),
    fault(
        "`table missing`, `column missing`",
        "tableless",
        "DROP TABLE finance_invoice",
        "repair --restore --all-affected",
    ),
    fault(
        "`table missing`, `column missing`",
        "columnless",
        "ALTER TABLE finance_invoice DROP COLUMN paid_on",
        "repair --restore --all-affected",
    ),
    fault(
        "`table missing`, `column missing`",
        "both_lost",
        "DELETE FROM _sqlx_migrations WHERE version = 1; DROP TABLE finance_invoice",
        "repair --restore --all-affected",
    ),
    by_hand(
        "DROP VIEW finance_invoice; DROP TABLE earlier",
        &fault(
            "`other kind`",
            "viewed",
            "ALTER TABLE finance_invoice RENAME TO earlier; CREATE VIEW finance_invoice AS SELECT * FROM earlier",
            "repair --restore viewed",
        ),
    ),
    fault(
        "`structure`, missing objects",
        "indexless",
        "DROP INDEX finance_invoice_customer",
        "repair --restore --all-affected",
    ),
    by_hand(
        "DROP INDEX finance_invoice_customer; \
         CREATE INDEX finance_invoice_customer ON finance_invoice (customer_id, issued_on)",
        &fault(
            "`structure`, changed or additional objects",
            "reindexed",
            "DROP INDEX finance_invoice_customer; CREATE INDEX finance_invoice_customer ON finance_invoice (issued_on)",
            "",
        ),
    ),
    Fault {
        sqlite: false,
        ..fault(
            "`invalid index`, unique",
            "invalid",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'finance_invoice_code'::regclass",
            "repair --restore invalid",
        )
    },
    fault("`no schema` or `no database`, or no table in it", "dropped", "", "tenant delete dropped"),
    by_hand(
        "UPDATE _sqlx_migrations SET version = 4 WHERE version = 99",
        &fault("`diverged`", "diverged", "UPDATE _sqlx_migrations SET version = 99 WHERE version = 4", ""),
    ),
    by_hand(
        "DELETE FROM _sqlx_migrations WHERE version = 99",
        &fault(
            "`ahead` with `\"block\"`",
            "ahead",
            "INSERT INTO _sqlx_migrations SELECT 99, 'newer', installed_on, success, checksum, execution_time \
             FROM _sqlx_migrations WHERE version = 4",
            "",
        ),
    ),
    Fault {
        by_hand: "ALTER TABLE _sqlx_migrations RENAME COLUMN other TO checksum",
        sqlite: false,
        ..fault(
            "`cannot read`",
            "unreadable",
            "ALTER TABLE _sqlx_migrations RENAME COLUMN checksum TO other",
            "verify unreadable",
        )
    },
];

/// Rows that [`paste_every_row`] makes without a tenant of its own.
const STARTS: [&str; 3] = ["an empty database", "the registry is empty", "`not registered`"];

/// Rows that have tests of their own, with the reason.
const ALONE: [(&str, &str); 8] = [
    ("`altered`, by line ends alone", "no command"),
    (
        "`structure` that is not proven: another server",
        "no command in a container: its image has the manifest",
    ),
    ("`not listed`", "no command"),
    ("too few rows", "no command"),
    ("`vanished`", "another session drops the schema during the inspection"),
    (
        "Django: `table missing`, all tables of an app",
        "a Django project: `django::pasted` and `container::pasted`",
    ),
    ("`shadowed`", "a Django project: `django::pasted` and `container::pasted`"),
    ("`half created`", "a Django project: `django::pasted` and `container::pasted`"),
];

/// A migration of the sample with these tenants: it has an index that can be invalid.
pub const MIGRATION: (&str, &str) = (
    "migrations/tenant/5_invoice_code.sql",
    "CREATE UNIQUE INDEX finance_invoice_code ON finance_invoice (number, id);\n",
);

/// The configuration of a gate that has every finding.
pub fn configured(config: &str) -> String {
    let tenants = FAULTS.map(|fault| format!("{:?}", fault.tenant)).join(", ");
    let config = config.replace("[\"demo\", \"acme\", \"globex\"]", &format!("[{tenants}]"));
    let column = "schema_column = \"schema_name\"";
    assert!(config.contains(column));
    let counted = config.replace(column, &format!("{column}, min_rows = 1"));
    format!("{counted}\n[gate]\nstructure = \"block\"\nahead = \"block\"\n")
}

/// Where commands are pasted. It has the complete tenants of [`FAULTS`].
pub trait Place {
    /// Runs SQL in a tenant's schema, or in the shared one.
    fn execute(&self, tenant: Option<&str>, sql: &str);
    fn drop_schema(&self, tenant: &str);
    /// Removes everything from the database.
    fn empty(&self);
    /// Starts the gate without the steps before it.
    fn gate(&self) -> Outcome;
    fn verify(&self, tenant: &str) -> Outcome;
    fn paste(&self, line: &str) -> Outcome;
    /// What the box prints before the arguments of Portcullis.
    fn program(&self) -> String;
    fn is_sqlite(&self) -> bool {
        false
    }
    /// The gate is `verify`, which does not advise itself.
    fn verifies(&self) -> bool {
        false
    }
}

/// Removes every schema of a PostgreSQL database.
pub const EMPTY: &str = "DO $$ DECLARE s text; BEGIN FOR s IN SELECT nspname FROM pg_namespace \
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP; \
    CREATE SCHEMA public; END $$";

/// Makes the faults, pastes the commands of the box from the top to the bottom, and finds the gate open; then the same for
/// an unregistered tenant, an empty database and an empty registry.
pub fn paste_every_row(place: &impl Place) {
    place.gate().exits(0);
    let faults = || FAULTS.iter().filter(|fault| fault.sqlite || !place.is_sqlite());
    for Fault { tenant, sql, .. } in faults() {
        if sql.is_empty() { place.drop_schema(tenant) } else { place.execute(Some(tenant), sql) }
    }
    let blocked = place.gate().exits(1);
    let commands = commands(place, &blocked);
    for Fault { row, tenant, command, by_hand, .. } in faults() {
        let has = |line: &String| line.starts_with(command);
        let is_itself = place.verifies() && command.starts_with("verify");
        assert!(is_itself || commands.iter().any(has), "{row}: {command} is not among {commands:#?}");
        // The box lists the first ten.
        let is_shown = blocked.failure_box().contains(tenant);
        assert!(is_shown || place.verify(tenant).code == Some(1), "{row}: {blocked}");
        if !by_hand.is_empty() {
            place.execute(Some(tenant), by_hand);
        }
    }
    for command in &commands {
        let outcome = pasted(place, command);
        // Both show findings until the commands below have run.
        let shows = command.starts_with("verify") || command.starts_with("repair --record both_lost");
        assert!(
            outcome.code == Some(0) || (shows && outcome.code == Some(1)),
            "{command}: {outcome}\n{blocked}"
        );
    }
    place.gate().exits(0);

    let blocked = place.verify("initech").exits(1);
    assert_eq!(self::commands(place, &blocked), ["tenant create initech"], "{blocked}");
    pasted(place, "tenant create initech").exits(0);
    place.verify("initech").exits(0);

    place.empty();
    let blocked = place.gate().exits(1);
    assert_eq!(self::commands(place, &blocked), ["migrate"], "{blocked}");
    pasted(place, "migrate").exits(0);
    let blocked = place.gate().exits(74);
    assert_eq!(self::commands(place, &blocked), ["tenant create NAME"], "{blocked}");
    pasted(place, "tenant create first").exits(0);
    place.gate().exits(0);
}

/// The arguments in the commands of the box, which all begin as the place requires.
fn commands(place: &impl Place, blocked: &Outcome) -> Vec<String> {
    let program = place.program();
    let lines = blocked.commands().into_iter().filter(|line| !line.starts_with("PORTCULLIS_OVERRIDE"));
    lines
        .map(|line| {
            let arguments = line.strip_prefix(&format!("{program} "));
            arguments.unwrap_or_else(|| panic!("{line} does not begin with {program}")).to_owned()
        })
        .collect()
}

fn pasted(place: &impl Place, command: &str) -> Outcome {
    // A reader confirms the deletion at the terminal.
    let confirmed = if command.starts_with("tenant delete ") { " --yes" } else { "" };
    place.paste(&format!("{} {command}{confirmed}", place.program()))
}

#[test]
fn every_row_of_the_gates_commands_is_pasted_everywhere_or_has_a_reason() {
    let page = include_str!("../../docs/gate.md");
    let (_, table) = page.split_once("| finding | command in the box | test |\n|---|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with("| "));
    let rows: Vec<&str> = rows.map(|line| line[2..].split(" | ").next().unwrap()).collect();
    let listed: Vec<&str> = FAULTS
        .iter()
        .map(|fault| fault.row)
        .chain(STARTS)
        .chain(ALONE.map(|(row, _)| row))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(listed, rows.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
}
