//! The independent judge: plain SQL on the database, and the run's exit code and box.

use sha2::{Digest, Sha384};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::project::{STARTED, TENANT, TENANTS};
use crate::support::{cluster::block_on, portcullis::Portcullis, process::Outcome, time_limits::until_true};

/// Judges an attacked run, lifts nothing: the database must be reachable at `url`. Then a second start must end well.
#[track_caller]
pub fn judge(project: &Portcullis, url: &str, outcome: &Outcome, codes: &[i32]) {
    let serves = is_true(outcome, codes);
    leaves_nothing(url, outcome);
    let problems = problems(url);
    assert!(!serves || problems.is_empty(), "the server started with {problems:?}: {outcome}");
    let lost: Vec<String> = problems.into_iter().filter(|problem| !problem.starts_with("pending ")).collect();
    assert_eq!(lost, Vec::<String>::new(), "{outcome}");
    let second = project.copy().env("DATABASE_URL", url).run(["run"]);
    let second = if second.code == Some(0) { second } else { repaired(project, url, outcome, &second) };
    let after = self::problems(url);
    assert!(after.is_empty(), "after the second start: {after:?}\n{outcome}\n{second}");
    assert!(is_true(&second, &[0]));
    assert_eq!(left(url), Vec::<String>::new(), "{outcome}\n{second}");
}

/// No session, and nothing that no run may leave.
#[track_caller]
pub fn leaves_nothing(url: &str, outcome: &Outcome) {
    until_true("the sessions of the run to end", || {
        column(url, "SELECT 'open' FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'")
            .is_empty()
    });
    assert_eq!(left(url), Vec::<String>::new(), "left behind: {outcome}");
}

/// The exit code is one of the fault's, the server started if and only if it is 0, and a failure has a box. Returns whether the
/// server started. The sender of TERM needs no advice.
#[track_caller]
pub fn is_true(outcome: &Outcome, codes: &[i32]) -> bool {
    let serves = outcome.stdout.contains(STARTED);
    let code = outcome.code.unwrap_or_else(|| panic!("a signal ended it: {outcome}"));
    assert_eq!(serves, code == 0, "{outcome}");
    assert!(codes.contains(&code), "the fault does not have this code: {outcome}");
    for wrong in ["panicked", "internal error: "] {
        assert!(!outcome.stderr.contains(wrong), "{outcome}");
    }
    if ![0, 143].contains(&code) {
        let shown = outcome.failure_box();
        assert!(shown.contains(&format!("exit {code} (")), "{outcome}");
        assert!(shown.contains("what to do"), "no advice: {outcome}");
    }
    serves
}

/// The second start may fail only because of a file without a transaction, and its box says what to do by hand; then the third
/// start ends well.
#[track_caller]
fn repaired(project: &Portcullis, url: &str, first: &Outcome, second: &Outcome) -> Outcome {
    is_true(second, &[1]);
    let shown = second.failure_box().split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["dirty 3 index", "else undo by hand what the migration did, delete its ledger row"] {
        assert!(shown.contains(words), "{words} is not in the second box\n{first}\n{second}");
    }
    let schemas = "SELECT nspname::text FROM pg_namespace WHERE to_regclass(nspname || '._sqlx_migrations') IS NOT NULL";
    for schema in column(url, schemas) {
        let failed =
            format!("DELETE FROM {schema}._sqlx_migrations WHERE NOT success RETURNING version::text");
        if !column(url, &failed).is_empty() {
            column(url, &format!("DROP INDEX IF EXISTS {schema}.item_note"));
        }
    }
    let third = project.copy().env("DATABASE_URL", url).run(["run"]);
    assert_eq!(third.code, Some(0), "the box does not help\n{first}\n{second}\n{third}");
    third
}

/// Locks, temporary objects, prepared transactions and schemas that no run may leave.
fn left(url: &str) -> Vec<String> {
    column(
        url,
        "SELECT 'advisory lock' FROM pg_locks WHERE locktype = 'advisory' AND database = \
         (SELECT oid FROM pg_database WHERE datname = current_database()) \
         UNION ALL SELECT 'temporary ' || relname FROM pg_class WHERE relpersistence = 't' \
         UNION ALL SELECT 'prepared ' || gid FROM pg_prepared_xacts WHERE database = current_database() \
         UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_' \
         AND nspname NOT IN ('information_schema', 'public', 'portcullis', 't0', 't1', 't2', 'demo')",
    )
}

/// What a complete system does not have; `pending` is what an interrupted run may leave to the next one.
pub fn problems(url: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let count = |sql: &str| column(url, &format!("SELECT ({sql})::text"))[0].parse::<i64>().unwrap();
    let exists = |name: &str| count(&format!("SELECT (to_regclass('{name}') IS NOT NULL)::int")) == 1;
    let plan = count("SELECT count(*) FROM public.counted WHERE what = 'plan'");
    match (exists("public.plan"), plan) {
        (true, 1) => {}
        (false, 0) => problems.push("pending plan".into()),
        (table, rows) => problems.push(format!("plan: table {table}, applied {rows} times")),
    }
    // A step that runs once per release runs at least once.
    if count("SELECT count(*) FROM public.counted WHERE what = 'once'") == 0 {
        problems.push("pending once".into());
    }
    let rows = column(url, "SELECT name FROM public.tenants ORDER BY 1");
    for tenant in TENANTS {
        if !rows.iter().any(|row| row == tenant) {
            problems.push(format!("{tenant} has lost its row"));
        }
        if count(&format!("SELECT count(*) FROM {tenant}.item WHERE n = 42")) != 1 {
            problems.push(format!("{tenant} has lost data"));
        }
    }
    if !rows.iter().any(|row| row == "demo") {
        let is_begun = count("SELECT count(*) FROM pg_namespace WHERE nspname = 'demo'") == 1;
        let is_noted = exists("portcullis.journal")
            && count("SELECT count(*) FROM portcullis.journal WHERE tenant = 'demo'") > 0;
        problems.push(if is_begun && !is_noted { "demo is half made" } else { "pending demo" }.into());
    }
    for tenant in &rows {
        tenant_problems(tenant, &count, &mut problems);
    }
    let journal =
        if exists("portcullis.journal") { count("SELECT count(*) FROM portcullis.journal") } else { 0 };
    if journal > 0 {
        problems.push("pending journal".into());
    }
    problems
}

/// A tenant's objects, rows and ledger agree for every file.
fn tenant_problems(tenant: &str, count: &dyn Fn(&str) -> i64, problems: &mut Vec<String>) {
    if count(&format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{tenant}'")) == 0 {
        problems.push(format!("pending schema of {tenant}"));
        return;
    }
    if count(&format!("SELECT (to_regclass('{tenant}._sqlx_migrations') IS NOT NULL)::int")) == 0 {
        problems.push(format!("pending ledger of {tenant}"));
        return;
    }
    let column = |table: &str, column: &str| {
        count(&format!(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = '{tenant}' \
             AND table_name = '{table}' AND column_name = '{column}'"
        ))
    };
    let index = |name: &str| {
        count(&format!(
            "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('{tenant}.{name}') AND indisvalid AND indisready"
        ))
    };
    let marker = |version: i64| {
        if column("item", "note") == 0 {
            return 0;
        }
        count(&format!("SELECT count(*) FROM {tenant}.item WHERE n = -{version} AND note = 'once'"))
    };
    for (version, _, text) in TENANT {
        let effects = match version {
            1 => vec![column("item", "n")],
            2 => vec![column("item", "note"), marker(2)],
            3 => vec![index("item_note")],
            _ => vec![column("line", "item"), index("line_item"), marker(4)],
        };
        let checksum =
            Sha384::digest(text).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let recorded = count(&format!(
            "SELECT count(*) FROM {tenant}._sqlx_migrations WHERE version = {version} AND success \
             AND encode(checksum, 'hex') = '{checksum}'"
        ));
        let done = effects.iter().all(|effect| *effect == 1);
        // The index is built outside of a transaction, before its row.
        let absent = version == 3 || effects.iter().all(|effect| *effect == 0);
        match (recorded, done) {
            (1, true) => {}
            (0, _) if absent => problems.push(format!("pending {version} of {tenant}")),
            _ => problems
                .push(format!("{tenant}: file {version} is recorded {recorded} times, effects {effects:?}")),
        }
    }
}

/// The first column of every row as text.
pub fn column(url: &str, sql: &str) -> Vec<String> {
    block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let rows = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await;
        connection.close().await.unwrap();
        rows.expect(sql)
    })
}
