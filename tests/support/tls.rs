//! Certificates for a server of PostgreSQL.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::{server::Server, time_limits::until_true};

/// Two authorities, and the server's certificates: `server` and `renewed` are valid, `elsewhere` is another host's, `expired` has
/// expired, and `unknown` is by the other authority.
pub fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let key = "-newkey rsa:2048 -nodes";
    for authority in ["right", "other"] {
        let files = format!("-days 30 -keyout {authority}.key -out {authority}.crt");
        openssl(folder.path(), &format!("req -x509 {key} -subj /CN={authority} {files}"));
    }
    for (name, host, days, authority) in [
        ("server", "localhost", 30, "right"),
        ("renewed", "localhost", 60, "right"),
        ("elsewhere", "db.example", 30, "right"),
        ("expired", "localhost", -1, "right"),
        ("unknown", "localhost", 30, "other"),
    ] {
        let path = folder.path();
        openssl(path, &format!("req {key} -subj /CN={host} -keyout {name}.key -out {name}.csr"));
        fs::write(
            path.join("names"),
            format!("subjectAltName=DNS:{host}\nbasicConstraints=critical,CA:FALSE\n"),
        )
        .unwrap();
        let signed = format!("-CA {authority}.crt -CAkey {authority}.key -set_serial 3 -extfile names");
        openssl(path, &format!("x509 -req -in {name}.csr {signed} -days {days} -out {name}.crt"));
    }
    folder
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes the server accept TLS with the certificate `server`.
pub fn turn_on(server: &Server, folder: &Path) {
    install(server, folder, "server");
    server.execute("postgres", "ALTER SYSTEM SET ssl = on");
    server.execute("postgres", "SELECT pg_reload_conf()");
    until_true("TLS is on", || server.one("postgres", "SHOW ssl") == "on");
}

/// Gives the server this key and certificate for later connections. It accepts only a key that belongs to its own user.
pub fn install(server: &Server, folder: &Path, name: &str) {
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
