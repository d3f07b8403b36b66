//! The laws for files: configuration, manifest, migrations, exports, and the rows of a ledger.

use std::path::Path;

use super::input::Input;
use crate::{
    actions::expectation,
    config::{
        environment::Environment,
        exported,
        file_pattern::{FilePattern, IdTemplate},
        load,
    },
    database::{file_headers::FileHeaders, sql_locks},
    failure::{Failure, chain},
    frameworks,
    tenants::{
        inspection::LedgerRow,
        manifest::{Expected, Manifest, Migration},
    },
};

/// A configuration is valid, or each of its errors can be shown.
pub(super) fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let env = Environment::from([("URL", "postgres://u:a-secret-password@h/d")]);
    match load::of_environment(&text, &env) {
        Ok(_) => assert!(load::of_text(&text, &env, None).is_some()),
        Err(failure) => {
            let Failure::ConfigInvalid { count, rendered, .. } = &failure else {
                return assert!(!chain(&failure).is_empty());
            };
            assert!(*count > 0 && !rendered.is_empty(), "{text}");
            assert!(!rendered.contains("a-secret-password"), "{rendered}");
        }
    }
}

/// A manifest that is written proves itself, and is read again without a difference.
pub(super) fn manifest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = |text: &str| expectation::parse(Path::new("manifest.json"), text, "make").ok();
    let Some(manifest) = read(&text) else { return };
    let written = Manifest { digest: None, ..manifest }.to_line().unwrap_or_default();
    let again = read(&written).and_then(|manifest| manifest.proved().ok());
    assert_eq!(again.and_then(|manifest| manifest.to_line().ok()), Some(written));
}

/// No framework calls a migration applied that no row of the ledger records.
pub(super) fn ledger(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let migration = |input: &mut Input<'_>| {
        let (id, checksum) = (input.text(), input.text());
        let checksum = Some(checksum).filter(|text| !text.is_empty());
        Migration {
            name: id.clone(),
            app: id.split('.').next().unwrap_or_default().into(),
            id,
            checksum,
            ..Migration::default()
        }
    };
    let count = usize::from(input.byte() % 5);
    let migrations: Vec<Migration> = (0..count).map(|_| migration(&mut input)).collect();
    let mut rows = Vec::new();
    while !input.is_empty() && rows.len() < 6 {
        let succeeded = input.byte().is_multiple_of(2);
        let (id, checksum) = (input.text(), Some(input.text()).filter(|text| !text.is_empty()));
        rows.push(LedgerRow { name: id.clone(), id, checksum, succeeded });
    }
    let expected = Expected { migrations, ..Expected::default() };
    for rules in frameworks::ALL.iter().flat_map(|framework| framework.ledgers()) {
        // Without a condition for success, each row stands for an applied migration.
        let is_applied = |row: &LedgerRow| row.succeeded || rules.shape().succeeded.is_none();
        let rows: Vec<_> =
            rows.iter().map(|row| LedgerRow { succeeded: is_applied(row), ..row.clone() }).collect();
        let compared = rules.compare(&expected, &rows);
        let is_recorded = |id: &str| rows.iter().any(|row| row.succeeded && row.id == id);
        for migration in expected.migrations.iter().filter(|migration| !is_recorded(&migration.id)) {
            let is_named =
                [&compared.pending, &compared.dirty].iter().any(|names| names.contains(&migration.name));
            assert!(is_named, "{}: {migration:?} is applied by {rows:?}", rules.name());
        }
    }
}

/// Every statement of a text is a part of it, in its order.
pub(super) fn sql(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = &*text;
    for statement in sql_locks::statements(&text, true) {
        let Some(sql) = statement.sql else { continue };
        let at = rest.find(sql.trim());
        assert!(at.is_some(), "{sql:?} is not in the rest of {text:?}");
        rest = &rest[at.unwrap_or_default()..];
    }
}

/// A header of a migration file is written in it, however its lines end, and belongs to no statement.
pub(super) fn headers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace('\r', "");
    let found = FileHeaders::of(&text);
    for ends in ["\r\n", "\r", " \t\n"] {
        assert_eq!(FileHeaders::of(&text.replace('\n', ends)), found, "{text:?} with {ends:?}");
    }
    match found {
        Ok(headers) => assert!(headers.replaces.iter().all(|range| text.contains(range)), "{headers:?}"),
        Err(why) => {
            let quoted = why.split_once(": ").and_then(|(_, rest)| rest.rsplit_once("` is neither"));
            assert!(quoted.is_some_and(|(range, _)| text.contains(range)), "{why}");
        }
    }
    let statements = |text: &str| sql_locks::statements(text, false).map(|one| one.sql).collect::<Vec<_>>();
    let headed = format!("-- no-transaction\n-- replaces: 1-2\n{text}");
    assert_eq!(statements(&headed), statements(&text), "{text:?}");
}

/// A file has an identifier, or the error says why not.
pub(super) fn names(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (pattern, template, path) = (input.text(), input.text(), input.text());
    let (Ok(pattern), Ok(template)) = (FilePattern::parse(&pattern), IdTemplate::parse(&template)) else {
        return;
    };
    let Some(captures) = pattern.captures(&path) else { return };
    if let Err(why) = template.fill(&captures, &path) {
        assert!(!why.is_empty());
    }
}

/// Exported variables are read completely, or not at all.
pub(super) fn exports(bytes: &[u8]) {
    match exported::parse(bytes) {
        Ok(variables) => {
            for (name, _) in &variables {
                assert!(!name.is_empty() && !name.contains(['=', '\0']), "{name:?}");
            }
        }
        Err(why) => assert!(!why.is_empty()),
    }
}
