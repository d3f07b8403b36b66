//! The gate's look at PostgreSQL: registry, catalog, ledgers, in READ ONLY transactions.
//!
//! Others go on meanwhile. What is found is what stood there at some moment of the look: what seems to be missing
//! is asked for again at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    DatabaseError, Postgres,
    catalog::{self, Facts, Group, More},
    chunks::ReadOptions,
    connect, journal, ledgers,
    read_only::Reading,
    registry::{self, Rows},
    server::{self, Server},
};
use crate::{
    cause::{Cause, Kind},
    config::{self, Selection},
    database::InspectRequest,
    tenants::{
        inspection::{Inspection, LedgerRow, SchemaState},
        manifest::{Manifest, Tables},
    },
};

impl Postgres {
    pub(crate) async fn inspect(&self, request: &InspectRequest<'_>) -> Result<Inspection, DatabaseError> {
        let connection = match self.cached_reader.take().await {
            Some(connection) => connection,
            None => connect::unless_full(async || connect::connect(self.reader()).await).await?,
        };
        let mut reading = Reading::on(connection, request.timeout);
        let found = self.found(&mut reading, request).await;
        match found {
            Ok(_) => self.cached_reader.keep(reading.into_inner()),
            Err(_) => reading.close().await,
        }
        found
    }

    async fn found(
        &self,
        reading: &mut Reading,
        request: &InspectRequest<'_>,
    ) -> Result<Inspection, DatabaseError> {
        let registry = request.tenants.and(self.registry.as_ref());
        let (server, registered) = self.first(reading, registry).await?;
        if server.standby && !request.allow_standby {
            let why = "the server is a standby, which proves only itself; `allow_standby` accepts it";
            return Err(DatabaseError::Failed(Cause::new(Kind::ReadOnly, why)));
        }
        let manifest = request.manifest;
        let rows = match registry {
            Some(registry) if registered => {
                self.read_registry(reading, registry, manifest.type_column()).await?
            }
            _ => Rows::default(),
        };
        let mut found = Inspection { registered: rows.tenants.len(), ..Inspection::default() };
        let asked = request
            .tenants
            .map_or_else(Vec::new, |selection| asked(selection, &rows, &mut found.unregistered));
        let mut states = BTreeMap::new();
        let mut groups = groups(manifest, asked, &rows, &mut states);
        if request.shared {
            let schemas = vec![self.config.shared_schema.clone()];
            groups.push(Group { schemas, tables: &manifest.shared.tables, kinds: &manifest.shared.kinds });
        }
        let mut more = More::default();
        let orphans = registry.filter(|_| registered && request.tenants == Some(&Selection::All));
        if let Some(registry) = orphans {
            more.statements.push(self.orphans(registry, manifest.framework.shape().table));
            more.statements.push(journal::marked());
        }
        if manifest.has_apps() && request.tenants.is_some() {
            more.statements.push(self.shadows(manifest));
        }
        let options = ReadOptions { config: self.reader(), timeout: request.timeout, server };
        states.extend(schemas(reading, options, request, &groups, &mut more).await?);
        if let (Some(registry), true) = (registry, registered) {
            self.note_vanished(reading, registry, &mut states).await?;
        }
        let mut answers = more.answers.into_iter();
        found.orphans = orphans.and_then(|_| answers.next()).unwrap_or_default();
        found.unfinished = orphans.and_then(|_| answers.next()).unwrap_or_default();
        found.orphans.retain(|schema| !found.unfinished.contains(schema));
        found.shadows = answers.next().unwrap_or_default();
        found.types = rows.types;
        found.shared = request.shared.then(|| states.remove(&self.config.shared_schema)).flatten();
        found.tenants = states;
        if let (Some(registry), false) = (registry, registered) {
            let (_, table) = registry::table(registry, &self.config.shared_schema);
            request.without_registry(table, &found)?;
        }
        Ok(found)
    }

    /// What the server is, and whether the registry's table is there.
    async fn first(
        &self,
        reading: &mut Reading,
        registry: Option<&config::Registry>,
    ) -> Result<(Server, bool), DatabaseError> {
        let mut server = Vec::new();
        let mut registered = false;
        let statements: Vec<String> = [server::ASK.to_owned()]
            .into_iter()
            .chain(registry.map(|registry| self.registry_exists(registry)))
            .collect();
        let (_, outcome) = reading
            .each(&statements, &mut |index, row| {
                if index == 0 {
                    server.push(row);
                } else {
                    registered = true;
                }
                Ok(())
            })
            .await;
        outcome.map_err(|error| connect::failed(&error))?;
        let server = Server::of(&server).map_err(|error| connect::failed(&error))?;
        Ok((server, registered))
    }

    /// A tenant that was removed meanwhile, row and schema, has not lost its schema.
    async fn note_vanished(
        &self,
        reading: &mut Reading,
        registry: &config::Registry,
        states: &mut BTreeMap<String, SchemaState>,
    ) -> Result<(), DatabaseError> {
        if !states.values().any(|state| *state == SchemaState::NoSchema) {
            return Ok(());
        }
        let rows = self.read_registry(reading, registry, None).await?;
        let still: BTreeSet<&String> = rows.tenants.iter().chain([&self.config.shared_schema]).collect();
        for (tenant, state) in states {
            if *state == SchemaState::NoSchema && !still.contains(tenant) {
                *state = SchemaState::Vanished;
            }
        }
        Ok(())
    }
}

/// The tenants to look at; those that the registry does not hold are set apart.
fn asked(selection: &Selection, rows: &Rows, unregistered: &mut BTreeSet<String>) -> Vec<String> {
    match selection {
        Selection::All => rows.tenants.clone(),
        Selection::Named(names) => {
            let names: BTreeSet<&String> = names.iter().collect();
            let (known, unknown) =
                names.into_iter().partition(|name| rows.tenants.binary_search(name).is_ok());
            unregistered.extend(Vec::<&String>::into_iter(unknown).cloned());
            Vec::<&String>::into_iter(known).cloned().collect()
        }
    }
}

/// The tenants by the tables that their types must have, where there are types.
fn groups<'a>(
    manifest: &'a Manifest,
    asked: Vec<String>,
    rows: &Rows,
    states: &mut BTreeMap<String, SchemaState>,
) -> Vec<Group<'a>> {
    let kinds = &manifest.tenant.kinds;
    if manifest.types.is_empty() {
        return vec![Group { schemas: asked, tables: &manifest.tenant.tables, kinds }];
    }
    let mut by_type: BTreeMap<&str, Group<'a>> = BTreeMap::new();
    for tenant in asked {
        let kind = rows.types.get(&tenant).map_or("", String::as_str);
        if let Some(tables) = manifest.types.get(kind) {
            by_type
                .entry(kind)
                .or_insert_with(|| Group { schemas: Vec::new(), tables, kinds })
                .schemas
                .push(tenant);
        } else {
            let why = format!("its type `{kind}` is none that the manifest knows");
            states.insert(tenant, SchemaState::Failed(why.into()));
        }
    }
    by_type.into_values().collect()
}

/// One look for each of the schemas, whatever becomes of it.
async fn schemas(
    reading: &mut Reading,
    options: ReadOptions<'_>,
    request: &InspectRequest<'_>,
    groups: &[Group<'_>],
    more: &mut More,
) -> Result<BTreeMap<String, SchemaState>, DatabaseError> {
    let shape = request.manifest.framework.shape();
    let failed = |error: sqlx::Error| connect::failed(&error);
    let mut facts = catalog::facts(reading, groups, shape.table, more).await.map_err(failed)?;
    let readable = facts.iter().filter(|(_, facts)| facts.has_ledger_to_read());
    let readable = readable.map(|(schema, _)| schema.clone()).collect();
    let mut ledgers = ledgers::read(reading, options, shape, readable, request.on_progress).await?;
    catalog::missing(reading, groups, &mut facts).await.map_err(failed)?;
    let mut states = BTreeMap::new();
    for group in groups {
        for schema in &group.schemas {
            let state = match facts.remove(schema) {
                None => SchemaState::NoSchema,
                Some(facts) => one(facts, ledgers.remove(schema), group.tables, shape.table),
            };
            states.insert(schema.clone(), state);
        }
    }
    Ok(states)
}

fn one(
    facts: Facts,
    ledger: Option<Result<Arc<[LedgerRow]>, sqlx::Error>>,
    tables: &Tables,
    name: &str,
) -> SchemaState {
    match ledger {
        Some(Ok(ledger)) => facts.with_ledger(ledger),
        // It was there a moment ago.
        Some(Err(error)) if matches!(connect::code(&error), Some("3F000" | "42P01")) => SchemaState::Vanished,
        Some(Err(error)) => SchemaState::Failed(connect::cause(&error)),
        None => facts.without_ledger(tables, name),
    }
}
