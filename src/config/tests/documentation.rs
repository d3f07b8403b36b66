//! Compares the tables of `docs/configuration.md` and the JSON Schema with the declared keys.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{messages, parse_with};
use crate::config::{
    Overrides,
    environment::Environment,
    frameworks::needed_by,
    keys::{Key, Kind, Need, ROOT, Section},
    schema::schema,
};

const BEGIN: &str = "<!-- keys: ";
const END: &str = "<!-- end -->";

/// The file with regenerated tables between `<!-- keys: PATH -->` and `<!-- end -->`, and the paths.
fn regenerated(text: &str) -> (String, BTreeSet<String>) {
    let (mut made, mut rest, mut paths) = (String::new(), text, BTreeSet::new());
    let all: BTreeSet<String> = text.split(BEGIN).skip(1).map(|part| path_of(part).to_owned()).collect();
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let path = path_of(after);
        let section = section(path).unwrap_or_else(|| unreachable!("no keys at `{path}`"));
        made += &format!("{before}{BEGIN}{path} -->\n\n{}\n{END}", table(section, path, &all));
        rest = after.split_once(END).unwrap().1;
        paths.insert(path.to_owned());
    }
    (made + rest, paths)
}

fn path_of(text: &str) -> &str {
    text.split_once(" -->").unwrap().0
}

fn section(path: &str) -> Option<&'static Section> {
    let names = path.split('.').filter(|name| *name != "root");
    names.into_iter().try_fold(&ROOT, |section, name| match section.key(name)?.kind {
        Kind::Table(inner) | Kind::Tables(inner) => Some(inner),
        _ => None,
    })
}

fn table(section: &'static Section, path: &str, all: &BTreeSet<String>) -> String {
    let mut rows = String::from("| key | type | default | |\n|---|---|---|---|\n");
    let path = if path == "root" { String::new() } else { format!("{path}.") };
    write_rows(section, &path, "", all, &mut rows);
    rows
}

/// A row for each key; the keys of a table without its own section follow the key's row.
fn write_rows(
    section: &'static Section,
    path: &str,
    prefix: &str,
    all: &BTreeSet<String>,
    rows: &mut String,
) {
    for key in section.keys {
        let (name, path) = (format!("{prefix}{}", key.name), format!("{path}{}", key.name));
        let only = needed_by(key).map_or(String::new(), |frameworks| format!(" Only with {frameworks}."));
        *rows += &format!("| `{name}` | {} | {} | {}{only} |\n", kind(key.kind), default(key), key.doc);
        if let Kind::Table(inner) = key.kind
            && !all.contains(&path)
            && !["database.direct", "database.reader"].contains(&path.as_str())
        {
            write_rows(inner, &format!("{path}."), &format!("{name}."), all, rows);
        }
    }
}

fn default(key: &Key) -> String {
    match (key.need, key.kind) {
        (Need::Required, _) => "required".into(),
        (Need::Optional("none"), Kind::Table(_)) => String::new(),
        (Need::Optional(words), _) => words.into(),
        (Need::Default(text), Kind::Number(..) | Kind::Boolean | Kind::OneOrMany(_)) => format!("`{text}`"),
        (Need::Default(text), _) => format!("`\"{text}\"`"),
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Identifier | Kind::StepName => "text".into(),
        Kind::Path => "path".into(),
        Kind::Day => "text, `\"2027-01-31\"`".into(),
        Kind::Address => "`\"host:port\"`".into(),
        Kind::ListenAddress => "address, numbers only".into(),
        Kind::Url(schemes) => {
            let schemes: Vec<String> = schemes.iter().map(|scheme| format!("`{scheme}://`")).collect();
            format!("[URL](#urls): {}", schemes.join(", "))
        }
        Kind::Password => "[password](#passwords)".into(),
        Kind::Variables => "table of texts or [passwords](#passwords)".into(),
        Kind::Columns => "table of texts, numbers or booleans".into(),
        Kind::Number(least, most) => format!("number, {least} to {most}"),
        Kind::Boolean => "boolean".into(),
        Kind::Duration => "duration".into(),
        Kind::DurationOrZero => "duration, from 0".into(),
        Kind::Word(words) => {
            words().iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Argv(_) | Kind::Texts(0) => "list of texts".into(),
        Kind::Texts(_) => "list of texts, at least one".into(),
        Kind::Argvs => "list of lists".into(),
        Kind::Waves => "list of lists and percentages".into(),
        Kind::OneOrMany(of) => format!("one or list of: {}", self::kind(*of)),
        Kind::AllOrNames => "`\"all\"` or list of texts, at least one".into(),
        Kind::After => "`\"start\"` or list of names".into(),
        Kind::Table(_) => "table".into(),
        Kind::Tables(_) => "list of tables".into(),
    }
}

/// `UPDATE_DOCS=1 cargo test --lib documentation` writes the tables.
#[test]
fn the_documentation_has_every_declared_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (made, paths) = regenerated(&text);
    if Environment::of_process().get("UPDATE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    } else {
        assert!(
            text == made,
            "docs/configuration.md does not match the declared keys; update it with: UPDATE_DOCS=1 cargo test --lib documentation"
        );
    }
    for key in ROOT.keys {
        if let Kind::Table(_) | Kind::Tables(_) = key.kind {
            assert!(paths.contains(key.name), "`{}` has no table in docs/configuration.md", key.name);
        }
    }
}

#[test]
fn every_declared_key_is_documented_in_one_sentence() {
    for key in ROOT.every_key() {
        assert!(key.doc.ends_with('.') && key.doc.starts_with(|c: char| !c.is_lowercase()), "`{}`", key.name);
    }
}

/// A file with every key of every table.
const SQL: &str = r#"
role = "web"
roles = ["web", "worker"]
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
registry = { table = "tenants", schema_column = "schema_name", where = "active", min_rows = 1 }
[migrations]
framework = "sql"
shared = "m/shared"
tenant = "m/tenant"
search_path = ["public"]
manifest = { file = "manifest.json", auto = true, empty = true }
apply = { jobs = 4, canary = ["demo"], waves = [["big"], "10%", "100%"], cooperate = true, on_tenant_failure = "continue", max_failures = 5, timeout = "1m", lock_timeout = "5s", statement_timeout = "1m", transaction = "schema" }
[gate]
ahead = "warn"
structure = "warn"
compat = "warn"
settle_timeout = "0s"
allow_standby = true
mode = "report"
incomplete = "quarantine"
max_quarantined = 3
quarantine_file = "/run/quarantine"
[[accept]]
tenant = "acme"
what = ["no schema", "2 invoices"]
until = "2027-01-31"
reason = "restored by hand"
[lock]
timeout = "30m"
silence_timeout = "20s"
[server]
command = ["serve"]
passthrough = [["sh"]]
mode = "supervise"
grace = "8s"
stop_signal = "SIGWINCH"
user = "app"
group = "app"
capabilities = ["NET_BIND_SERVICE"]
no_new_privileges = true
[log]
format = "json"
level = "info"
[status]
listen = "0.0.0.0:8080"
file = "/run/state"
details = false
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
sql = { run = "SELECT 1", timeout = "1m", once_per_release = true }
[[step]]
name = "shared"
migrate.shared = {}
[[step]]
name = "schemas"
migrate.tenants = {}
[[step]]
name = "demo"
bootstrap = { tenants = ["demo"], run = ["create"], keep = "complete" }
[[step]]
name = "more"
bootstrap = { tenants = ["more"], values = { plan = "team" }, domain = { domain = "x" } }
[[step]]
name = "gate"
verify = { tenants = "all", shared = true, wait = "1m", timeout = "1m" }
[[step]]
name = "static"
command = { run = ["collect"], env = { A = "b", C = { env = "DB_PASSWORD" } }, cwd = "/", user = "app", group = "app", capabilities = [], no_new_privileges = true, timeout = "1m", total_timeout = "2m", retries = 1, backoff = "1s", max_backoff = "2s", accept = [0, 3], grace = "1s", once_per_release = true }
[[step]]
name = "proxy"
command = { run = ["proxy"], background = true }
[[step]]
name = "vault"
command = { run = ["vault"], exports = true }
"#;

/// Replaces the keys of SQL files by those of a framework.
const DJANGO: &str = r#"
framework = "django"
python = "venv/bin/python"
manage = "manage.py"
manifest = { file = "manifest.json" }
template = { file = "template.sql" }
apply = { run = ["python", "manage.py", "migrate_schemas", "--schema={schema}"], env = { DB_HOST = "db" }, user = "app", group = "app", capabilities = [], no_new_privileges = true, jobs = 2, replay = false }
"#;

/// The same by those of a framework whose ledger the configuration describes.
const CUSTOM: &str = r#"
framework = "custom"
shared = "m/shared"
tenant = ["m/tenant", "m/more"]
ledger = { table = "schema_version", id = "version", applied_when = "success", where = "version > 0", rows = "latest", files = ["V{id}__{name}.sql", "!{id}.d.ts"], recorded_as = "{id}" }
apply = { run = ["migrate", "{schema}"] }
"#;

/// The keys that exclude `bootstrap.run` and templates.
const DATABASES: &str = r#"
database = { url = "postgres://u@h/d" }
tenants = { registry = { table = "t", schema_column = "s", database = "app_{s}" } }
migrations = { shared = "a", tenant = "b" }
step = [{ name = "gate", verify = { tenants = "all" } }]
"#;

fn documents() -> [Table; 4] {
    let with = |migrations: &str| {
        let mut document: Table = SQL.parse().unwrap();
        document.insert("migrations".into(), Value::Table(migrations.parse().unwrap()));
        document
    };
    [SQL.parse().unwrap(), with(DJANGO), with(CUSTOM), DATABASES.parse().unwrap()]
}

#[test]
fn every_declared_key_is_read() {
    let env = Environment::from([("DB_PASSWORD", "secret")]);
    let mut used = BTreeSet::new();
    for document in documents() {
        let parsed = parse_with(&document.to_string(), &env, &Overrides::default());
        let wrong: Vec<_> = parsed.problems.iter().map(|problem| &problem.message).collect();
        assert!(parsed.config.is_some(), "{wrong:?}");
        keys_of(&Value::Table(document), &mut used);
    }
    let unused: Vec<_> =
        ROOT.every_key().iter().map(|key| key.name).filter(|key| !used.contains(*key)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

fn keys_of(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            keys.extend(table.keys().cloned());
            table.values().for_each(|value| keys_of(value, keys));
        }
        Value::Array(list) => list.iter().for_each(|value| keys_of(value, keys)),
        _ => {}
    }
}

#[test]
fn every_declared_default_is_valid() {
    let tables = "[gate]\n[lock]\n[server]\n[log]\n[status]\n[migrations]\nframework = \"django\"\nmanifest = {}\napply = {}\n";
    assert_eq!(
        messages(tables, &Environment::default()),
        ["nothing proves that every tenant is complete before the server starts"]
    );
}

#[test]
fn a_key_of_another_framework_is_an_error() {
    for (migrations, message) in [
        ("shared = \"a\"\ntenant = \"b\"\nmanage = \"manage.py\"", "`manage` needs `framework = \"django\"`"),
        (
            "shared = \"a\"\ntenant = \"b\"\napply = { run = [\"migrate\", \"{schema}\"] }",
            "`run` needs a `framework` other than \"sql\"",
        ),
        ("framework = \"django\"\nshared = \"a\"", "`shared` needs `framework = \"sql\"`"),
        ("framework = \"django\"\napply = { run = [\"migrate\"] }", "`run` does not contain `{schema}`"),
        (
            "framework = \"django\"\napply = { run = [\"migrate\", \"{schema}\"], replay = true }",
            "`replay` has no effect with `run`",
        ),
        ("framework = \"alembic\"\nmanifest = {}", "`[migrations]` needs `shared` or `tenant`"),
        ("framework = \"custom\"\ntenant = \"m\"", "`[migrations]` needs `ledger`"),
        ("framework = \"custom\"\nledger = { files = \"x\" }", "`[migrations.ledger]` needs `table`"),
        (
            "framework = \"custom\"\nledger = { files = \"{x}.sql\" }",
            "`{x}.sql` is not a pattern of files such as \"{number}_{name}.up.sql\"",
        ),
        ("framework = \"alembic\"\nledger = { table = \"a.b\" }", "the ledger's name contains a schema"),
        (
            "framework = \"alembic\"\ntenant = \"versions\"\n[[step]]\nname = \"m\"\nmigrate.tenants = {}",
            "step `m` needs `[migrations] apply.run`, which the file does not have",
        ),
    ] {
        let found = messages(&format!("[migrations]\n{migrations}\n"), &Environment::default());
        assert!(found.contains(&message.to_owned()), "{migrations}: {found:?}");
    }
}

#[test]
fn an_empty_template_counts_as_absent() {
    let text = "[migrations]\nframework = \"django\"\ntemplate = { file = \"${X:-}\" }\n";
    let config = super::valid(text, &Environment::default());
    assert_eq!(config.migrations.unwrap().template, None);
}

#[test]
fn the_schema_has_bounds_words_and_frameworks() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let at = |path: &str| schema.pointer(path).cloned().unwrap_or_default();
    assert_eq!(at("/properties/gate/properties/max/anyOf/0/maximum"), 1_000);
    assert_eq!(
        at("/properties/gate/properties/ahead/anyOf/0/enum"),
        serde_json::json!(["warn", "block", ""])
    );
    let forms = "/properties/migrations/anyOf";
    assert_eq!(at(&format!("{forms}/0/required")), serde_json::json!(["shared", "tenant"]));
    assert_eq!(at(&format!("{forms}/1/required")), serde_json::json!(["framework"]));
    assert!(at(&format!("{forms}/0/properties/apply/properties/run")).is_null());
    assert!(at(&format!("{forms}/1/properties/apply/properties/run")).is_object());
    assert_eq!(at("/properties/step/items/oneOf/5/required/0"), "command");
    assert_eq!(
        at("/properties/lock/properties/timeout/description"),
        "How long to wait for another run's schema changes (75 after that). [30m]"
    );
}
