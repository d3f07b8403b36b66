//! The schema and the parser agree: each key, each type, whatever is changed in a file that has them all.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SCHEMA, environment::Environment, load::parse};

/// Every key of every table, each at least once.
const FULL: &str = r#"
role = "web"

[database]
host = "db"
port = 5432
name = "app"
user = "app"
password = { env = "DB_PASSWORD" }
sslmode = "prefer"
sslrootcert = "/ca.pem"
schema = "public"
direct = { url = "postgres://app@direct/app", sslmode = "require", sslrootcert = "/ca.pem" }
reader = { host = "ro", port = 5433, name = "app", user = "ro", password = { file = "/run/secrets/ro" } }

[tenants]
registry = { table = "tenants", schema_column = "schema_name", where = "active", at_least = 1 }

[migrations]
shared = "m/shared"
tenant = "m/tenant"
manifest = { file = "manifest.json", auto = true }
apply = { jobs = 4, canary = ["demo"], cooperate = true, on_tenant_failure = "continue", max_failures = 5, timeout = "1m", lock_timeout = "5s", statement_timeout = "1m" }

[gate]
ahead = "warn"
settle = "0s"
allow_standby = true
mode = "report"
incomplete = "quarantine"
max = 3
quarantine_file = "/run/quarantine"

[[accept]]
tenant = "acme"
what = "finance_invoice"
until = "2027-01-31"
reason = "restored by hand"

[[accept]]
tenant = "globex"
what = ["no schema", "2 invoices"]
until = "2027-01-31"
reason = "on its way out"

[lock]
timeout = "30m"

[server]
command = ["serve"]
passthrough = [["sh"]]
mode = "supervise"
grace = "8s"

[log]
format = "json"
level = "info"

[status]
listen = "0.0.0.0:8080"
file = "/run/state"

[notify]
command = ["tell"]
timeout = "5s"

[metrics]
file = "/run/metrics"

[[step]]
name = "tcp"
wait.tcp = { address = "broker:5672", timeout = "1m" }
[[step]]
name = "http"
after = "start"
on_failure = "warn"
wait.http = { url = "http://search", status = [200, 204], timeout = "1m" }
[[step]]
name = "database"
after = ["tcp"]
wait.database = { timeout = "1m" }
[[step]]
name = "redis"
wait.redis = { url = "redis://cache", timeout = "1m" }
[[step]]
name = "amqp"
wait.amqp = { url = "amqp://broker/v", timeout = "1m" }
[[step]]
name = "file"
wait.file = { path = "/flag", timeout = "1m" }
[[step]]
name = "sql"
when = { role = "web", env = ["A"], unless_env = ["B"], pending = "shared" }
sql = { run = "SELECT 1", timeout = "1m", once = true }
[[step]]
name = "shared"
migrate.shared = {}
[[step]]
name = "schemas"
migrate.tenants = {}
[[step]]
name = "demo"
bootstrap = { tenants = ["demo"], run = ["create"] }
[[step]]
name = "gate"
verify = { tenants = "all", shared = true, wait = "1m", timeout = "1m" }
[[step]]
name = "named"
verify = { tenants = ["demo"] }
[[step]]
name = "static"
command = { run = ["collect"], env = { A = "b", C = { env = "DB_PASSWORD" } }, cwd = "/", timeout = "1m", total_timeout = "2m", retries = 1, backoff = "1s", max_backoff = "2s", accept = [0, 3], grace = "1s", once = true }
[[step]]
name = "proxy"
command = { run = ["proxy"], background = true }
"#;

/// What stands in the place of the SQL files where a framework migrates.
const DJANGO: &str = r#"
framework = "django"
python = "venv/bin/python"
manage = "manage.py"
manifest = { file = "manifest.json" }
template = { file = "template.sql" }
apply = { run = ["python", "manage.py", "migrate_schemas", "--schema={schema}"], env = { DB_HOST = "db" }, jobs = 2 }
"#;

#[test]
fn the_schema_accepts_every_key_and_the_shipped_files() {
    for full in documents() {
        assert_eq!(refused(&full), None);
        assert!(parses(&full), "{:?}", messages(&full));
    }
    let shipped = [
        include_str!("../../config.toml"),
        include_str!("../../examples/django/config.toml"),
        include_str!("../../docker/replicas/config.toml"),
    ];
    for shipped in shipped {
        assert_eq!(refused(&toml::from_str(shipped).unwrap()), None);
    }
}

#[test]
fn the_keys_of_one_framework_are_not_the_other_s() {
    for migrations in [
        "shared = \"a\"\ntenant = \"b\"\nmanage = \"manage.py\"",
        "shared = \"a\"\ntenant = \"b\"\ntemplate = { file = \"c\" }",
        "shared = \"a\"\ntenant = \"b\"\napply = { run = [\"migrate\", \"{schema}\"] }",
        "framework = \"django\"\nshared = \"a\"",
        "framework = \"django\"\napply = { run = [\"migrate\"] }",
        "framework = \"rails\"",
        "manage = \"manage.py\"",
    ] {
        let document = toml::from_str(&format!("[migrations]\n{migrations}\n")).unwrap();
        assert!(refused(&document).is_some(), "the schema accepts {migrations}");
        assert!(!parses(&document), "the parser accepts {migrations}");
    }
}

#[test]
fn the_full_file_has_every_key_of_the_schema() {
    let mut known = BTreeSet::new();
    keys_of_schema(&schema(), &mut known);
    let mut used = BTreeSet::new();
    for document in documents() {
        keys_of_document(&document, &mut used);
    }
    let unused: Vec<_> = known.difference(&used).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn variables_stand_wherever_a_value_may_be_filled_in() {
    for text in [
        "[migrations]\nshared = \"a\"\ntenant = \"b\"\napply = { jobs = \"${JOBS:-4}\" }",
        "[gate]\nallow_standby = \"${STANDBY:-no}\"\nahead = \"${AHEAD:-block}\"\nsettle = \"${SETTLE:-1m}\"",
        "[log]\nformat = \"${LOG_FORMAT:-json}\"",
    ] {
        assert_eq!(refused(&toml::from_str(text).unwrap()), None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_is_changed_schema_and_parser_agree(
        django in any::<bool>(),
        at in any::<prop::sample::Index>(),
        change in 0..8_usize,
    ) {
        let [sql, framework] = documents();
        let mut document = if django { framework } else { sql };
        let mut paths = Vec::new();
        paths_of(&document, &mut String::new(), &mut paths);
        let path = &paths[at.index(paths.len())];
        // A file is a table, whatever is written in it.
        let change = if path.is_empty() { 7 } else { change };
        let value = document.pointer_mut(path).unwrap();
        match change {
            0 => *value = json!(7),
            1 => *value = json!(true),
            2 => *value = json!([7]),
            3 => *value = json!({ "zz": 1 }),
            4 => *value = json!([]),
            5 => *value = json!(1.5),
            6 => *value = json!([["x"], [7]]),
            _ => {
                let Value::Object(table) = value else { return Ok(()) };
                table.insert("unheard_of".into(), json!("x"));
            }
        }
        let (by_schema, by_parser) = (refused(&document), messages(&document));
        prop_assert_eq!(by_schema.is_none(), by_parser.is_empty(), "{}: {:?} {:?}", path, by_schema, by_parser);
    }
}

/// Files with every key: one for SQL files, one for a framework.
fn documents() -> [Value; 2] {
    let sql: Value = toml::from_str(FULL).unwrap();
    let mut django = sql.clone();
    django["migrations"] = toml::from_str(DJANGO).unwrap();
    [sql, django]
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn parses(document: &Value) -> bool {
    messages(document).is_empty()
}

/// What the parser refuses it for.
fn messages(document: &Value) -> Vec<String> {
    let text = toml::to_string(document).unwrap();
    let env = Environment::from([("DB_PASSWORD", "secret")]);
    let problems = parse(&text, &env).map_or_else(|problems| problems, |_| Vec::new());
    problems.into_iter().map(|problem| problem.message).collect()
}

/// What the schema refuses it for.
fn refused(document: &Value) -> Option<String> {
    let schema = schema();
    check(&schema, &schema, document, "").err()
}

fn paths_of(value: &Value, path: &mut String, paths: &mut Vec<String>) {
    paths.push(path.clone());
    let children: Vec<(String, &Value)> = match value {
        Value::Object(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let length = path.len();
        *path += &format!("/{key}");
        paths_of(child, path, paths);
        path.truncate(length);
    }
}

fn keys_of_schema(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(table) => {
            if let Some(Value::Object(properties)) = table.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            table.values().for_each(|value| keys_of_schema(value, keys));
        }
        Value::Array(list) => list.iter().for_each(|value| keys_of_schema(value, keys)),
        _ => {}
    }
}

fn keys_of_document(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(table) => {
            keys.extend(table.keys().cloned());
            table.values().for_each(|value| keys_of_document(value, keys));
        }
        Value::Array(list) => list.iter().for_each(|value| keys_of_document(value, keys)),
        _ => {}
    }
}

/// The part of JSON Schema that ours uses; any other word is an error rather than ignored.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let fail = |why: &str| Err(format!("{at}: {why}"));
    let number = |word: &Value| word.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap();
    for (word, wanted) in schema.as_object().unwrap() {
        let holds = match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "properties" => true,
            "$ref" => {
                let path = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                check(root, root.pointer(path).unwrap(), value, at)?;
                true
            }
            "type" => match wanted.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                "boolean" => value.is_boolean(),
                other => return fail(other),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= wanted.as_i64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= number(wanted)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= number(wanted)),
            "pattern" => {
                let pattern = regex_lite::Regex::new(wanted.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "minItems" => value.as_array().is_none_or(|list| list.len() >= number(wanted)),
            "minProperties" => value.as_object().is_none_or(|table| table.len() >= number(wanted)),
            "maxProperties" => value.as_object().is_none_or(|table| table.len() <= number(wanted)),
            "required" => value.as_object().is_none_or(|table| {
                wanted.as_array().unwrap().iter().all(|key| table.contains_key(key.as_str().unwrap()))
            }),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, item, &format!("{at}/{index}"))?;
                }
                true
            }
            "additionalProperties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}/{key}");
                    match schema.pointer(&format!("/properties/{key}")) {
                        Some(known) => check(root, known, item, &at)?,
                        None if *wanted == json!(false) => return Err(format!("{at}: unknown")),
                        None => check(root, wanted, item, &at)?,
                    }
                }
                true
            }
            "contains" => value
                .as_array()
                .is_none_or(|list| list.iter().any(|item| check(root, wanted, item, at).is_ok())),
            "anyOf" | "oneOf" => {
                let choices = wanted.as_array().unwrap();
                let fitting = choices.iter().filter(|choice| check(root, choice, value, at).is_ok()).count();
                fitting == 1 || (word == "anyOf" && fitting > 1)
            }
            other => return fail(&format!("this check does not know `{other}`")),
        };
        if !holds {
            return fail(&format!("{word} {wanted}"));
        }
    }
    Ok(())
}
