//! TLS to PostgreSQL: `sslmode`, root certificates and libpq's variables mean what they mean for psql.

use crate::support::{cluster::cluster, project::steps, server::Server, tls};

const STEPS: &str = "[[step]]\nname = \"database\"\nwait.database = { timeout = \"5s\" }\n";

#[test]
fn a_connection_is_as_careful_as_with_libpq() {
    let folder = tls::certificates();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let server = Server::start("");
    tls::turn_on(&server, folder.path());
    let with_tls = format!("postgres://postgres@localhost:{}/postgres", server.port());
    let without_tls = cluster();
    let (right, other) = (at("right.crt"), at("other.crt"));
    for (url, parameters, variables, code) in [
        (&with_tls, format!("?sslmode=require&sslrootcert={right}"), vec![], 0),
        (&with_tls, format!("?sslmode=verify-full&sslrootcert={right}"), vec![], 0),
        (&with_tls, format!("?sslmode=require&sslrootcert={other}"), vec![], 77),
        (&with_tls, "?sslrootcert=system".into(), vec![], 77),
        (&with_tls, String::new(), vec![("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &right)], 0),
        (&with_tls, String::new(), vec![("PGSSLMODE", "verify-ca"), ("PGSSLROOTCERT", &other)], 77),
        (&without_tls, String::new(), vec![("PGSSLMODE", "require")], 77),
    ] {
        let mut portcullis = steps(&format!("[database]\nurl = \"{url}{parameters}\"\n{STEPS}"));
        for (name, value) in &variables {
            portcullis = portcullis.env(name, value);
        }
        portcullis.run(["run"]).exits(code);
    }
    for (name, why) in [("elsewhere", "localhost"), ("expired", "expired")] {
        tls::install(&server, folder.path(), name);
        let url = format!("{with_tls}?sslmode=verify-full&sslrootcert={right}");
        let portcullis = steps(&format!("[database]\nurl = \"{url}\"\n{STEPS}"));
        let shown = portcullis.run(["run"]).exits(77).failure_box().to_owned();
        assert!(shown.contains(why), "{name}: {shown}");
    }
}
