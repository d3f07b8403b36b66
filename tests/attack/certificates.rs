//! The server's certificate changes before and during a start: another valid one, an expired one, another host's, an unknown
//! authority's.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    oracle::judge,
    project::{behind, data, start},
    tries::attack,
};
use crate::support::{server::Server, tls};

#[derive(Debug)]
struct Change {
    certificate: &'static str,
    /// What the box says.
    why: &'static str,
    before_start: bool,
}

#[test]
fn a_changed_certificate_loses_nothing() {
    let folder = tls::certificates();
    let server = Server::start("");
    server.execute("postgres", "CREATE DATABASE base TEMPLATE template0");
    let project = behind(&server.url("base"));
    server.execute("base", &data());
    tls::turn_on(&server, folder.path());
    let careful = format!(
        "postgres://postgres@localhost:{}/attacked?sslmode=verify-full&sslrootcert={}",
        server.port(),
        folder.path().join("right.crt").display()
    );
    let renew = || {
        tls::install(&server, folder.path(), "server");
        server.execute("postgres", "DROP DATABASE IF EXISTS attacked WITH (FORCE)");
        server.execute("postgres", "CREATE DATABASE attacked TEMPLATE base");
    };
    renew();
    let began = Instant::now();
    start(&project, &careful).1.wait().exits(0);
    let whole = began.elapsed();
    let mut tries = Vec::new();
    for number in 0..100 {
        for (certificate, why) in [
            ("renewed", ""),
            ("expired", "certificate has expired"),
            ("elsewhere", "not valid for"),
            ("unknown", "is not issued by a certificate of `sslrootcert`"),
        ] {
            let before_start = number % 5 == 0;
            let when = if before_start { "before the start" } else { "during the start" };
            let name = format!("certificate, {when}: {certificate}");
            tries.push((name, Change { certificate, why, before_start }));
        }
    }
    attack("certificates", 3, tries, |_, change, random| {
        renew();
        if change.before_start {
            tls::install(&server, folder.path(), change.certificate);
        }
        let (project, running) = start(&project, &careful);
        if !change.before_start {
            thread::sleep(Duration::from_secs_f64(whole.as_secs_f64() * random.f64()));
            tls::install(&server, folder.path(), change.certificate);
        }
        let outcome = running.wait();
        let codes: &[i32] = match (change.certificate, change.before_start) {
            ("renewed", _) => &[0],
            (_, true) => &[77],
            (_, false) => &[0, 77],
        };
        judge(&project, &server.url("attacked"), &outcome, codes);
        if outcome.code != Some(0) {
            let shown = outcome.failure_box().split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(shown.contains(change.why), "{change:?}: {outcome}");
        }
    });
}
