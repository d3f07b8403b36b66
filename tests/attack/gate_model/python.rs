//! The ledgers of frameworks in Python: Django's, whose manifest is written here, and Alembic's.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::framework::{Framework, MIGRATIONS, PLAIN, each};

/// One app, `shop`, has every migration and every table.
pub const DJANGO_5: Framework = Framework {
    name: "django",
    title: "Django 5.2",
    settings: "",
    manifest: None,
    files: || django("django-5.2"),
    ledger: "django_migrations (id serial PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) NOT NULL, \
             applied timestamptz NOT NULL)",
    row: |_, id, _, _| {
        let (app, name) = id.split_once('.').unwrap();
        format!("(app, name, applied) VALUES ('{app}', '{name}', now())")
    },
    unknown: "shop.0099_future",
    ignored: Some("gone.0001_initial"),
    has_creations: true,
    has_apps: true,
    ..PLAIN
};

pub const DJANGO_6: Framework = Framework { title: "Django 6.0", files: || django("django-6.0"), ..DJANGO_5 };

pub const ALEMBIC: Framework = Framework {
    name: "alembic",
    title: "Alembic",
    files: || {
        each(|k| {
            let before = if k == 0 { "None".to_owned() } else { format!("\"rev{}\"", k - 1) };
            let text = format!(
                "revision = \"rev{k}\"\ndown_revision = {before}\nbranch_labels = None\ndepends_on = None\n"
            );
            (format!("migrations/rev{k}_m.py"), text)
        })
    },
    ledger: "alembic_version (version_num varchar(32) PRIMARY KEY)",
    has_heads: true,
    ..PLAIN
};

/// A manifest as `portcullis manifest django` writes it, without modules, and their folder.
fn django(rules: &str) -> Vec<(String, String)> {
    let id = |k: usize| format!("shop.000{k}_m{k}");
    let migration = |k| format!(r#"{{"id":"{0}","name":"{0}","app":"shop"}}"#, id(k));
    let migrations = (0..MIGRATIONS).map(migration).collect::<Vec<_>>().join(",");
    let object = |entry: &dyn Fn(usize) -> (String, Value)| -> Value {
        (0..MIGRATIONS).map(entry).collect::<Map<_, _>>().into()
    };
    let tables = object(&|k| (format!("m{k}"), json!(["a", "b"])));
    let creates = object(&|k| (id(k), json!({ format!("m{k}"): ["a", "b"] })));
    let owners = object(&|k| (format!("m{k}"), json!({ "app": "shop", "model": format!("shop.M{k}") })));
    let head = "{\"format\":4,";
    let content = format!(
        r#""framework":"{rules}","shared":{{"migrations":[],"tables":{{}}}},"tenant":{{"migrations":[{migrations}],"tables":{tables},"creates":{creates}}},"owners":{owners},"sources":{{"shop":{{"folder":"shop/migrations","files":{{}}}}}}}}"#
    );
    let digest = format!("{:x}", Sha256::digest(format!("{head}{content}")));
    let manifest = format!("{head}\"digest\":\"{digest}\",{content}");
    vec![
        ("portcullis.manifest.json".to_owned(), manifest),
        ("shop/migrations/__init__.py".to_owned(), String::new()),
    ]
}
