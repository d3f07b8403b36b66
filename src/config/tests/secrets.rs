//! Where passwords come from, and that none of them is ever shown.

use proptest::prelude::*;

use super::{messages, rendered, valid};
use crate::config::{
    Database,
    environment::Environment,
    secret::{Password, Secret},
};

#[test]
fn a_password_comes_from_a_variable_or_its_file_but_not_from_both() {
    let text = "[database]\nhost = \"h\"\nname = \"n\"\nuser = \"u\"\npassword = { env = \"DB_PASSWORD\" }";
    let password = |env: &Environment| match valid(text, env).database {
        Some(Database::Postgres(database)) => database.password,
        _ => Password::None,
    };
    let given = Environment::from([("DB_PASSWORD", "hunter2")]);
    assert_eq!(password(&given), Password::Given(Secret::new("hunter2")));
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

/// Every place that takes a text, filled from the same variable.
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
registry = { table = "${S}", schema_column = "${S}", at_least = "${S}" }
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
