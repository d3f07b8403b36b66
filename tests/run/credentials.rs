//! Passwords from commands and from clouds, against stand-ins of the clouds and a real PostgreSQL server.

use std::{
    fs,
    process::{Child, Command},
};

use serde_json::Value;

use crate::support::{
    cluster::Database,
    portcullis::Portcullis,
    time_limits::{until, until_true},
};

/// A database, and a role that logs in to it.
struct Role {
    database: Database,
    name: String,
}

/// A configuration that logs in as the role.
struct Login {
    portcullis: Portcullis,
    role: Role,
}

impl Login {
    /// `password` is the source in the configuration, `first` the role's password.
    fn new(password: &str, first: &str) -> Self {
        let database = Database::fresh();
        let name = format!("{}_login", database.name());
        database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD '{first}'"));
        let (host, port) = server(&database);
        let config = format!(
            "[database]\nhost = \"{host}\"\nport = {port}\nname = \"{}\"\nuser = \"{name}\"\nsslmode = \"disable\"\n\
             password = {password}\n",
            database.name()
        );
        let portcullis = Portcullis::new().config(&config).env("PORTCULLIS_LOG", "trace");
        Self { portcullis, role: Role { database, name } }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.portcullis = self.portcullis.env(name, value);
        self
    }

    fn file(mut self, name: &str, text: &str) -> Self {
        self.portcullis = self.portcullis.file(name, text);
        self
    }

    /// Adds steps to the configuration.
    fn steps(self, steps: &str) -> Self {
        let config = fs::read_to_string(self.portcullis.path("config.toml")).unwrap();
        self.file("config.toml", &(config + steps))
    }

    fn change_password(&self, to: &str) {
        self.role.database.execute(&format!("ALTER ROLE {} PASSWORD '{to}'", self.role.name));
    }

    fn token(&self) -> Value {
        let outcome = self.portcullis.run(["token", "--format", "json"]).exits(0);
        serde_json::from_str(&outcome.stdout).unwrap()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.database.execute(&format!("DROP ROLE {}", self.name));
        }
    }
}

fn server(database: &Database) -> (String, String) {
    let url = database.url();
    let (_, server) = url.split_once('@').unwrap();
    let (host, port) = server.split_once('/').unwrap().0.rsplit_once(':').unwrap();
    (host.to_owned(), port.to_owned())
}

/// A step that logs in, one that runs `script`, and another login.
fn around(script: &str) -> String {
    let script = script.replace('"', "\\\"");
    format!(
        "[[step]]\nname = \"before\"\nsql.run = \"SELECT 1\"\n[[step]]\nname = \"script\"\ncommand.run = [\"sh\", \"-c\", \
         \"{script}\"]\n[[step]]\nname = \"after\"\nsql.run = \"SELECT 1\"\n"
    )
}

const WAIT: &str = "[[step]]\nname = \"wait\"\nwait.database = { timeout = \"2s\" }\n";

/// The stand-in of all clouds; dropping it ends it.
struct Clouds {
    folder: tempfile::TempDir,
    process: Child,
    secure: bool,
}

impl Clouds {
    fn start() -> Self {
        Self::with(false)
    }

    /// With TLS, whose certificate only `trusted.pem` trusts.
    fn secure() -> Self {
        Self::with(true)
    }

    fn with(secure: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/credentials/clouds.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(folder.path());
        if secure {
            let mut openssl = Command::new("openssl");
            openssl.current_dir(folder.path()).args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-keyout",
                "key.pem",
                "-out",
                "trusted.pem",
            ]);
            assert!(openssl.output().unwrap().status.success());
            command.args(["trusted.pem", "key.pem"].map(|name| folder.path().join(name)));
        }
        let process = command.spawn().unwrap();
        let clouds = Self { folder, process, secure };
        clouds.set("token", "first-token-of-the-cloud");
        until_true("the stand-in listens", || clouds.path("port").exists());
        clouds
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// `token`, `status`, `seconds` or `flavor`.
    fn set(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn authority(&self) -> String {
        let host = if self.secure { "localhost" } else { "127.0.0.1" };
        format!("{host}:{}", fs::read_to_string(self.path("port")).unwrap())
    }

    fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }

    fn requests(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("requests")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Clouds {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A source of AWS credentials: its name, its variables, and the keys that it gives.
type Source<'s> = (&'s str, Vec<(&'s str, String)>, [&'s str; 3]);

/// Signature Version 4 in Python, with its standard library alone: the token for these arguments.
const SIGN: &str = r#"
import hashlib, hmac, sys, urllib.parse
secret, session, host, region, date, key = sys.argv[1:7]
user = sys.argv[7]
quote = lambda text: urllib.parse.quote(text, safe="-_.~")
scope = "/".join([date[:8], region, "rds-db", "aws4_request"])
query = {"Action": "connect", "DBUser": user, "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": key + "/" + scope,
         "X-Amz-Date": date, "X-Amz-Expires": "900", "X-Amz-SignedHeaders": "host"}
if session: query["X-Amz-Security-Token"] = session
join = lambda pairs: "&".join(f"{name}={quote(value)}" for name, value in pairs)
request = "\n".join(["GET", "/", join(sorted(query.items())), "host:" + host, "", "host", hashlib.sha256(b"").hexdigest()])
text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()])
mac = lambda key, text: hmac.new(key, text.encode(), hashlib.sha256).digest()
signing = ("AWS4" + secret).encode()
for part in scope.split("/"): signing = mac(signing, part)
print(host + "/?" + join(query.items()) + "&X-Amz-Signature=" + mac(signing, text).hex())
"#;

/// Checks a token of RDS with an independent implementation, at the time that it contains.
#[track_caller]
fn assert_signed(login: &Login, token: &str, keys: [&str; 3], region: &str) {
    let (_, date) = token.split_once("X-Amz-Date=").unwrap();
    let (host, port) = server(&login.role.database);
    let [id, secret, session] = keys;
    let server = format!("{host}:{port}");
    let arguments = ["-c", SIGN, secret, session, &server, region, &date[..16], id, &login.role.name];
    let output = Command::new("python3").args(arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), token);
}

#[test]
fn a_command_prints_the_password_at_each_login_and_its_output_is_never_shown() {
    let script = "echo a-secret-on-stderr >&2; cat password; echo x >> runs";
    let source = format!("{{ command = [\"sh\", \"-c\", \"{script}\"] }}");
    let login = Login::new(&source, "printed-by-a-command").file("password", "printed-by-a-command\n");
    let login = login.steps(&around("echo leaks printed-by-a-command"));
    let outcome = login.portcullis.run(["run"]).exits(0).prints("leaks ********");
    outcome.prints_not("printed-by").prints_not("a-secret-on-stderr");
    let runs = fs::read_to_string(login.portcullis.path("runs")).unwrap();
    // Two logins, and the password file of programs.
    assert_eq!(runs.lines().count(), 3);
    login.portcullis.run(["plan", "--format", "json"]).exits(0).prints_not("printed-by");
    let checked = login.portcullis.run(["check"]).exits(0).prints("the password is from the command `sh`");
    checked.prints_not("printed-by");
    let examined =
        login.portcullis.run(["doctor"]).prints("logged in; the password is from the command `sh`");
    examined.prints_not("printed-by").prints_not("a-secret-on-stderr");
}

#[test]
fn a_command_that_fails_is_a_temporary_failure_that_shows_its_program_and_its_code() {
    for (argv, code, text) in [
        ("\"sh\", \"-c\", \"echo hidden-text; echo hidden-text >&2; exit 5\"", 69, "`sh` exited with 5"),
        ("\"sh\", \"-c\", \"sleep 60\"", 69, "`sh` ran longer than 200 ms"),
        ("\"sh\", \"-c\", \"true\"", 77, "the command of the password, `sh`, printed nothing"),
        ("\"sh\", \"-c\", \"echo hidden-text; echo hidden-text\"", 77, "`sh`, printed more than one line"),
        ("\"sh\", \"-c\", \"head -c 20000 /dev/zero | tr '\\\\0' x\"", 77, "a line of 16 KiB or more"),
        ("\"sh\", \"-c\", \"printf '\\\\377'\"", 77, "text that is not UTF-8"),
        ("\"no-such-program\"", 77, "cannot start `no-such-program`"),
    ] {
        let source = format!("{{ command = [{argv}], timeout = \"200ms\" }}");
        let login = Login::new(&source, "unused").steps(WAIT);
        login.portcullis.run(["run"]).exits(code).prints(text).prints_not("hidden-text");
    }
}

#[test]
fn a_password_that_was_rotated_during_a_login_is_read_once_more() {
    for rotates in [true, false] {
        let script = "if [ -e used ]; then cat password; else echo old-of-two; touch used; fi";
        let source = format!("{{ command = [\"sh\", \"-c\", \"{script}\"] }}");
        let login = Login::new(&source, "new-of-two").steps(WAIT);
        let login = login.file("password", if rotates { "new-of-two" } else { "wrong-again" });
        let outcome = login.portcullis.run(["run"]);
        outcome.exits(if rotates { 0 } else { 77 }).prints_not("of-two");
    }
}

#[test]
fn a_token_of_rds_is_signed_with_the_keys_of_each_source() {
    let identity = "identity/of+the=pod\n";
    let clouds = Clouds::start();
    let secure = Clouds::secure();
    let trusted = secure.path("trusted.pem");
    let given = ["ASIASTANDIN", "secret-of-the-stand-in", "first-token-of-the-cloud"];
    let fixed = ["AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""];
    let url = |clouds: &Clouds, path: &str| format!("{}{path}", clouds.url());
    let sources: [Source; 5] = [
        (
            "variables",
            vec![("AWS_ACCESS_KEY_ID", fixed[0].into()), ("AWS_SECRET_ACCESS_KEY", fixed[1].into())],
            fixed,
        ),
        (
            "web identity",
            vec![
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "identity".into()),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/app".into()),
                ("AWS_ROLE_SESSION_NAME", "the-session".into()),
                ("AWS_ENDPOINT_URL_STS", secure.url()),
                ("AWS_CA_BUNDLE", trusted.to_str().unwrap().into()),
            ],
            given,
        ),
        (
            "container",
            vec![
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url(&clouds, "/container")),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "authorization".into()),
            ],
            given,
        ),
        (
            "container over TLS",
            vec![
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url(&secure, "/container")),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "authorization-of-the-pod".into()),
                ("SSL_CERT_FILE", trusted.to_str().unwrap().into()),
            ],
            given,
        ),
        ("instance", vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", clouds.url())], given),
    ];
    for (name, variables, keys) in sources {
        let mut login = Login::new("{ aws_rds = { region = \"eu-central-1\" } }", "unused");
        login = login.file("identity", identity).file("authorization", "authorization-of-the-pod\n");
        for (name, value) in &variables {
            login = login.env(name, value);
        }
        let token = login.token();
        let password = token["password"].as_str().unwrap();
        assert_signed(&login, password, keys, "eu-central-1");
        assert_eq!(token["source"], "a token of Amazon RDS", "{name}");
        assert!(token["expires"].is_string(), "{name}");
        // The token of one step of time is the same for every login.
        login.change_password(password);
        let login = login.steps(&around("echo nothing"));
        let outcome = until("a run within one step of time", || {
            let outcome = login.portcullis.run(["run"]);
            let is_same = login.token()["password"] == password;
            is_same.then_some(outcome)
        });
        let outcome = outcome.exits(0).prints_not("X-Amz").prints_not(keys[1]);
        if !keys[2].is_empty() {
            outcome.prints_not(keys[2]);
        }
    }
}

#[test]
fn the_tokens_of_google_and_azure_are_passwords() {
    let clouds = Clouds::start();
    let secure = Clouds::secure();
    let trusted = secure.path("trusted.pem").to_str().unwrap().to_owned();
    let google = "{ gcp_cloudsql = {} }";
    let azure = "{ azure = {} }";
    let workload = vec![
        ("AZURE_FEDERATED_TOKEN_FILE", "identity".to_owned()),
        ("AZURE_TENANT_ID", "the-tenant".into()),
        ("AZURE_CLIENT_ID", "the-client".into()),
        ("AZURE_AUTHORITY_HOST", format!("{}/", secure.url())),
        ("SSL_CERT_FILE", trusted),
    ];
    let app = vec![
        ("IDENTITY_ENDPOINT", format!("{}/msi/token/", clouds.url())),
        ("IDENTITY_HEADER", "header-of-the-app".into()),
    ];
    let instance = vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", clouds.url())];
    for (source, variables) in [
        (google, vec![("GCE_METADATA_HOST", clouds.authority())]),
        ("{ azure = { client_id = \"the-client\" } }", instance),
        (azure, app),
        (azure, workload),
    ] {
        let mut login = Login::new(source, "first-token-of-the-cloud").steps(&around("echo nothing"));
        login = login.file("identity", "identity/of+the=pod\n");
        for (name, value) in &variables {
            login = login.env(name, value);
        }
        login.portcullis.run(["run"]).exits(0).prints_not("first-token-of").prints_not("identity/of");
        assert_eq!(login.token()["password"], "first-token-of-the-cloud", "{source}");
    }
    // One request for the three logins of a run, and one for `token`.
    let google = "GET /computeMetadata/v1/instance/service-accounts/default/token 200";
    assert_eq!(clouds.requests().iter().filter(|request| *request == google).count(), 2);
}

#[test]
fn a_refused_token_is_requested_once_more() {
    let clouds = Clouds::start();
    let login = Login::new("{ gcp_cloudsql = {} }", "first-token-of-the-cloud")
        .env("GCE_METADATA_HOST", &clouds.authority())
        .steps(&around("until [ -e go ]; do sleep 0.05; done"));
    let running = login.portcullis.spawn(["run"]);
    running.wait_for_line("script: started");
    // The token is valid for an hour, but the server no longer accepts it.
    login.change_password("second-token-of-the-cloud");
    clouds.set("token", "second-token-of-the-cloud");
    fs::write(login.portcullis.path("go"), "").unwrap();
    running.wait().exits(0).prints("after: ok").prints_not("token-of-the-cloud");
    assert_eq!(clouds.requests().len(), 2);
    // The same token is not tried again.
    login.change_password("another");
    login.portcullis.run(["run"]).exits(77).prints("password authentication failed");
    assert_eq!(clouds.requests().len(), 4);
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    let clouds = Clouds::start();
    clouds.set("seconds", "2");
    let login = Login::new("{ gcp_cloudsql = {} }", "first-token-of-the-cloud")
        .env("GCE_METADATA_HOST", &clouds.authority())
        .steps(&around("until [ -e go ]; do sleep 0.05; done; sleep 1.5"));
    let running = login.portcullis.spawn(["run"]);
    running.wait_for_line("script: started");
    fs::write(login.portcullis.path("go"), "").unwrap();
    running.wait().exits(0);
    assert!(clouds.requests().len() >= 2, "{:?}", clouds.requests());
}

#[test]
fn a_refusal_of_a_source_is_permanent_and_a_source_that_fails_is_waited_for() {
    for (status, code, text) in [
        ("403", 77, "the metadata server at http://ADDRESS refuses the request with 403"),
        ("404", 77, "refuses the request with 404"),
        ("302", 77, "refuses the request with 302"),
        ("503", 69, "the metadata server at http://ADDRESS answers 503"),
        ("429", 69, "answers 429"),
    ] {
        let clouds = Clouds::start();
        clouds.set("status", status);
        let login = Login::new("{ gcp_cloudsql = {} }", "unused");
        let login = login.env("GCE_METADATA_HOST", &clouds.authority()).steps(WAIT);
        let text = text.replace("ADDRESS", &clouds.authority());
        login.portcullis.run(["run"]).exits(code).prints(&text).prints_not("first-token");
    }
    let clouds = Clouds::start();
    clouds.set("flavor", "Other");
    let login = Login::new("{ gcp_cloudsql = {} }", "unused");
    let login = login.env("GCE_METADATA_HOST", &clouds.authority()).steps(WAIT);
    login.portcullis.run(["run"]).exits(77).prints("is another service");
}

#[test]
fn a_source_that_does_not_answer_is_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let login = Login::new("{ gcp_cloudsql = {} }", "unused").env("GCE_METADATA_HOST", &address);
    login.portcullis.run(["verify"]).exits(78);
    let outcome = login.portcullis.run(["token"]).exits(74);
    outcome.prints(&format!("the metadata server at http://{address} did not respond within 5 s"));
}

#[test]
fn a_source_with_an_untrusted_certificate_gets_no_identity() {
    let secure = Clouds::secure();
    let login = Login::new("{ aws_rds = { region = \"eu-central-1\" } }", "unused")
        .file("identity", "identity/of+the=pod")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", "identity")
        .env("AWS_ROLE_ARN", "arn:aws:iam::1:role/app")
        .env("AWS_ENDPOINT_URL_STS", &secure.url());
    login.portcullis.run(["token"]).exits(77).prints("invalid peer certificate: UnknownIssuer");
    assert_eq!(secure.requests(), [""; 0]);
}

#[test]
fn the_token_command_prints_the_password_to_a_program_only() {
    let login = Login::new("{ file = \"password\" }", "from-a-file").file("password", "from-a-file\n");
    assert_eq!(login.portcullis.run(["token"]).exits(0).stdout, "from-a-file\n");
    assert_eq!(login.token()["source"], "the file `password`");
    let outcome = login.portcullis.on_a_terminal(["token"]).wait().exits(64);
    outcome.prints("standard output is a terminal").prints_not("from-a-file");
    let none = Portcullis::new().config("[database]\nhost = \"h\"\nname = \"n\"\nuser = \"u\"\n");
    none.run(["token"]).exits(78).prints("`portcullis token` needs `[database] password`");
}

/// Logs in with psql and without a password, and prints the mode of the password file.
fn psql(login: &Login) -> String {
    let (host, port) = server(&login.role.database);
    let (user, name) = (&login.role.name, login.role.database.name());
    format!(
        "psql -w -h {host} -p {port} -U {user} -d {name} -Atc 'SELECT 40 + 2' && stat -c 'mode %a of %u' $PGPASSFILE \
         && echo $PGPASSFILE > path"
    )
}

#[test]
fn programs_get_a_password_file_that_is_renewed_and_removed() {
    let clouds = Clouds::start();
    let login = Login::new("{ gcp_cloudsql = {} }", "first-token-of-the-cloud")
        .env("GCE_METADATA_HOST", &clouds.authority());
    let psql = psql(&login);
    let step = |name: &str, script: &str| {
        format!("[[step]]\nname = \"{name}\"\ncommand.run = [\"sh\", \"-c\", \"{script}\"]\n")
    };
    let steps = step("first", &psql)
        + &step("rotation", "until [ -e go ]; do sleep 0.05; done")
        + "[[step]]\nname = \"login\"\nsql.run = \"SELECT 1\"\n"
        + &step("second", &psql)
        + "[server]\ncommand = [\"sh\", \"-c\", \"echo server has ${PGPASSFILE:-no file}\"]\n";
    let login = login.steps(&steps.replace("${", "$${"));
    let running = login.portcullis.spawn(["run"]);
    running.wait_for_line("rotation: started");
    login.change_password("second:token\\of-the-cloud");
    clouds.set("token", "second:token\\of-the-cloud");
    fs::write(login.portcullis.path("go"), "").unwrap();
    let outcome = running.wait().exits(0).prints("server has no file").prints_not("of-the-cloud");
    assert_eq!(outcome.stderr.matches("| 42").count(), 2, "{outcome}");
    assert!(outcome.stderr.contains("mode 600 of "), "{outcome}");
    let path = fs::read_to_string(login.portcullis.path("path")).unwrap();
    assert!(path.starts_with("/dev/shm/portcullis-"), "{path}");
    assert!(!std::path::Path::new(path.trim()).exists());
}

#[test]
fn a_program_of_another_user_has_its_own_password_file() {
    let script = "echo printed-by-a-command";
    let login =
        Login::new(&format!("{{ command = [\"sh\", \"-c\", \"{script}\"] }}"), "printed-by-a-command");
    let psql = psql(&login).replace(" && echo $PGPASSFILE > path", "");
    let step = format!(
        "[[step]]\nname = \"psql\"\ncommand = {{ run = [\"sh\", \"-c\", \"{psql}\"], user = \"nobody\" }}\n"
    );
    let login = login.steps(&step);
    let outcome = login.portcullis.run(["run"]).exits(0).prints("| 42").prints("mode 600 of 65534");
    outcome.prints_not("printed-by-a");
    let given = login.env("PGPASSFILE", "/nonexistent");
    given.portcullis.run(["run"]).exits(79).prints("no password supplied");
}
