//! Tokens of the clouds.

use std::{fs, process::Command};

use super::{Clouds, Login, WAIT, around, server};
use crate::support::time_limits::until;

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
    let refused = login.portcullis.run(["run"]).exits(77).prints("password authentication failed");
    refused.prints("the service account is not a user of the Cloud SQL server");
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
    // The instance metadata service of Azure has no token while it is updated.
    let clouds = Clouds::start();
    clouds.set("status", "404");
    let login =
        Login::new("{ azure = {} }", "unused").env("AZURE_POD_IDENTITY_AUTHORITY_HOST", &clouds.url());
    login.steps(WAIT).portcullis.run(["run"]).exits(69).prints("answers 404");
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
