//! A connection has the meaning that it has for psql: both programs get the same URL and environment, and the servers
//! log who has logged in.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{http::free_port, process::Running, project::steps, server::Server};

/// One line per connection: the URL without `postgres://` (`-`: none), then variables. `%20` is a blank in a variable. PASSWD is
/// the home directory in the system's list of users, without HOME.
/// `[CERTIFICATE]` selects the server's certificate for the lines below it. `! `: psql guesses or
/// ignores a part, and Portcullis refuses it.
const TABLE: &str = include_str!("libpq.txt");

const LOGGED: &str = "log_connections = on\nlog_line_prefix = ''\n";

/// Which login a line of `pg_hba.conf` demands; the first line that fits counts.
const ACCESS: &str = "hostssl all certified 127.0.0.1/32 cert
hostssl all both 127.0.0.1/32 scram-sha-256 clientcert=verify-full
hostssl all only_tls 127.0.0.1/32 scram-sha-256
hostnossl all only_plain 127.0.0.1/32 scram-sha-256
host all app,strange,encoded 127.0.0.1/32 scram-sha-256
host all old 127.0.0.1/32 md5
local all all trust
host all postgres 127.0.0.1/32 trust
host replication postgres 127.0.0.1/32 trust";

const ROLES: &str = "CREATE ROLE app LOGIN PASSWORD 'app'; CREATE ROLE certified LOGIN; CREATE ROLE \"both\" LOGIN PASSWORD 'app'; \
    CREATE ROLE only_tls LOGIN PASSWORD 'app'; CREATE ROLE only_plain LOGIN PASSWORD 'app'; \
    CREATE ROLE strange LOGIN PASSWORD 'p@s/w?:d%&#+ =''é'; SET password_encryption = md5; CREATE ROLE old LOGIN PASSWORD 'app'";

/// The servers and the files of the table.
struct Fixture {
    files: tempfile::TempDir,
    tls: Server,
    plain: Server,
    standby: Server,
}

fn openssl(folder: &Path, arguments: &str) {
    let output =
        Command::new("openssl").current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two authorities, the server's certificates and the clients' certificates. The comments are those of the table.
fn certificates(at: &Path) {
    let key = "-newkey rsa:2048 -nodes -days 30";
    for authority in ["ca", "other"] {
        openssl(
            at,
            &format!("req -x509 {key} -subj /CN={authority} -keyout {authority}.key -out {authority}.crt"),
        );
    }
    let signed = |name: &str, subject: &str, more: &str| {
        let files = format!("-CA ca.crt -CAkey ca.key -keyout {name}.key -out {name}.crt");
        openssl(
            at,
            &format!("req -x509 {key} -subj /CN={subject} -addext basicConstraints=CA:FALSE {more} {files}"),
        );
    };
    signed("named", "localhost", "-addext subjectAltName=DNS:localhost");
    signed("wrong", "localhost", "-addext subjectAltName=DNS:db.example.org");
    signed("common", "localhost", "");
    signed("address", "nothing", "-addext subjectAltName=IP:127.0.0.1");
    signed("client-only", "localhost", "-addext extendedKeyUsage=clientAuth");
    signed("certified", "certified", "");
    signed("both", "both", "");
    // As in PostgreSQL's manual: an authority that serves as the server's certificate, and certificates of version 1.
    openssl(at, &format!("req -new -x509 {key} -subj /CN=localhost -keyout manual.key -out manual.crt"));
    let versions = [("first", "-days 30"), ("expired", "-days -1")];
    for (name, days) in versions {
        openssl(at, &format!("req -new {key} -subj /CN=localhost -keyout {name}.key -out {name}.csr"));
        openssl(
            at,
            &format!(
                "x509 -req -in {name}.csr {days} -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt"
            ),
        );
    }
    // An intermediate authority; the server sends the chain.
    let authority = "-addext basicConstraints=critical,CA:TRUE -CA ca.crt -CAkey ca.key";
    openssl(at, &format!("req -x509 {key} -subj /CN=middle {authority} -keyout middle.key -out middle.crt"));
    let below = "-addext basicConstraints=CA:FALSE -CA middle.crt -CAkey middle.key";
    openssl(at, &format!("req -x509 {key} -subj /CN=localhost {below} -keyout chain.key -out chain.crt"));
    let text = |name: &str| fs::read_to_string(at.join(name)).unwrap();
    fs::write(at.join("chain.crt"), text("chain.crt") + &text("middle.crt")).unwrap();
    fs::write(at.join("several.crt"), text("other.crt") + &text("ca.crt")).unwrap();
    fs::write(at.join("damaged.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    openssl(at, "rsa -aes128 -passout pass:secret -in certified.key -out locked.key");
}

fn write(path: PathBuf, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Password files, service files and home directories.
fn client_files(at: &Path, ports: &dyn Fn(&str) -> String) {
    let copy =
        |from: &str, to: &str, mode| write(at.join(to), &fs::read_to_string(at.join(from)).unwrap(), mode);
    for name in ["certified", "both", "locked"] {
        copy(&format!("{name}.key"), &format!("{name}.key"), 0o600);
    }
    copy("certified.key", "open.key", 0o644);
    copy("certified.key", "group.key", 0o640);
    fs::create_dir(at.join("empty")).unwrap();
    copy("ca.crt", "home-ca/.postgresql/root.crt", 0o644);
    copy("other.crt", "home-other/.postgresql/root.crt", 0o644);
    copy("ca.crt", "home-revoked/.postgresql/root.crt", 0o644);
    write(at.join("home-revoked/.postgresql/root.crl"), "", 0o644);
    copy("ca.crt", "home-client/.postgresql/root.crt", 0o644);
    copy("certified.crt", "home-client/.postgresql/postgresql.crt", 0o644);
    copy("certified.key", "home-client/.postgresql/postgresql.key", 0o600);
    let lines = "# comment\nlocalhost:1:*:*:wrong\nlocalhost:*:app:strange:p@s/w?\\:d%&#+ ='é\nlocalhost:*:*:app:app\n\
        127.0.0.1:*:*:app:app\n*:*:*:old:app\n";
    write(at.join("home-pass/.pgpass"), lines, 0o600);
    write(at.join("home-open/.pgpass"), lines, 0o644);
    write(at.join("passfile"), lines, 0o600);
    write(at.join("wrong-passfile"), "*:*:*:*:wrong\n", 0o600);
    let service = ports(
        "# comment\n[other]\nhost=nowhere.invalid\n[shop]\nhost=localhost\nport=TLS\nuser=app\npassword=app\ndbname=app\n\
         sslmode=require\nuser=nobody\n\n[partly]\nport=PLAIN\nuser=nobody\n[broken]\nhost localhost\n[unknown]\nhots=x\n",
    );
    write(at.join("services"), &service, 0o644);
    write(at.join("home-service/.pg_service.conf"), &service, 0o644);
}

impl Fixture {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
        certificates(files.path());
        let (tls, plain) = (Server::start(LOGGED), Server::start(LOGGED));
        for server in [&tls, &plain] {
            server.execute("postgres", "CREATE DATABASE app");
            server.execute("postgres", ROLES);
            copy_to(server, ACCESS, "pg_hba.conf");
            server.reload();
        }
        let standby = plain.standby();
        let fixture = Self { files, tls, plain, standby };
        copy_to(&fixture.tls, &fs::read_to_string(fixture.files.path().join("ca.crt")).unwrap(), "ca.crt");
        fixture.tls.execute("postgres", "ALTER SYSTEM SET ssl_ca_file = 'ca.crt'");
        fixture.present("named");
        client_files(fixture.files.path(), &|text| fixture.filled(text));
        fixture
    }

    /// Makes the server with TLS present this certificate.
    fn present(&self, name: &str) {
        for ending in ["key", "crt"] {
            let file = format!("{name}.{ending}");
            copy_to(&self.tls, &fs::read_to_string(self.files.path().join(&file)).unwrap(), &file);
        }
        for setting in [
            "ssl = on".to_owned(),
            format!("ssl_cert_file = '{name}.crt'"),
            format!("ssl_key_file = '{name}.key'"),
        ] {
            self.tls.execute("postgres", &format!("ALTER SYSTEM SET {setting}"));
        }
        self.tls.reload();
    }

    fn filled(&self, text: &str) -> String {
        let port = |server: &Server| server.port().to_string();
        let closed = free_port().to_string();
        [
            ("SOCKET", self.tls.folder().display().to_string()),
            ("STANDBY", port(&self.standby)),
            ("PLAIN", port(&self.plain)),
            ("CLOSED", closed),
            ("TLS", port(&self.tls)),
            ("DIR", self.files.path().display().to_string()),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// The logins that the work caused: the server, the user, the database and the TLS version.
    fn logins<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let servers = [("tls", &self.tls), ("plain", &self.plain), ("standby", &self.standby)];
        let before: Vec<usize> = servers.iter().map(|(_, server)| server.log().len()).collect();
        let result = work();
        let mut logins = Vec::new();
        for ((name, server), before) in servers.into_iter().zip(before) {
            for line in server.log()[before..].lines().filter(|line| line.contains("connection authorized")) {
                let words =
                    line.split(' ').filter(|word| !word.starts_with("bits=") && !word.starts_with("cipher="));
                let login = words
                    .collect::<Vec<_>>()
                    .join(" ")
                    .replace("application_name=psql", "application_name=portcullis");
                logins.push(format!("{name}: {login}"));
            }
        }
        logins.sort();
        logins.dedup();
        (result, logins)
    }
}

fn copy_to(server: &Server, text: &str, file: &str) {
    let text = text.trim().replace('\'', "''");
    server.execute(
        "postgres",
        &format!(
            "COPY (SELECT unnest(string_to_array('{text}', E'\\n'))) TO PROGRAM 'umask 077; cat > {file}'"
        ),
    );
}

/// A list of users in which the user of this test has this home directory.
fn passwd(fixture: &Fixture, home: &str) -> PathBuf {
    let path = fixture.files.path().join("passwd");
    fs::write(&path, format!("root:x:0:0:root:{home}:/bin/sh\n")).unwrap();
    path
}

/// The command as root, in its own view of the file system, in which this is the list of users.
fn with_users(command: Command, users: Option<&Path>) -> Command {
    let Some(users) = users else { return command };
    let mut other = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        other.args(["--user", "--map-root-user"]);
    }
    let script = format!("mount --bind {} /etc/passwd && exec \"$0\" \"$@\"", users.display());
    other.args(["--mount", "sh", "-c", &script]).arg(command.get_program()).args(command.get_args());
    other.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        other.current_dir(folder);
    }
    other
}

#[test]
fn a_connection_is_what_it_is_for_psql() {
    let fixture = Fixture::start();
    let (mut different, mut count, mut connected) = (Vec::new(), 0, 0);
    for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(certificate) = line.strip_prefix('[') {
            fixture.present(certificate.trim_end_matches(']'));
            continue;
        }
        let (line, is_refused) = line.strip_prefix("! ").map_or((line, false), |line| (line, true));
        let filled = fixture.filled(line);
        let mut words = filled.split(' ');
        let url = words.next().filter(|url| *url != "-").map(|url| format!("postgres://{url}"));
        let mut variables: BTreeMap<&str, String> = words
            .map(|word| word.split_once('=').unwrap())
            .map(|(name, value)| (name, value.replace("%20", " ")))
            .collect();
        let users = variables.remove("PASSWD").map(|home| passwd(&fixture, &home));
        if users.is_none() {
            let home = fixture.files.path().join("empty").display().to_string();
            variables.entry("HOME").or_insert(home);
        }
        variables.insert("PATH", std::env::var("PATH").unwrap());
        let mut psql = Command::new("psql");
        psql.args(["-X", "-w", "-A", "-t", "-c", "SELECT 1"]).args(&url).env_clear().envs(&variables);
        let (output, expected) = fixture.logins(|| with_users(psql, users.as_deref()).output().unwrap());
        // A refusal that may be temporary is retried until the time is up.
        let timeout = if output.status.success() { "100s" } else { "500ms" };
        let url = url.map(|url| format!("url = {url:?}")).unwrap_or_default();
        let config = format!(
            "[database]\n{url}\n[[step]]\nname = \"database\"\nwait.database = {{ timeout = \"{timeout}\" }}\n"
        );
        let mut portcullis = steps(&config);
        for (name, value) in &variables {
            portcullis = portcullis.env(name, value);
        }
        let run = with_users(portcullis.command(["run"]), users.as_deref());
        let (outcome, found) = fixture.logins(|| Running::start(run, false).wait());
        count += 1;
        connected += usize::from(output.status.success());
        let is_same = match (output.status.success(), is_refused) {
            (true, true) => outcome.code == Some(78) && found.is_empty(),
            (connected, false) => connected == (outcome.code == Some(0)) && expected == found,
            (false, true) => false,
        };
        if !is_same {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            different.push(format!(
                "{line}\n  psql: {} {expected:?} {said}\n  portcullis: {found:?} {outcome}",
                output.status
            ));
        }
    }
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.join("\n"));
    assert!(count >= 100 && connected >= 40 && count - connected >= 40, "{count} {connected}");
}

/// psql knows the keyword only since version 16.
#[test]
fn the_systems_certificates_do_not_include_a_private_authority() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let server = Server::start("");
    for ending in ["key", "crt"] {
        let text = fs::read_to_string(folder.path().join(format!("named.{ending}"))).unwrap();
        copy_to(&server, &text, &format!("server.{ending}"));
    }
    server.execute("postgres", "ALTER SYSTEM SET ssl = on");
    server.reload();
    assert_eq!(server.one("postgres", "SHOW ssl"), "on");
    for (parameter, code) in [("sslmode=require", 0), ("sslrootcert=system", 77)] {
        let url = format!("postgres://postgres@localhost:{}/postgres?{parameter}", server.port());
        let step = "[[step]]\nname = \"database\"\nwait.database = { timeout = \"50s\" }\n";
        steps(&format!("[database]\nurl = \"{url}\"\n{step}")).run(["run"]).exits(code);
    }
}
