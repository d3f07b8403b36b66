//! A run that loses the lock makes no change after the next run has started, and does not serve.

use std::{process::Command, thread, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::lock::{HOLDER, slow, until_migrating, with_slow_migration};
use crate::support::{
    cluster::{Database, cluster},
    process::{Outcome, Running},
    project::Project,
    proxy::Proxy,
    server::Server,
};

const MORE: &str = "ALTER TABLE item ADD COLUMN more int;\n";

#[test]
fn a_lock_holder_whose_session_is_terminated_stops_and_does_not_serve() {
    let project = slow();
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    end_holder(&project);
    assert_lock_lost(&project, &holder.wait());
}

#[test]
fn a_lock_holder_with_a_frozen_session_continues_while_the_server_lists_its_lock() {
    // While a backend is frozen, no other test could drop a database of its server.
    let server = Server::start("");
    let project = Project::on(Database::on(server.url("postgres")), "").started();
    let project = silent_for(with_slow_migration(project), "2s");
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    let backend = Pid::from_raw(project.database.column(HOLDER)[0].parse().unwrap());
    kill(backend, Signal::SIGSTOP).unwrap();
    // Longer than the silence time-out that applies without a second connection.
    project.until(true, "SELECT 'yes' WHERE clock_timestamp() > (SELECT state_change + interval '6 s' FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%wait for release%' AND pid <> pg_backend_pid() LIMIT 1)");
    project.database.execute("INSERT INTO public.released VALUES (1)");
    let outcome = holder.wait();
    kill(backend, Signal::SIGCONT).unwrap();
    let outcome = outcome.exits(0).prints("the server started");
    assert!(!outcome.stderr.contains("lock was lost"), "{outcome}");
    assert_eq!(project.database.column("SELECT n::text FROM a.item ORDER BY 1"), ["1", "2"]);
}

#[test]
fn a_lock_holder_stops_when_the_server_ends_its_frozen_session() {
    let (proxy, project, holder) = holder_behind_proxy("20s");
    // The proxy does not forward the end of the session; new connections pass.
    proxy.block_old();
    end_holder(&project);
    let outcome = holder.wait();
    // A login that stays blocked would delay every `DROP DATABASE` until the server gives up the login.
    proxy.give_up();
    assert!(outcome.stderr.contains("the server has ended the session"), "{outcome}");
    assert_lock_lost(&without_proxy(project), &outcome);
}

#[test]
fn a_lock_holder_without_network_stops_and_does_not_serve() {
    let (proxy, project, holder) = holder_behind_proxy("4s");
    proxy.block();
    let outcome = holder.wait();
    // The proxy's TCP stack still acknowledges for the client; a real network would not.
    proxy.give_up();
    assert!(outcome.stderr.contains("no answer in 4 s"), "{outcome}");
    assert_lock_lost(&without_proxy(project), &outcome);
}

#[test]
fn a_short_silence_of_the_server_stops_nothing() {
    let (proxy, project, holder) = holder_behind_proxy("30s");
    proxy.block();
    // The length of a checkpoint.
    thread::sleep(Duration::from_secs(5));
    proxy.give_up();
    project.database.execute("INSERT INTO public.released VALUES (1)");
    holder.wait().exits(0).prints("the server started");
    assert_eq!(project.database.column("SELECT n::text FROM a.item ORDER BY 1"), ["1", "2"]);
}

#[test]
fn a_silent_server_does_not_block_the_release_of_the_lock() {
    let server = Server::start("");
    let steps = "\n[[step]]\nname = \"last change\"\n\
                 command = { run = [\"true\"], once_per_release = true }\n\
                 [[step]]\nname = \"later\"\ncommand = { run = [\"sh\", \"-c\", \"echo later; $LATER\"] }\n";
    let project = Project::on(Database::on(server.url("postgres")), "").env("LATER", "true").step(steps);
    let mut project = silent_for(project.started(), "10m");
    // During the record of the last locked step, the lock's session becomes silent, no new connection is accepted, and a check begins.
    let freeze = "kill -STOP $(head -n 1 postmaster.pid)";
    project.database.execute(&format!(
        "CREATE FUNCTION silence() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', '{freeze} ' || ({HOLDER})); PERFORM pg_sleep(3); RETURN NEW; END $$; \
         CREATE TRIGGER silence AFTER INSERT ON portcullis.step FOR EACH ROW WHEN (NEW.name = 'last change') \
         EXECUTE FUNCTION silence()"
    ));
    for (later, code) in [("true", 0), ("sleep 3600", 143)] {
        project.database.execute("DELETE FROM portcullis.once");
        project = project.env("LATER", later);
        let run = project.portcullis.spawn(["run"]);
        run.wait_for_line("| later");
        if code != 0 {
            run.signal(Signal::SIGTERM);
        }
        let outcome = run.wait();
        server.signal(Signal::SIGCONT);
        for holder in project.database.column(HOLDER) {
            kill(Pid::from_raw(holder.parse().unwrap()), Signal::SIGCONT).unwrap();
        }
        let outcome = outcome.exits(code);
        assert_eq!(outcome.stdout.contains("the server started"), code == 0, "{outcome}");
    }
}

/// A run of a slow project with this silence time-out that migrates and reaches the server only through the proxy.
fn holder_behind_proxy(silence_timeout: &str) -> (Proxy, Project, Running) {
    let (server, port) = server();
    let proxy = Proxy::to(port);
    let project = silent_for(slow(), silence_timeout);
    let through = project.database.url().replace(&server, &format!("127.0.0.1:{}", proxy.port()));
    let project = project.env("DATABASE_URL", &through);
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    (proxy, project, holder)
}

fn without_proxy(project: Project) -> Project {
    let direct = project.database.url();
    project.env("DATABASE_URL", &direct)
}

fn silent_for(project: Project, timeout: &str) -> Project {
    project.replace("[lock]", &format!("[lock]\nsilence_timeout = \"{timeout}\""))
}

/// Checks that the lock holder's work was rolled back, and that the next run does it once.
#[track_caller]
fn assert_lock_lost(project: &Project, outcome: &Outcome) {
    assert_eq!(outcome.code, Some(75), "{outcome}");
    assert!(outcome.failure_box().contains("the migration lock was lost"), "{outcome}");
    assert!(!outcome.stdout.contains("the server started"), "{outcome}");
    project.database.execute("INSERT INTO public.released VALUES (1)");
    project.start().exits(0).prints("the server started");
    for (tenant, rows) in [("a", vec!["1", "2"]), ("b", vec!["2"]), ("c", vec!["2"])] {
        assert_eq!(project.database.column(&format!("SELECT n::text FROM {tenant}.item ORDER BY 1")), rows);
    }
}

#[test]
fn programs_are_killed_at_once_when_the_lock_is_lost() {
    let script =
        "trap \"echo received > received\" TERM; echo the command is up; while :; do sleep 0.05; done";
    let demo = "[[step]]\nname = \"demo tenants\"";
    let command =
        format!("[[step]]\nname = \"static\"\ncommand.run = [\"sh\", \"-c\", '''{script}''']\n{demo}");
    let project = Project::complete("").file("tenant/2_more.sql", MORE).replace(demo, &command);
    let holder = project.portcullis.spawn(["run"]);
    holder.wait_for_line("the command is up");
    end_holder(&project);
    let outcome =
        holder.wait().exits(75).prints("the migration lock was lost").prints_not("the server started");
    assert!(!project.portcullis.path("received").exists(), "{outcome}");
}

#[test]
fn the_next_run_continues_the_work_of_a_killed_lock_holder() {
    let project = slow();
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    let waiter = project.portcullis.spawn(["run"]);
    waiter.wait_for_line("waiting for the lock: portcullis ");
    holder.signal(Signal::SIGKILL);
    holder.wait();
    project.database.execute("INSERT INTO public.released VALUES (1)");
    waiter.wait().exits(0).prints("the server started");
    assert_eq!(project.database.column("SELECT n::text FROM a.item ORDER BY 1"), ["1", "2"]);
}

#[test]
fn no_program_of_a_killed_lock_holder_writes_after_the_next_run_starts() {
    // A framework's command that ignores TERM and connects again for each row.
    let script = r#"trap "" TERM
        write() { psql -qX "$DATABASE_URL" -c "INSERT INTO written (who) VALUES ('$1')"; }
        if mkdir first; then
            while :; do write old; done
        fi
        for row in 1 2 3 4 5 6 7 8 9; do write new; done
        exit 3"#;
    let step = format!("bootstrap = {{ tenants = [\"d\"], run = [\"sh\", \"-c\", \"\"\"{script}\"\"\"] }}");
    let step = step.replace("\"$DATABASE_URL\"", "\\\"$DATABASE_URL\\\"");
    let project = Project::complete("").replace("bootstrap = { tenants = [\"a\", \"b\", \"c\"] }", &step);
    project.database.execute("CREATE TABLE written (id bigserial, who text)");
    let holder = project.portcullis.spawn(["run"]);
    project.until(true, "SELECT 'yes' FROM written WHERE who = 'old' HAVING count(*) > 2");
    let waiter = project.portcullis.spawn(["run"]);
    waiter.wait_for_line("waiting for the lock");
    holder.signal(Signal::SIGKILL);
    waiter.wait().exits(73).prints("exited with 3");
    let new = "SELECT 'all' FROM written WHERE who = 'new' HAVING count(*) = 9";
    assert_eq!(project.database.column(new), ["all"]);
    let late = "SELECT id::text FROM written WHERE who = 'old' \
                AND id > (SELECT min(id) FROM written WHERE who = 'new')";
    assert!(project.database.column(late).is_empty());
}

#[test]
fn no_program_of_a_holder_writes_after_the_next_run_starts_if_the_end_of_its_session_is_not_announced() {
    // The holder's command has no session most of the time, so that a new holder finds none.
    let script = r#"write() { psql -qX "$DIRECT_URL" -c "INSERT INTO written (who) VALUES ('$1')"; }
        if mkdir first; then
            while :; do write old; sleep 0.3; done
        fi
        for row in 1 2 3; do write new; done
        exit 3"#;
    let step = format!("bootstrap = {{ tenants = [\"d\"], run = [\"sh\", \"-c\", \"\"\"{script}\"\"\"] }}");
    let step = step.replace("\"$DIRECT_URL\"", "\\\"$DIRECT_URL\\\"");
    let project = Project::complete("").replace("bootstrap = { tenants = [\"a\", \"b\", \"c\"] }", &step);
    project.database.execute("CREATE TABLE written (id bigserial, who text)");
    let (server, port) = server();
    let proxy = Proxy::to(port);
    let direct = project.database.url();
    let through = direct.replace(&server, &format!("127.0.0.1:{}", proxy.port()));
    let project = project.env("DIRECT_URL", &direct).env("DATABASE_URL", &through);
    let holder = project.portcullis.spawn(["run"]);
    project.until(true, "SELECT 'yes' FROM written WHERE who = 'old' HAVING count(*) > 2");
    proxy.block_old();
    end_holder(&project);
    let project = project.env("DATABASE_URL", &direct);
    let next = project.start().exits(73).prints("exited with 3");
    next.prints("vanished with programs: waiting 6.5 s");
    holder.wait().exits(75).prints("the migration lock was lost");
    proxy.give_up();
    let new = "SELECT 'all' FROM written WHERE who = 'new' HAVING count(*) = 3";
    assert_eq!(project.database.column(new), ["all"]);
    let late = "SELECT id::text FROM written WHERE who = 'old' \
                AND id > (SELECT min(id) FROM written WHERE who = 'new')";
    assert!(project.database.column(late).is_empty());
}

#[test]
fn an_orphaned_backend_is_ended_before_any_change() {
    let project = Project::complete("").file("tenant/2_more.sql", MORE);
    // The state after a framework's command whose run was killed.
    let mut command = Command::new("psql");
    command.env("PGAPPNAME", "portcullis:0badc0de").args(["-qX", &project.database.url()]);
    command.args(["-c", "BEGIN; INSERT INTO a.item VALUES (7); SELECT pg_sleep(3600); COMMIT"]);
    let orphan = Running::start(command, false);
    project.until_sleeping();
    project
        .start()
        .exits(0)
        .prints("terminating an earlier run's session first")
        .prints("the server started");
    orphan.wait().prints("terminating connection due to administrator command");
    assert!(project.database.column("SELECT n::text FROM a.item").is_empty());
}

#[test]
fn a_run_changes_nothing_if_the_lock_cannot_be_requested() {
    let project = Project::complete("").replace("auto = true", "file = \"manifest.json\"");
    let project = project.file("tenant/2_more.sql", MORE);
    project.portcullis.run(["manifest", "sql"]).exits(0);
    let role = format!("nobody_{}", project.database.name());
    project.database.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; \
         DO $$ DECLARE s text; BEGIN FOREACH s IN ARRAY ARRAY['a', 'b', 'c', 'public'] LOOP \
         EXECUTE format('GRANT ALL ON SCHEMA %I TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA %I TO {role}', s, s); END LOOP; END $$; \
         REVOKE EXECUTE ON FUNCTION pg_try_advisory_lock(int, int) FROM PUBLIC"
    ));
    let (server, _) = server();
    let url = format!("postgres://{role}:x@{server}/{}", project.database.name());
    let project = project.env("DATABASE_URL", &url);
    let outcome = project.start();
    project.database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    let outcome = outcome.exits(74).prints_not("the server started");
    assert!(outcome.stderr.contains("acquiring the lock"), "{outcome}");
    assert_eq!(project.ledger("a"), ["1"]);
}

fn end_holder(project: &Project) {
    let end = format!("SELECT pg_terminate_backend(pid::int)::text FROM ({HOLDER}) AS holder");
    assert_eq!(project.database.column(&end), ["true"]);
}

/// The cluster's host and port, and the port alone.
pub(super) fn server() -> (String, u16) {
    let url = cluster();
    let server = url.rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let port = server.rsplit_once(':').unwrap().1.parse().unwrap();
    (server, port)
}

#[test]
fn once_per_release_commands_carry_the_run_identifier_and_plain_commands_do_not() {
    let steps = "\n[[step]]\nname = \"first\"\ncommand = { run = [\"sh\", \"-c\", \"echo once as $PGAPPNAME.\"], once_per_release = true }\n\
                 [[step]]\nname = \"second\"\ncommand = { run = [\"sh\", \"-c\", \"echo plain as $PGAPPNAME.\"] }\n";
    let project = Project::complete("").step(steps);
    let outcome = project.start().exits(0).prints("plain as .");
    let run = outcome.stderr.split("run ").nth(1).unwrap().split(',').next().unwrap();
    assert!(outcome.stderr.contains(&format!("once as portcullis:{run}.")), "{outcome}");
    // The lock was released, so the next holder does not wait for the command.
    assert!(project.database.column("SELECT run FROM portcullis.program").is_empty());
}
