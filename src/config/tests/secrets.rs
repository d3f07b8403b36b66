//! Tests the sources of passwords, and that no password is ever shown.

use proptest::prelude::*;

use super::{messages, rendered, valid};
use crate::config::{Database, Password, environment::Environment, secret::Secret};

#[test]
fn a_password_comes_from_a_variable_or_its_file_but_not_from_both() {
    let text = "[database]\nhost = \"h\"\nname = \"n\"\nuser = \"u\"\npassword = { env = \"DB_PASSWORD\" }";
    let password = |env: &Environment| match valid(text, env).database {
        Some(Database::Postgres(database)) => database.password,
        _ => Password::None,
    };
    let given = Environment::from([("DB_PASSWORD", "hunter2")]);
    assert_eq!(password(&given), Password::Literal(Secret::new("hunter2")));
    let file = Environment::from([("DB_PASSWORD_FILE", "/run/p")]);
    assert_eq!(password(&file), Password::File("/run/p".into()));
    let both = Environment::from([("DB_PASSWORD", "hunter2"), ("DB_PASSWORD_FILE", "/run/p")]);
    assert_eq!(
        messages(text, &both),
        ["both `DB_PASSWORD` and `DB_PASSWORD_FILE` are set: unset one of them"]
    );
    let neither = messages(text, &Environment::default());
    assert_eq!(neither, ["neither `DB_PASSWORD` nor `DB_PASSWORD_FILE` is set"]);
}

const LOGIN: &str =
    "[database]\nhost = \"db.abc.eu-central-1.rds.amazonaws.com\"\nname = \"n\"\nuser = \"u\"\n";

#[test]
fn a_password_has_one_source_with_its_own_keys() {
    let one_of = "a password comes from one of `env`, `file`, `command`, `aws_rds`, `gcp_cloudsql`, `azure`";
    for (password, expected) in [
        ("{ command = [\"vault\"], timeout = \"3s\" }", &[][..]),
        ("{ aws_rds = {} }", &[]),
        ("{ gcp_cloudsql = {} }", &[]),
        ("{ azure = { client_id = \"x\" } }", &[]),
        ("{}", &[one_of]),
        ("{ file = \"x\", aws_rds = {} }", &[one_of]),
        ("{ command = [] }", &["`command` is empty"]),
        ("{ timeout = \"3s\" }", &[one_of]),
        ("{ file = \"x\", timeout = \"3s\" }", &["`timeout` needs `command`"]),
        ("{ aws_rds = { regoin = \"x\" } }", &["`aws_rds` has no key `regoin`"]),
        ("{ gcp_cloudsql = { project = \"x\" } }", &["`gcp_cloudsql` has no key `project`"]),
        ("{ aws = {} }", &["a password has no key `aws`"]),
    ] {
        let text = format!("{LOGIN}password = {password}\n");
        assert_eq!(messages(&text, &Environment::default()), expected, "{password}");
    }
    let text = "[[step]]\nname = \"a\"\ncommand = { run = [\"a\"], env = { X = { aws_rds = {} } } }\n";
    assert_eq!(messages(text, &Environment::default()), ["a password has no key `aws_rds`"]);
}

#[test]
fn a_token_of_rds_needs_a_region() {
    let text = LOGIN.replace("db.abc.eu-central-1.rds.amazonaws.com", "db") + "password = { aws_rds = {} }\n";
    let missing = "`aws_rds` needs `region`: neither the server's name nor `AWS_REGION` gives it";
    assert_eq!(messages(&text, &Environment::default()), [missing]);
    assert!(messages(&text, &Environment::from([("AWS_DEFAULT_REGION", "eu-west-1")])).is_empty());
    let given = text.replace("aws_rds = {}", "aws_rds = { region = \"eu-west-1\" }");
    assert!(messages(&given, &Environment::default()).is_empty());
}

#[test]
fn a_token_requires_tls_unless_the_mode_is_given() {
    for (lines, mode) in [
        ("password = { gcp_cloudsql = {} }\n", Some("require")),
        ("password = { gcp_cloudsql = {} }\nsslmode = \"disable\"\n", Some("disable")),
        ("password = \"x\"\n", None),
    ] {
        let config = valid(&format!("{LOGIN}{lines}"), &Environment::default());
        let Some(Database::Postgres(database)) = config.database else { unreachable!("{lines}") };
        assert_eq!(database.parameters.get("sslmode").map(String::as_str), mode, "{lines}");
    }
}

/// Every key that takes a text, filled from the same variable.
const SECRETS_EVERYWHERE: &str = r#"
role = "${S}"
[database]
url = "${S}"
host = "${S}"
port = "${S}"
password = { env = "S" }
sslmode = "${S}"
direct = { url = "${S}", password = "${S}" }
[tenants]
registry = { table = "${S}", schema_column = "${S}", min_rows = "${S}" }
[migrations]
shared = ["${S}"]
apply = { jobs = "${S}", on_tenant_failure = "${S}", timeout = "${S}" }
[gate]
ahead = "${S}"
allow_standby = "${S}"
[[step]]
name = "${S}"
after = "${S}"
when = { env = "S", role = [["${S}"]], pending = "${S}" }
wait.tcp = { address = "${S}", timeout = "${S}" }
[[step]]
name = "b"
after = ["${S}"]
wait.http = { url = "${S}", status = "${S}" }
[[step]]
name = "c"
verify = { tenants = "${S}", shared = "${S}" }
[[step]]
name = "d"
on_failure = "${S}"
command = { run = "${S}", retries = "${S}", env = { A = ["${S}"] } }
[server]
mode = "${S}"
passthrough = ["${S}"]
"#;

proptest! {
    #[test]
    fn a_secret_from_the_environment_never_reaches_a_message(secret in "[A-Z@:/%?$]{0,4}[QXZ]{6}[!-~]{0,8}") {
        let env = Environment::from([("S", secret.as_str())]);
        prop_assert!(!rendered(SECRETS_EVERYWHERE, &env).contains(&secret));
    }

    #[test]
    fn a_password_never_shows_in_the_configuration(secret in "[QXZ]{6}[a-z0-9]{0,8}") {
        let text = r#"
            [database]
            url = "postgres://app:${S}@db/shop"
            direct = { password = "${S}x" }
            reader = { user = "ro", password = { env = "S" } }
            [[step]]
            name = "a"
            wait.redis = { url = "redis://:${S}@broker" }
            [[step]]
            name = "b"
            command = { run = ["true"], env = { TOKEN = "${S}" } }
        "#;
        let config = valid(text, &Environment::from([("S", secret.as_str())]));
        let shown = format!("{config:?}");
        prop_assert!(!shown.contains(&secret));
    }
}

fn known(text: &str, env: &Environment) -> Vec<String> {
    let secrets = valid(text, env).secrets(env);
    let all = secrets.iter().flat_map(|secret| [&secret.value].into_iter().chain(&secret.written));
    all.map(|secret| secret.expose().to_owned()).collect()
}

#[test]
fn a_secret_is_known_by_where_it_is_declared() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (of_step, of_reader) = (path("step", "from-a-file\n"), path("reader", "of-reader\n"));
    let text = format!(
        r#"
[database]
url = "postgres://app:p%40ss-of-url@db/shop"
direct = {{ password = "${{INNOCENT}}" }}
reader = {{ user = "ro", password = {{ file = "{of_reader}" }} }}
[migrations]
framework = "django"
apply = {{ env = {{ DJANGO_SECRET = "of-apply" }} }}
[tenants]
registry = {{ table = "t", schema_column = "s" }}
[server]
command = ["app", "--api-key", "of-an-option", "--token=of-a-word", "${{LICENCE_KEY:-of-a-default}}"]
[[step]]
name = "a"
wait.http = {{ url = "http://me:of-http@h/x?api_key=of-query" }}
[[step]]
name = "b"
wait.redis = {{ url = "unix:///run/r.sock?pass=of-socket" }}
[[step]]
name = "c"
command = {{ run = ["true"], env = {{ X = {{ file = "{of_step}" }}, Y = {{ env = "ALSO_INNOCENT" }}, Z = "plain" }} }}
[[step]]
name = "d"
verify = {{ tenants = "all" }}
"#
    );
    let env = Environment::from([
        ("INNOCENT", "of-direct"),
        ("ALSO_INNOCENT", "of-a-variable"),
        ("DB_PASSWORD", "twice-set"),
        ("PGPASSWORD", "twice-set"),
        ("CELERY_BROKER_URL", "amqp://u:of-broker/#x@mq"),
        ("PGUSER", "postgres"),
        ("POSTGRES_PASSWORD", "postgres"),
        ("PWD", "/home/app"),
    ]);
    let known = known(&text, &env);
    for secret in [
        "p@ss-of-url",
        "p%40ss-of-url",
        "of-direct",
        "of-reader",
        "of-apply",
        "of-an-option",
        "of-a-word",
        "of-a-default",
        "of-http",
        "of-query",
        "of-socket",
        "from-a-file",
        "of-a-variable",
        "twice-set",
        "of-broker/#x",
    ] {
        assert_eq!(known.iter().filter(|known| *known == secret).count(), 1, "{secret}: {known:?}");
    }
    for innocent in ["plain", "postgres", "/home/app", "me", "app"] {
        assert!(!known.contains(&innocent.to_owned()), "{innocent}");
    }
}

#[test]
fn a_mistyped_key_never_shows_its_value() {
    for text in [
        "[database]\npasword = \"hunter2\"",
        "[database]\npw = { value = \"hunter2\" }",
        "[database]\nhost = \"h\"\nuser = \"u\"\nname = \"n\"\ndirect.pasword = 'hunter2'",
        "pasword = hunter2",
        "passwrd = [\"hunter2",
        "[database]\npassword: \"hunter2\"",
        "[database]\nurl = postgres://u:hunter2@h/d",
        "[[step]]\nname = \"a\"\nwait.redis = { ulr = \"redis://:hunter2@h\" }",
        "[database]\nurl = \"postgres://u:hunter2/x\"",
        "[database]\nurl = \"postgres://u:hun/ter2 hunter2@h/d\"",
    ] {
        let shown = rendered(text, &Environment::default());
        assert!(
            shown.contains("error: ") && !shown.contains("hunter2") && !shown.contains("hun/"),
            "{shown}"
        );
    }
}

#[test]
fn nothing_that_is_configured_shows_its_secrets_in_debug() {
    let text = r#"
[server]
command = ["app", "${S}"]
[notify]
command = ["tell", "${S}"]
[[step]]
name = "a"
command = { run = ["true", "${S}"] }
[[step]]
name = "b"
command = { run = ["true"], env = { X = "${S}" } }
"#;
    let env = Environment::from([("S", "hunter2")]);
    let config = valid(text, &env);
    assert!(!format!("{config:?} {env:?}").contains("hunter2"));
}
