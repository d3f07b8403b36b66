//! Every statement that a start with nothing to do sends, from the server's own log.

use crate::support::{fleet, server::Server};

const LOGGED: &str = "log_statement = all\nlog_line_prefix = '%a|'\nlog_min_messages = warning";

#[test]
fn a_start_with_nothing_to_do_only_sends_reads() {
    let server = Server::start(LOGGED);
    server.execute("postgres", "CREATE DATABASE app");
    let fleet = fleet::complete(&server.url("app"));
    server.execute("app", &fleet::copies(&fleet::names(120)));
    // A role without any write permission.
    server.execute(
        "app",
        "CREATE ROLE watcher LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public, demo TO watcher; \
         GRANT USAGE ON SCHEMA demo TO watcher; DO $$ BEGIN FOR n IN 0..119 LOOP \
         EXECUTE format('GRANT USAGE ON SCHEMA t%s TO watcher', n); \
         EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA t%s TO watcher', n); END LOOP; END $$",
    );
    let fleet = fleet.env("READER", "watcher");
    let before = (server.log().len(), transaction_number(&server));
    fleet.run(["run", "--no-server"]).exits(0);
    fleet.run(["verify"]).exits(0);
    assert_eq!(transaction_number(&server), before.1, "a transaction wrote something");
    let log = server.log().split_off(before.0);
    assert!(!log.contains("ERROR"), "{log}");
    let sent: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("portcullis")).collect();
    assert!(sent.iter().any(|line| line.contains("hashtextextended")), "{log}");
    for line in &sent {
        let statement =
            line.split_once("LOG:  statement: ").unwrap_or_else(|| panic!("not simple: {line}")).1;
        // An empty statement tests a connection before it is used again.
        if statement.is_empty() {
            continue;
        }
        let begin =
            "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off; SET LOCAL ";
        let reads = statement.strip_prefix(begin);
        let reads = reads.and_then(|rest| rest.strip_suffix("; COMMIT"));
        let reads = reads.unwrap_or_else(|| panic!("not a READ ONLY transaction: {line}"));
        for one in reads.split("; ") {
            let harmless = ["statement_timeout = ", "SET LOCAL ", "SELECT ", "WITH expected("];
            assert!(harmless.iter().any(|start| one.starts_with(start)), "{one}");
            for word in ["pg_advisory", "pg_try_advisory", "FOR UPDATE", "nextval", "set_config"] {
                assert!(!one.contains(word), "{one}");
            }
        }
    }
}

#[test]
fn a_start_with_nothing_to_do_opens_the_fewest_connections() {
    let server = Server::start("log_connections = on\nlog_line_prefix = '%a|'");
    server.execute("postgres", "CREATE DATABASE app");
    let fleet = fleet::complete(&server.url("app"));
    server.execute("app", &fleet::copies(&fleet::names(40)));
    let before = server.log().len();
    fleet.run(["verify"]).exits(0);
    let log = server.log().split_off(before);
    assert_eq!(log.matches("connection authorized").count(), 1, "{log}");
}

/// The next transaction number: every writing transaction takes one.
fn transaction_number(server: &Server) -> String {
    server.one("app", "SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
}
