//! One law for each kind of input that comes from outside.

use std::path::Path;

use futures_util::future::FutureExt;

use super::{input::Input, stream::Peer};
use crate::{
    actions::expectation,
    config::{
        environment::Environment,
        exported,
        file_pattern::{FilePattern, IdTemplate},
        load,
        url::Endpoint,
    },
    database::sql_locks,
    failure::{Failure, chain},
    frameworks,
    net::http::Request,
    report::{
        mask::{Lines, Mask},
        terminal_filter,
    },
    steps::wait,
    tenants::{
        inspection::LedgerRow,
        manifest::{Expected, Manifest, Migration},
    },
};

/// A secret survives in no cut of a text into lines.
pub(super) fn mask(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let secret: String = input.text().split_whitespace().collect();
    // A shorter secret is masked only as a whole word of its own line.
    if secret.chars().count() < 12 || secret.chars().any(char::is_control) {
        return;
    }
    let (before, after, cut) = (input.text(), input.text(), usize::from(input.byte()));
    let cut = secret.floor_char_boundary(cut % secret.len());
    let mask = Mask::default().with([secret.clone()].into_iter());
    let mut lines = Lines::default();
    let text = format!("{before} {}\n{} {after}", &secret[..cut], &secret[cut..]);
    let shown: Vec<String> = text.split('\n').map(|line| lines.mask(&mask, line).into_owned()).collect();
    let has = |text: &str| text.contains(&secret);
    assert!(!has(&shown.concat()), "{text:?} is shown as {shown:?}");
    let whole = format!("{before} {secret} {after}");
    assert!(!has(&mask.apply(&whole)), "{whole:?}");
}

/// A printed line contains nothing that controls a terminal, except for a tab, and is one line.
pub(super) fn terminal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let is_harmless = |c: char| {
        (c == '\t' || !c.is_control())
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    for shown in [
        terminal_filter::escaped(&text).into_owned(),
        terminal_filter::shown(terminal_filter::line(&text).trim_end_matches('\n')).into_owned(),
        terminal_filter::shown_json(&text).into_owned(),
    ] {
        // Colours that the program itself has painted.
        let shown = terminal_filter::without_colour(&shown).into_owned();
        assert!(shown.chars().all(is_harmless), "{text:?} is shown as {shown:?}");
    }
}

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

/// The answer of an HTTP server is read to its end, or is an error.
pub(super) fn http(bytes: &[u8]) {
    let mut peer = Peer::new(bytes);
    let request = Request { method: "GET", host: "h", target: "/", headers: "", body: b"" };
    let ended = async {
        let answer = request.send(&mut peer).await?;
        assert!((200..1000).contains(&answer.status), "{}", answer.status);
        answer.body(&mut peer).await
    };
    assert!(ended.now_or_never().is_some(), "it waits for more than the peer sends");
}

/// Redis is ready only after its own answer.
pub(super) fn redis(bytes: &[u8]) {
    let Ok(url) = Endpoint::of("redis://user:a-password@h/3") else { return };
    let is_ready = wait::redis::is_ready(&url, Box::new(Peer::new(bytes))).now_or_never();
    assert!(is_ready.is_some(), "it waits for more than the peer sends");
    if is_ready == Some(true) {
        assert!(bytes.contains(&b'+'));
    }
}

/// A broker is ready only after the answers of the handshake.
pub(super) fn amqp(bytes: &[u8]) {
    let Ok(url) = Endpoint::of("amqp://user:a-password@h/v") else { return };
    let is_ready = wait::amqp::is_ready(&url, Peer::new(bytes)).now_or_never();
    assert!(is_ready.is_some(), "it waits for more than the peer sends");
    if is_ready == Some(true) {
        // Start, tune and open-ok.
        for method in [[0, 10, 0, 10], [0, 10, 0, 30], [0, 10, 0, 41]] {
            assert!(bytes.windows(4).any(|four| four == method));
        }
    }
}
