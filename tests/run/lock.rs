//! Concurrent runs on one database.

use std::{fs, process::Command};

use nix::sys::signal::Signal;

use crate::documents::blocks::{block, comparable};
use crate::support::{
    process::Running,
    project::Project,
    proxy::Proxy,
    sample::{Engine, Sample},
    server::Server,
};

/// The backend of the session that holds the lock.
pub(crate) const HOLDER: &str = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() \
                      AND application_name LIKE 'portcullis % since %'";

#[test]
fn two_concurrent_first_starts_apply_everything_once_and_both_serve() {
    let project = Project::new("")
        .file("shared/2_count.sql", "CREATE TABLE applied (n int);\nINSERT INTO applied VALUES (1);\n")
        .file("tenant/2_count.sql", "INSERT INTO item VALUES (1);\n");
    let runs = [(); 3].map(|()| project.portcullis.spawn(["run"]));
    for run in runs {
        run.wait().exits(0).prints("the server started");
    }
    assert_eq!(project.database.column("SELECT n::text FROM applied"), ["1"]);
    for tenant in ["a", "b", "c"] {
        assert_eq!(project.database.column(&format!("SELECT n::text FROM {tenant}.item")), ["1"]);
    }
}

#[test]
fn a_waiting_run_names_the_lock_holder_and_continues_when_the_lock_is_free() {
    let project = slow();
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    let waiter = project.portcullis.spawn(["run"]);
    let line = waiter.wait_for_line("waiting for the lock");
    let shown = block("docs/replicas.md", "[3/6] tenant schemas: waiting for the lock");
    let without_step = |line: &str| comparable(line.split_once("waiting").unwrap().1);
    assert!(without_step(&line).starts_with(&without_step(&shown)), "{line}");
    project.database.execute("INSERT INTO public.released VALUES (1)");
    holder.wait().exits(0);
    waiter.wait().exits(0).prints("the server started");
    assert_eq!(project.database.column("SELECT n::text FROM a.item ORDER BY 1"), ["1", "2"]);
}

/// A file outside of a transaction is recorded as unfinished while it runs.
#[test]
fn a_migration_that_another_run_is_executing_is_waited_for() {
    let project = slow();
    let slow = fs::read_to_string(project.portcullis.path("tenant/2_slow.sql")).unwrap();
    let project = project.file("tenant/2_slow.sql", &format!("-- no-transaction\n{slow}"));
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    for tenant in ["b", "c"] {
        let migrated = format!("SELECT 'yes' FROM {tenant}._sqlx_migrations WHERE version = 2 AND success");
        project.until(true, &migrated);
    }
    let waiter = project.portcullis.spawn(["run"]);
    waiter.wait_for_line("waiting for the lock");
    project.database.execute("INSERT INTO public.released VALUES (1)");
    holder.wait().exits(0);
    waiter.wait().exits(0).prints("the server started");
}

#[test]
fn a_lock_time_out_is_seventy_five_and_names_the_holder() {
    let project = slow().env("LOCK_TIMEOUT", "300ms");
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    let outcome = project.portcullis.run(["run"]).exits(75).prints_not("the server started");
    outcome.prints("within 300 ms: portcullis ");
    project.database.execute("INSERT INTO public.released VALUES (1)");
    holder.wait().exits(0);
}

#[test]
fn nine_waiting_runs_do_not_block_a_concurrent_index_build() {
    let index = "-- no-transaction\nCREATE INDEX CONCURRENTLY item_n ON item (n);\n";
    let project = slow().file("tenant/3_index.sql", index);
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    let waiters = [(); 9].map(|()| project.portcullis.spawn(["run"]));
    for waiter in &waiters {
        waiter.wait_for_line("waiting for the lock");
    }
    let blocked = "SELECT 'blocked' FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    assert!(project.database.column(blocked).is_empty());
    project.database.execute("INSERT INTO public.released VALUES (1)");
    holder.wait().exits(0).prints("the server started");
    for waiter in waiters {
        waiter.wait().exits(0).prints("the server started");
    }
    let valid = "SELECT indrelid::regclass::text FROM pg_index WHERE indisvalid \
                 AND indexrelid::regclass::text LIKE '%.item_n' ORDER BY 1";
    assert_eq!(project.database.column(valid), ["a.item", "b.item", "c.item"]);
    assert_eq!(project.database.column("SELECT n::text FROM a.item ORDER BY 1"), ["1", "2"]);
}

#[test]
fn two_spellings_of_one_database_share_one_lock() {
    let project = slow();
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    let url = project.database.url();
    let (login, address) = url.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (host, port) = address.split_once('/').unwrap().0.split_once(':').unwrap();
    assert_eq!(host, "127.0.0.1");
    let name = project.database.name().to_owned();
    let parts = format!(
        "host = \"localhost\"\nport = {port}\nname = \"{name}\"\nuser = \"{user}\"\npassword = \"{password}\"\nschema = \"public\"",
    );
    let other = project
        .replace("url = \"${DATABASE_URL}\"", &parts)
        .replace("table = \"tenants\"", "table = \"public.tenants\"");
    let waiter = other.portcullis.spawn(["run"]);
    waiter.wait_for_line("waiting for the lock: portcullis ");
    other.database.execute("INSERT INTO public.released VALUES (1)");
    holder.wait().exits(0);
    waiter.wait().exits(0).prints("the server started");
}

#[test]
fn a_standby_is_never_changed() {
    let primary = Server::start("");
    primary.execute("postgres", "CREATE DATABASE app");
    let project = Project::new("").env("DATABASE_URL", &primary.url("app"));
    project.start().exits(0);
    let standby = primary.standby();
    let project = project
        .replace("auto = true", "file = \"manifest.json\"")
        .replace("[lock]", "[gate]\nallow_standby = true\n[lock]")
        .file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n");
    project.portcullis.run(["manifest", "sql"]).exits(0);
    let project = project.env("DATABASE_URL", &standby.url("app"));
    let outcome = project.start().exits(74).prints_not("the server started");
    assert!(outcome.stderr.contains("the server is a standby, which accepts no changes"), "{outcome}");
}

#[test]
fn on_sqlite_a_waiting_run_names_the_lock_holder_and_takes_over_when_it_is_killed() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let config = config.replace(r#"file = "portcullis.manifest.json""#, "auto = true");
    // The lock holder stays in the step `static` until it is killed.
    let step = "\n[[step]]\nname = \"static\"\ncommand.run = [\"sh\", \"-c\", \"mkdir first || exit 0; echo it is held; sleep 1000\"]\n\
                [[step]]\nname = \"once more\"\nmigrate.tenants = {}\n";
    let (head, gate) = config.split_once("[[step]]\nname = \"every tenant").expect("the gate is last");
    let config = format!("{head}{step}[[step]]\nname = \"every tenant{gate}");
    let sample = sample
        .file("config.toml", &config)
        .file("migrations/tenant/99_more.sql", "CREATE TABLE more (n int);\n");
    let holder = sample.portcullis.spawn(["run"]);
    holder.wait_for_line("it is held");
    let sample = sample.file("migrations/tenant/991_more.sql", "CREATE TABLE most (n int);\n");
    let waiter = sample.portcullis.spawn(["run"]);
    let line = waiter.wait_for_line("waiting for the lock: portcullis ");
    assert!(line.contains(", process ") && line.contains(", since 2"), "{line}");
    holder.signal(Signal::SIGKILL);
    waiter.wait_for_line("invoices: listening");
    assert_eq!(sample.number(Some("demo"), "SELECT count(*) FROM {}most"), 0);
}

/// A project whose next migration of tenant `a` waits for a row in `released`, and then inserts a row.
pub(crate) fn slow() -> Project {
    with_slow_migration(Project::complete(""))
}

pub(crate) fn with_slow_migration(project: Project) -> Project {
    let project = project.file(
        "tenant/2_slow.sql",
        "DO $$ BEGIN -- wait for release\n\
         WHILE EXISTS (SELECT FROM item) AND NOT EXISTS (SELECT FROM public.released) LOOP PERFORM pg_sleep(0.02); END LOOP;\n\
         INSERT INTO item VALUES (2); END $$;\n",
    );
    project.database.execute("CREATE TABLE public.released (n int); INSERT INTO a.item VALUES (1)");
    project
}

/// Waits until the lock is held and the slow migration runs. Without the lock, the migration could be the one of the
/// derivation of the manifest.
pub(crate) fn until_migrating(project: &Project) {
    project.until(true, HOLDER);
    project.until_running("wait for release");
}

#[test]
fn a_server_that_hangs_after_the_login_does_not_delay_the_lock_time_out() {
    let (server, port) = super::fence::server();
    let proxy = Proxy::to(port);
    let project = slow().env("LOCK_TIMEOUT", "8s");
    let direct = project.database.url();
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    let through = direct.replace(&server, &format!("127.0.0.1:{}", proxy.port()));
    let project = project.env("DATABASE_URL", &through);
    let waiter = project.portcullis.spawn(["run"]);
    waiter.wait_for_line("waiting for the lock");
    proxy.block();
    let outcome = waiter.wait().exits(75);
    assert!(outcome.stderr.contains("the server does not report the holder"), "{outcome}");
    proxy.give_up();
    project.database.execute("INSERT INTO public.released VALUES (1)");
    holder.wait().exits(0);
}

#[test]
fn a_run_waits_for_a_free_connection_of_its_role() {
    with_sessions_in_use(2, &|_, run| {
        run.wait_for_line("waiting for the lock: too many connections");
    });
}

#[test]
fn a_run_with_the_lock_also_waits_for_a_free_connection() {
    let holder = "SELECT 'yes' FROM pg_stat_activity WHERE application_name ~ '^portcullis [0-9a-f]{8}' \
                  AND datname = current_database()";
    with_sessions_in_use(1, &|project, _| project.until(true, holder));
}

/// Starts with a role of at most three sessions while this number of them is in use; they end after `then`.
fn with_sessions_in_use(number: usize, then: &dyn Fn(&Project, &Running)) {
    let project =
        Project::complete("jobs = 1").file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n");
    let role = format!("few_{}", project.database.name());
    project.give_to(&role, "CONNECTION LIMIT 3");
    let (server, _) = super::fence::server();
    let direct = project.database.url();
    let url = format!("postgres://{role}:x@{server}/{}", project.database.name());
    let users: Vec<Running> = (0..number)
        .map(|_| {
            let mut command = Command::new("psql");
            command.args(["-qX", &url, "-c", "SELECT pg_sleep(3600)"]);
            Running::start(command, false)
        })
        .collect();
    project.until(
        true,
        &format!(
            "SELECT 'yes' FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(3600)' \
             AND datname = current_database() HAVING count(*) = {number}"
        ),
    );
    let project = project.env("DATABASE_URL", &url);
    let run = project.portcullis.spawn(["run"]);
    then(&project, &run);
    project.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(3600)' AND datname = current_database()",
    );
    for user in users {
        user.wait();
    }
    let outcome = run.wait();
    project.take_from(&role);
    outcome.exits(0).prints("the server started");
    assert_eq!(project.env("DATABASE_URL", &direct).ledger("a"), ["1", "2"]);
}
