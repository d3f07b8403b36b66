//! The draft of a configuration from a folder of SQL migrations, with one folder for all tenants and one for each.

use std::path::Path;

use crate::frameworks::draft::{Draft, TenantsDraft, names, read};

const FOLDERS: [&str; 4] = ["migrations", "db/migrations", "database/migrations", "sql"];
const SHARED: [&str; 3] = ["shared", "public", "common"];
const TENANT: [&str; 3] = ["tenant", "tenants", "per_tenant"];

pub(super) fn draft(folder: &Path) -> Option<Draft> {
    FOLDERS.into_iter().find_map(|parent| {
        let part = |folders: [&str; 3]| {
            let mut paths = folders.into_iter().map(|name| format!("{parent}/{name}"));
            paths.find(|path| names(&folder.join(path)).iter().any(|file| is_migration(file)))
        };
        let (shared, tenant) = (part(SHARED)?, part(TENANT)?);
        let texts: String = names(&folder.join(&shared))
            .iter()
            .filter(|file| is_migration(file))
            .map(|file| read(&folder.join(&shared).join(file)))
            .collect();
        let (table, schema_column) = registry(&texts)?;
        Some(Draft {
            found: vec![shared.clone(), tenant.clone(), format!("the table `{table}`")],
            tenants: Some(TenantsDraft {
                migrations: format!("shared = \"{shared}\"\ntenant = \"{tenant}\"\n"),
                table,
                schema_column,
                condition: None,
            }),
            ..Draft::default()
        })
    })
}

/// `1_tenants.sql`
fn is_migration(file: &str) -> bool {
    let path = Path::new(file);
    path.extension().is_some_and(|extension| extension == "sql")
        && file.split_once('_').is_some_and(|(version, _)| version.parse::<u64>().is_ok())
}

/// The first created table with a column for schemas.
fn registry(sql: &str) -> Option<(String, String)> {
    let lower = sql.to_lowercase();
    lower.match_indices("create table").find_map(|(at, _)| {
        let (head, body) = lower[at + "create table".len()..].split_once('(')?;
        let table = head.trim().trim_start_matches("if not exists").trim().trim_matches('"');
        let columns = body.split_once(';').map_or(body, |(body, _)| body);
        let mut names = columns.split([',', '\n']).filter_map(|column| column.split_whitespace().next());
        let column = names.find(|name| name.trim_matches('"').starts_with("schema"))?;
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
        let column = column.trim_matches('"');
        (is_name(table) && is_name(column)).then(|| (table.to_owned(), column.to_owned()))
    })
}
