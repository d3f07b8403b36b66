//! The hash of a migration plan's JSON, and the differences between an approved plan and the current one.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::words::{count, hex, list};

/// The number of differences that are named.
const SHOWN: usize = 8;

/// The parts of a plan that its hash covers: what they are, and each part's content.
fn parts(plan: &Value) -> [(&'static str, Value); 4] {
    let groups = || plan["groups"].as_array().into_iter().flatten();
    let names = |group: &Value| -> Vec<Value> {
        group["migrations"].as_array().into_iter().flatten().map(|one| one["name"].clone()).collect()
    };
    let schemas: Vec<Value> = groups()
        .map(|group| json!([group["shared"], group["tenants"], group["type"], names(group)]))
        .collect();
    let sql: Vec<&Value> = groups().map(|group| &group["migrations"]).collect();
    [
        ("the release or the server", json!([plan["release"], plan["server"]])),
        ("the tenants or their pending migrations", json!([schemas, plan["unmigratable"]])),
        ("the SQL", json!(sql)),
        ("the settings", plan["settings"].clone()),
    ]
}

/// One digest for each part, so that a difference can be named.
pub(crate) fn hash(plan: &Value) -> String {
    let digest = |(_, part): &(_, Value)| hex(&Sha256::digest(part.to_string())[..8]);
    parts(plan).iter().map(digest).collect::<Vec<_>>().join("-")
}

/// Whether a text is a plan's hash.
pub(crate) fn is_hash(text: &str) -> bool {
    let is_digest =
        |part: &str| part.len() == 16 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    text.split('-').count() == 4 && text.split('-').all(is_digest)
}

/// The differences between the approved plan and the current one, in words. Without the approved plan, only its hash
/// shows which parts differ.
pub(crate) fn differences(approved_hash: &str, approved: Option<&Value>, current: &Value) -> String {
    let current_hash = hash(current);
    let digests = approved_hash.split('-').zip(current_hash.split('-'));
    let parts = parts(current);
    let changed =
        parts.iter().zip(digests).filter(|(_, (before, now))| before != now).map(|((what, _), _)| *what);
    let mut words: Vec<String> =
        vec![format!("since the plan was made, {} changed", changed.collect::<Vec<_>>().join(" and "))];
    if let Some(approved) = approved {
        let (before, now) = (schemas(approved), schemas(current));
        for (schema, pending) in &now {
            match before.get(schema) {
                None => words.push(format!("{schema} was added with {}", list(pending, 3))),
                Some(before) if before != pending => {
                    words.push(format!("{schema} has {} instead of {}", list(pending, 3), list(before, 3)));
                }
                Some(_) => {}
            }
        }
        let gone = before.keys().filter(|schema| !now.contains_key(*schema));
        words.extend(gone.map(|schema| format!("{schema} has nothing left to migrate")));
        if words.len() > SHOWN {
            let more = words.len() - SHOWN;
            words.truncate(SHOWN);
            words.push(format!("and {}", count(more, "other difference")));
        }
    }
    words.join("; ")
}

/// Each schema of a plan with its pending migrations.
fn schemas(plan: &Value) -> BTreeMap<String, Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut schemas = BTreeMap::new();
    for group in plan["groups"].as_array().into_iter().flatten() {
        let migrations = group["migrations"].as_array().into_iter().flatten();
        let pending: Vec<String> = migrations.map(|one| text(&one["name"])).collect();
        for tenant in group["tenants"].as_array().into_iter().flatten() {
            schemas.insert(format!("`{}`", text(tenant)), pending.clone());
        }
        if group["shared"] == true {
            schemas.insert("the shared schema".into(), pending);
        }
    }
    schemas
}
