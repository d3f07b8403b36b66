//! The middleware that rejects requests to quarantined tenants, in a real gunicorn.

use nix::sys::signal::Signal;

use crate::support::{
    django::Project,
    http::{free_port, get},
    time_limits::until_true,
};

#[test]
fn complete_tenants_are_served_and_a_broken_one_returns_503() {
    let port = free_port();
    let mut project = Project::complete();
    project.set("PORT", &port.to_string());
    project.copies(&["acme".to_owned(), "globex".to_owned()]);
    let path = project.portcullis.path("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config + "\n[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\n").unwrap();
    project.database.execute("DROP TABLE acme.finance_invoice CASCADE");

    let server = project.portcullis.spawn(["run"]);
    server.wait_for_line("Listening at");
    assert_eq!(get(port, "/t/globex/invoices/").0, 200);
    let (status, body) = get(port, "/t/acme/invoices/");
    assert_eq!((status, body.contains("maintained")), (503, true), "{body}");
    server.signal(Signal::SIGTERM);
    server.wait().exits(0).prints("the server must not serve acme");

    // After a repair, every tenant is served again.
    project
        .database
        .execute("DROP SCHEMA acme CASCADE; DELETE FROM customers_client WHERE schema_name = 'acme'");
    let server = project.portcullis.spawn(["run"]);
    server.wait_for_line("Listening at");
    assert_eq!(get(port, "/t/globex/invoices/").0, 200);
    server.signal(Signal::SIGTERM);
    server.wait().exits(0).prints_not("THE GATE IS OPEN");
}

#[test]
fn a_watch_beside_gunicorn_serves_a_repaired_tenant_again_without_a_restart() {
    let port = free_port();
    let mut project = Project::complete();
    project.set("PORT", &port.to_string());
    project.copies(&["acme".to_owned(), "globex".to_owned()]);
    let path = project.portcullis.path("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let gate =
        "[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\nquarantine_file = \"quarantined.json\"\n";
    std::fs::write(&path, format!("{config}\n{gate}")).unwrap();
    project.database.execute("ALTER TABLE acme.finance_invoice RENAME TO lost");

    let server = project.portcullis.spawn(["run"]);
    server.wait_for_line("Listening at");
    let status = |tenant: &str| get(port, &format!("/t/{tenant}/invoices/")).0;
    assert_eq!((status("acme"), status("globex")), (503, 200));
    let watch = project.portcullis.spawn(["verify", "--every", "2s"]);
    watch.wait_for_line("acme: incomplete");
    project.database.execute("ALTER TABLE acme.lost RENAME TO finance_invoice");
    until_true("the repaired tenant", || status("acme") == 200);
    project.database.execute("ALTER TABLE globex.finance_invoice RENAME TO lost");
    until_true("the withdrawal of the broken tenant", || status("globex") == 503);
    for running in [watch, server] {
        running.signal(Signal::SIGTERM);
        running.wait().exits(0);
    }
}
