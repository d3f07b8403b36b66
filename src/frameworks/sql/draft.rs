//! The draft of a configuration from two neighbouring folders of SQL migrations: one for all tenants, one for each.

use std::path::Path;

use crate::frameworks::draft::{Draft, TenantsDraft, folders, names, read};

const SHARED: [&str; 4] = ["shared", "public", "common", "global"];
const TENANT: [&str; 4] = ["tenant", "tenants", "per_tenant", "per-tenant"];
/// The depth at which the folders are searched.
const DEPTH: usize = 3;

pub(super) fn draft(folder: &Path) -> Option<Draft> {
    let (shared, tenant) = pair(folder, "", DEPTH)?;
    let mut found = vec![shared.clone(), tenant.clone()];
    let (table, schema_column) = registry(&texts(&folder.join(&shared))).unwrap_or_default();
    found.push(if table.is_empty() {
        "no table that lists the schemas: correct `registry`".to_owned()
    } else {
        format!("the table `{table}`")
    });
    let or = |name: String, default: &str| if name.is_empty() { default.to_owned() } else { name };
    Some(Draft {
        found,
        tenants: Some(TenantsDraft {
            migrations: format!("shared = \"{shared}\"\ntenant = \"{tenant}\"\n"),
            table: or(table, "tenants"),
            schema_column: or(schema_column, "schema_name"),
            condition: None,
        }),
        ..Draft::default()
    })
}

/// The folders of the shared schema and of a tenant's schema, by their names, or else by the table of the tenants.
fn pair(folder: &Path, prefix: &str, depth: usize) -> Option<(String, String)> {
    let inside = folders(folder);
    let has_migrations = |name: &&String| names(&folder.join(name)).iter().any(|file| is_migration(file));
    let of_migrations: Vec<&String> = inside.iter().filter(has_migrations).collect();
    let has_registry = |name: &String| registry(&texts(&folder.join(name))).is_some();
    let is = |names: [&str; 4], name: &str| names.contains(&&*name.to_lowercase());
    let mut pairs =
        of_migrations.iter().flat_map(|shared| of_migrations.iter().map(move |tenant| (*shared, *tenant)));
    let found = pairs.find(|(shared, tenant)| is(SHARED, shared) && is(TENANT, tenant)).or_else(|| {
        let [first, second] = of_migrations[..] else { return None };
        let is_first = |shared: &String, tenant: &String| {
            is(SHARED, shared) || is(TENANT, tenant) || has_registry(shared) && !has_registry(tenant)
        };
        match (is_first(first, second), is_first(second, first)) {
            (true, false) => Some((first, second)),
            (false, true) => Some((second, first)),
            _ => None,
        }
    });
    match found {
        Some((shared, tenant)) => Some((format!("{prefix}{shared}"), format!("{prefix}{tenant}"))),
        None => inside
            .iter()
            .filter(|_| depth > 0)
            .find_map(|name| pair(&folder.join(name), &format!("{prefix}{name}/"), depth - 1)),
    }
}

/// `1_tenants.sql`
fn is_migration(file: &str) -> bool {
    let path = Path::new(file);
    path.extension().is_some_and(|extension| extension == "sql")
        && file.split_once('_').is_some_and(|(version, _)| version.parse::<u64>().is_ok())
}

/// The migrations of a folder.
fn texts(folder: &Path) -> String {
    names(folder).iter().filter(|file| is_migration(file)).map(|file| read(&folder.join(file))).collect()
}

/// The first created table with a column for schemas.
fn registry(sql: &str) -> Option<(String, String)> {
    let lower = sql.to_lowercase().replace('"', "");
    lower.match_indices("create table").find_map(|(at, _)| {
        let (head, body) = lower[at + "create table".len()..].split_once('(')?;
        let table = head.trim().trim_start_matches("if not exists").trim();
        let columns = body.split_once(';').map_or(body, |(body, _)| body);
        let mut names = columns.split([',', '\n']).filter_map(|column| column.split_whitespace().next());
        let column = names.find(|name| name.contains("schema") && !name.contains("version"))?;
        let is_name = |text: &str, also: char| {
            !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == also)
        };
        (is_name(table, '.') && is_name(column, '_')).then(|| (table.to_owned(), column.to_owned()))
    })
}
