//! TLS to PostgreSQL: `sslmode`, root certificates and libpq's variables mean what they mean for psql.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::support::{cluster::cluster, project::steps, server::Server, time_limits::until_true};

const STEPS: &str = "[[step]]\nname = \"database\"\nwait.database = { timeout = \"5s\" }\n";

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Two authorities, and the server's certificates by the first one: valid, of another host, and expired.
fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let key = "-newkey rsa:2048 -nodes";
    for authority in ["right", "other"] {
        let files = format!("-days 30 -keyout {authority}.key -out {authority}.crt");
        openssl(folder.path(), &format!("req -x509 {key} -subj /CN={authority} {files}"));
    }
    for (name, host, days) in
        [("server", "localhost", 30), ("elsewhere", "db.example", 30), ("expired", "localhost", -1)]
    {
        let path = folder.path();
        openssl(path, &format!("req {key} -subj /CN={host} -keyout {name}.key -out {name}.csr"));
        fs::write(
            path.join("names"),
            format!("subjectAltName=DNS:{host}\nbasicConstraints=critical,CA:FALSE\n"),
        )
        .unwrap();
        let signed = "-CA right.crt -CAkey right.key -set_serial 3 -extfile names";
        openssl(path, &format!("x509 -req -in {name}.csr {signed} -days {days} -out {name}.crt"));
    }
    folder
}

/// Gives the server this key and certificate. It accepts only a key that belongs to its own user.
fn install(server: &Server, folder: &Path, name: &str) {
    for kind in ["key", "crt"] {
        let text = fs::read_to_string(folder.join(format!("{name}.{kind}"))).unwrap();
        server.execute(
            "postgres",
            &format!(
                "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask 077; cat > server.{kind}'",
                text.trim()
            ),
        );
    }
    server.reload();
}

#[test]
fn a_connection_is_as_careful_as_with_libpq() {
    let folder = certificates();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let server = Server::start("");
    install(&server, folder.path(), "server");
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
    for (name, why) in [("elsewhere", "localhost"), ("expired", "expired")] {
        install(&server, folder.path(), name);
        let url = format!("{with_tls}?sslmode=verify-full&sslrootcert={right}");
        let portcullis = steps(&format!("[database]\nurl = \"{url}\"\n{STEPS}"));
        let shown = portcullis.run(["run"]).exits(77).failure_box().to_owned();
        assert!(shown.contains(why), "{name}: {shown}");
    }
}
