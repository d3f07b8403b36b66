//! A creation ended by a signal or a kill leaves nothing, or leftovers that the next lock holder removes.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{SLOW, empty, journal, json, signalled_during_creation, tenants, with};
use crate::run::fence;
use crate::support::proxy::Proxy;

#[test]
fn a_signal_during_a_creation_leaves_nothing() {
    let project = with(empty(""), "tenant/2_slow.sql", SLOW);
    let outcome = signalled_during_creation(&project, "acme", Signal::SIGTERM).exits(143);
    outcome.prints("`acme` was being created: rolled back");
    assert!(!project.exists("acme") && tenants(&project).is_empty() && journal(&project).is_empty());
    // The same in a start-up.
    let project = project.replace("tenants = [\"a\", \"b\", \"c\"] }", "tenants = [\"a\"] }");
    let running = project.portcullis.spawn(["run"]);
    project.until_sleeping();
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).prints("`a` was being created: rolled back");
    assert!(!project.exists("a") && journal(&project).is_empty());
}

#[test]
fn a_signal_while_the_server_is_silent_ends_the_run_within_the_grace() {
    let (server, port) = fence::server();
    let proxy = Proxy::to(port);
    let project = with(empty(""), "tenant/2_slow.sql", SLOW)
        .replace("tenants = [\"a\", \"b\", \"c\"] }", "tenants = [\"a\"] }");
    let through = project.database.url().replace(&server, &format!("127.0.0.1:{}", proxy.port()));
    let project = project.env("DATABASE_URL", &through);
    let running = project.portcullis.spawn(["run"]);
    project.until_sleeping();
    proxy.block();
    let signalled = Instant::now();
    running.signal(Signal::SIGTERM);
    let outcome = running.wait().exits(143).prints("`a` was being created: not rolled back");
    let took = signalled.elapsed();
    proxy.give_up();
    assert!(took < Duration::from_secs(15), "{took:?} {outcome}");
    outcome.prints("the next run that acquires the lock does it");
}

#[test]
fn the_next_lock_holder_removes_the_unfinished_tenant_of_a_killed_run() {
    let project = with(empty(""), "tenant/2_slow.sql", SLOW);
    signalled_during_creation(&project, "acme", Signal::SIGKILL);
    assert!(project.exists("acme"));
    assert_eq!(journal(&project), ["acme making"]);
    // The gate has no tenant to inspect, and reports the leftover schema.
    let verified = project.portcullis.run(["verify"]).exits(0);
    verified
        .prints("creation or deletion in progress, or interrupted by a kill: acme")
        .prints_not("schemas without a tenant");
    let project = with(project, "tenant/2_slow.sql", "CREATE TABLE quick (id int);\n");
    // A start with nothing else to do removes it.
    project.database.execute("SELECT 1");
    let outcome = project.portcullis.run(["migrate"]).exits(0);
    outcome.prints("`acme`").prints("left unfinished, was removed");
    assert!(!project.exists("acme") && journal(&project).is_empty());
    project.portcullis.run(["tenant", "create", "acme"]).exits(0);
}

#[test]
fn an_unremovable_schema_does_not_prevent_the_removal_of_the_others() {
    let project = with(empty("lock_timeout = \"1s\""), "tenant/2_slow.sql", SLOW);
    signalled_during_creation(&project, "acme", Signal::SIGKILL);
    project.until_gone("pg_sleep");
    project.database.while_held("LOCK TABLE acme._sqlx_migrations IN ACCESS SHARE MODE", || {
        signalled_during_creation(&project, "globex", Signal::SIGKILL);
        assert_eq!(journal(&project), ["acme making", "globex making"]);
        project.until_gone("pg_sleep");
        let quick = "CREATE TABLE quick (id int);\n";
        std::fs::write(project.portcullis.path("tenant/2_slow.sql"), quick).unwrap();
        project.portcullis.run(["manifest", "sql"]).exits(0);
        let created = project.portcullis.run(["tenant", "create", "globex"]).exits(0);
        let created = created.prints("`acme`").prints("could not be removed yet").prints("lock timeout");
        created.prints("`globex`, which").prints("left unfinished, was removed");
        let later = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(73);
        assert_eq!(json(&later)["failure"]["left"], "later", "{later}");
    });
    assert_eq!((tenants(&project), journal(&project)), (vec!["globex".into()], vec!["acme making".into()]));
    // Nor are the objects that would be dropped with it.
    project.database.execute("CREATE VIEW seen AS SELECT version FROM acme._sqlx_migrations");
    project.portcullis.run(["tenant", "create", "hooli"]).exits(0).prints("depend on it: view public.seen");
    assert_eq!(journal(&project), ["acme making"]);
    project.database.execute("DROP VIEW seen");
    project.portcullis.run(["tenant", "create", "acme"]).exits(0).prints("left unfinished, was removed");
    assert!(journal(&project).is_empty());
}

#[test]
fn a_schema_without_a_valid_ownership_tag_is_named_and_not_removed() {
    let project = with(empty(""), "tenant/2_slow.sql", SLOW);
    signalled_during_creation(&project, "acme", Signal::SIGKILL);
    project.until_gone("pg_sleep");
    // Another program has used the name since, and even the ownership tag.
    let reassigned = "DO $$ DECLARE mark text := obj_description('acme'::regnamespace, 'pg_namespace'); BEGIN \
                 DROP SCHEMA acme CASCADE; CREATE SCHEMA acme; CREATE TABLE acme.precious (id int); \
                 EXECUTE format('COMMENT ON SCHEMA acme IS %L', mark); END $$";
    project.database.execute(reassigned);
    let project = with(project, "tenant/2_slow.sql", "CREATE TABLE quick (id int);\n");
    let refused = project.portcullis.run(["tenant", "create", "acme"]).exits(73);
    refused
        .prints("does not have the ownership tag")
        .prints("not rolled back: cannot prove that this run created it");
    assert_eq!(project.database.column("SELECT count(*)::text FROM acme.precious"), ["0"]);
    // A row of another program is not removed, and therefore neither is the schema.
    let project = with(project, "tenant/2_slow.sql", SLOW);
    signalled_during_creation(&project, "globex", Signal::SIGKILL);
    project.database.execute("INSERT INTO tenants VALUES ('globex')");
    let project = with(project, "tenant/2_slow.sql", "CREATE TABLE quick (id int);\n");
    project.portcullis.run(["tenant", "create", "other"]).exits(0).prints("did not write that row");
    assert!(project.exists("globex"));
}
