//! Recognises the ledgers of a database, and finds the migration files that fit them. It only reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use crate::{
    cause::{Cause, Code, Kind},
    config::{self, Source, environment::Environment},
    database::{self, Database, MigrationFile, Schema},
    failure::Failure,
    files,
    frameworks::{
        self, External, TenantsDraft,
        detect::{self, Recognised},
        draft::names,
    },
    ordered::{self, Ordered},
    outcome::detect::{Detected, DetectedLedger, FittingFiles, UnknownLedger},
    tenants::{
        inspection::LedgerRow,
        ledger::{LedgerLayout, OwnLayout},
        manifest::{Expected, Manifest},
        survey::{LedgerTable, RegistryTable},
    },
    words,
};

/// The depth of the folders that are searched for migrations.
const DEPTH: usize = 4;
/// Parts of the names of folders with migrations, beside the names of the frameworks.
const FOLDERS: [&str; 4] = ["migrat", "versions", "tenant", "changes"];
/// Folders that contain no migrations of the project.
const SKIPPED: [&str; 4] = ["node_modules", "site-packages", "target", "vendor"];

/// `config` is that of `database`.
pub(crate) async fn detect(database: &Database, config: &config::Database) -> Result<Detected, Failure> {
    let survey = database.survey(&detect::tables()).await;
    let survey = survey.map_err(|error| error.into_failure("searching for ledgers"))?;
    let mut unknown: BTreeMap<(String, Vec<String>), Vec<String>> = BTreeMap::new();
    let mut known: BTreeMap<(&str, String), (Recognised, Vec<LedgerTable>)> = BTreeMap::new();
    let mut denied = Vec::new();
    let (beside, ledgers): (Vec<_>, Vec<_>) =
        survey.ledgers.into_iter().partition(|ledger| detect::is_beside(&ledger.table));
    let beside: BTreeSet<(String, String)> =
        beside.into_iter().map(|table| (table.schema, table.table)).into_set();
    for ledger in ledgers {
        if ledger.denied {
            denied.push(format!("{}.{}", ledger.schema, ledger.table));
        }
        let has = |table: &str| beside.contains(&(ledger.schema.clone(), table.to_owned()));
        match detect::recognise(&ledger, has) {
            None => unknown.entry((ledger.table, ledger.columns)).or_default().push(ledger.schema),
            Some(found) => {
                let key = (found.signature.title, ledger.table.clone());
                known.entry(key).or_insert_with(|| (found, Vec::new())).1.push(ledger);
            }
        }
    }
    let folders = files::within(files::TIMEOUT, || Ok(folders()));
    let folders = folders.await.map_err(|error| unreadable(&error))?;
    let mut ledgers = Vec::new();
    for (found, tables) in known.into_values() {
        ledgers.push(one(database, found, tables, survey.registry.as_ref(), &folders).await?);
    }
    ordered::sort_by_key(&mut ledgers, |ledger| std::cmp::Reverse(ledger.schemas.len()));
    let failure = (!denied.is_empty()).then(|| Failure::Unproven {
        what: "every ledger was read".into(),
        why: Cause {
            kind: Kind::Permission,
            code: Code::sqlstate("42501"),
            text: format!(
                "this role may not read {} (USAGE on the schema, SELECT on the table)",
                words::list(&denied, 3)
            ),
        },
    });
    let unknown = unknown.into_iter();
    let unknown =
        unknown.map(|((table, columns), schemas)| UnknownLedger { table, columns, schemas }).collect();
    let database = match config {
        config::Database::Postgres(config) => format!("{} at {}", config.name, config.address()),
        config::Database::Sqlite(config) => format!("in the folder {}", config.folder.display()),
    };
    Ok(Detected { database, ledgers, unknown, failure })
}

async fn one(
    database: &Database,
    found: Recognised,
    tables: Vec<LedgerTable>,
    registry: Option<&RegistryTable>,
    folders: &[String],
) -> Result<DetectedLedger, Failure> {
    let Recognised { framework, signature } = found;
    let table = tables.first().map(|ledger| ledger.table.clone()).unwrap_or_default();
    let shared = tables.iter().any(|ledger| ledger.shared);
    // A schema with the name of the tool or of its ledger is the tool's own.
    let is_own = |ledger: &LedgerTable| ledger.schema == framework.name() || ledger.schema == ledger.table;
    let is_tenant = |ledger: &LedgerTable| !ledger.shared && !is_own(ledger);
    let example = tables.iter().filter(|ledger| !ledger.denied).min_by_key(|ledger| !is_tenant(ledger));
    let own_schema = tables.iter().find(|ledger| is_own(ledger)).map(|ledger| ledger.schema.clone());
    let schemas: Vec<String> =
        tables.iter().filter(|ledger| is_tenant(ledger)).map(|ledger| ledger.schema.clone()).collect();
    let reads_files = framework.external().is_some_and(External::reads_files);
    let (scope, default) = if schemas.is_empty() { ("shared", "") } else { ("tenant", "tenants") };
    let listed = registry.filter(|registry| is_plain(&registry.table) && is_plain(&registry.column));
    let listed = listed.filter(|_| !schemas.is_empty());
    let draft = |folder: Option<&str>| TenantsDraft {
        migrations: signature.migrations(framework.name(), &table, scope, folder),
        table: listed.map_or(default, |registry| &registry.table).to_owned(),
        schema_column: listed.map_or("schema_name", |registry| &registry.column).to_owned(),
        condition: None,
    };
    let places: BTreeSet<&str> =
        signature.folders.iter().copied().chain(folders.iter().map(String::as_str)).into_set();
    let texts: Vec<(String, String)> =
        places.into_iter().map(|folder| (folder.to_owned(), draft(Some(folder)).to_string())).collect();
    let files = match example {
        Some(example) if framework.external().is_none() || reads_files => {
            let read = files::within(files::TIMEOUT, move || Ok(candidates(texts)));
            let candidates = read.await.map_err(|error| unreadable(&error))?;
            Some(best(database, found, example, &candidates).await?)
        }
        _ => None,
    };
    let fitting = files.as_ref().and_then(|files| files.folder.as_deref());
    let is_judged = framework.external().is_none() || database.capabilities().external_programs;
    let is_complete = !schemas.is_empty() || (shared && reads_files);
    let config = (is_judged && is_complete && is_plain(&table))
        .then(|| draft(fitting.or(signature.folders.first().copied())).to_string());
    Ok(DetectedLedger {
        tool: signature.title,
        framework: framework.name(),
        shared,
        files,
        registry: listed.filter(|_| config.is_some()).map(|registry| registry.table.clone()),
        unlisted: listed
            .map_or(0, |registry| registry.unlisted.saturating_sub(usize::from(own_schema.is_some()))),
        own_schema,
        is_judged,
        config,
        table,
        schemas,
    })
}

/// A folder's migrations, and the layout of their ledger.
struct Candidate {
    folder: String,
    layout: OwnLayout,
    expected: Expected,
}

/// The folders that contain migrations according to their configuration.
fn candidates(texts: Vec<(String, String)>) -> Vec<Candidate> {
    let read = |(folder, text): (String, String)| {
        let migrations = config::load::of_text(&text, &Environment::default(), None)?.migrations?;
        let (expected, layout) = match &migrations.source {
            Source::Sql { tenant, .. } => {
                let files = database::resolve(tenant).ok()?;
                let migrations = files.iter().map(MigrationFile::expected).collect();
                (Expected { migrations, ..Expected::default() }, OwnLayout::default())
            }
            Source::External(project) => {
                let manifest = frameworks::of(&migrations).external()?.read(project).ok()?;
                let Manifest { shared, tenant, ledger, .. } = manifest;
                (if migrations.are_shared_alone() { shared } else { tenant }, ledger)
            }
        };
        (!expected.migrations.is_empty()).then_some(Candidate { folder, layout, expected })
    };
    texts.into_iter().filter_map(read).collect()
}

/// The folder whose migrations fit this ledger best.
async fn best(
    database: &Database,
    found: Recognised,
    example: &LedgerTable,
    candidates: &[Candidate],
) -> Result<FittingFiles, Failure> {
    let doing = || format!("reading `{}.{}`", example.schema, example.table);
    let schema = if example.shared { Schema::Shared } else { Schema::Tenant(example.schema.clone()) };
    let mut best: Option<FittingFiles> = None;
    let rows = async |shape: LedgerLayout<'_>| -> Result<Vec<LedgerRow>, Failure> {
        database.recorded(&schema, shape).await.map_err(|error| error.into_failure(&doing()))
    };
    let Some(ledger) = found.framework.ledgers().first().copied() else {
        return Err(Failure::Internal { what: "a framework has no ledger".into() });
    };
    for candidate in candidates {
        let recorded = rows(candidate.layout.over(ledger.shape())).await?;
        let compared = ledger.compare(&candidate.expected, &recorded);
        let fits = |files: &FittingFiles| (files.without_file.len(), files.pending.len());
        let files = FittingFiles {
            schema: example.schema.clone(),
            folder: Some(candidate.folder.clone()),
            migrations: candidate.expected.migrations.len(),
            without_file: compared.unknown,
            pending: compared.pending,
        };
        // A folder without any of the recorded migrations belongs to another ledger.
        let is_other = !recorded.is_empty() && files.pending.len() >= files.migrations;
        if !is_other && best.as_ref().is_none_or(|best| fits(&files) < fits(best)) {
            best = Some(files);
        }
    }
    Ok(best.unwrap_or_else(|| FittingFiles { schema: example.schema.clone(), ..FittingFiles::default() }))
}

/// The folders of the project that may contain migrations.
fn folders() -> Vec<String> {
    let mut found = Vec::new();
    search("", DEPTH, &mut found);
    found
}

fn search(parent: &str, depth: usize, found: &mut Vec<String>) {
    for name in names(Path::new(if parent.is_empty() { "." } else { parent })) {
        let path = if parent.is_empty() { name.clone() } else { format!("{parent}/{name}") };
        let is_folder = files::metadata_now(Path::new(&path)).is_ok_and(|found| found.is_dir());
        if !is_folder || name.starts_with('.') || SKIPPED.contains(&&*name) {
            continue;
        }
        let name = name.to_lowercase();
        if FOLDERS.into_iter().chain(frameworks::names()).any(|part| name.contains(part)) {
            found.push(path.clone());
        }
        if depth > 0 {
            search(&path, depth - 1, found);
        }
    }
}

/// Whether a name needs no quotes in TOML.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::Usage { message: format!("cannot read this folder: {error}") }
}
