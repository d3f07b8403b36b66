//! TLS to PostgreSQL: `sslmode`, root certificates and libpq's variables mean what they mean for psql.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::support::{cluster::cluster, project::steps, server::Server, time_limits::until_true};

const STEPS: &str = "[[step]]\nname = \"database\"\nwait.database = { timeout = \"5s\" }\n";

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Two authorities, and the server's certificate by the first one.
fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let key = "-newkey rsa:2048 -nodes -days 30";
    for authority in ["right", "other"] {
        let files = format!("-keyout {authority}.key -out {authority}.crt");
        openssl(folder.path(), &format!("req -x509 {key} -subj /CN={authority} {files}"));
    }
    let names = "-addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE";
    let files = "-CA right.crt -CAkey right.key -keyout server.key -out server.crt";
    openssl(folder.path(), &format!("req -x509 {key} -subj /CN=localhost {names} {files}"));
    folder
}

#[test]
fn a_connection_is_as_careful_as_with_libpq() {
    let folder = certificates();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let server = Server::start("");
    let (key, certificate) = (at("server.key"), at("server.crt"));
    // The server accepts only a key that belongs to its own user.
    let text = |path: &str| fs::read_to_string(path).unwrap();
    server.execute(
        "postgres",
        &format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask 077; cat > server.key'; \
             COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'cat > server.crt'",
            text(&key).trim(),
            text(&certificate).trim()
        ),
    );
    server.execute("postgres", "ALTER SYSTEM SET ssl = on");
    server.execute("postgres", "SELECT pg_reload_conf()");
    until_true("TLS is on", || server.one("postgres", "SHOW ssl") == "on");
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
}
