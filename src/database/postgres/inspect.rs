//! The gate's inspection of PostgreSQL: registry, catalog and ledgers, in READ ONLY transactions.
//!
//! Other sessions may make changes at the same time. Objects that seem to be missing are therefore queried again at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    DatabaseError, Postgres,
    catalog::{self, Facts, Group, More},
    chunks::ReadOptions,
    connect,
    error::QueryError,
    journal, ledgers,
    read_only::Reading,
    registry,
    server::{self, Server},
    structure::{self, Structures},
};
use crate::{
    cause::{Cause, Kind},
    config::{self, Selection},
    database::{InspectRequest, registry_rows::RegistryRows},
    ordered::Ordered,
    tenants::{
        inspection::{Inspection, LedgerRow, SchemaSnapshot, SchemaState},
        manifest::{Kind as TableKind, Manifest, Tables},
        structure::Structure,
    },
};

/// The names or URLs of tenants' own databases.
pub(super) type Elsewhere = BTreeMap<String, String>;

impl Postgres {
    pub(crate) async fn inspect(&self, request: &InspectRequest<'_>) -> Result<Inspection, DatabaseError> {
        let connection = match self.cached_reader.take().await {
            Some(connection) => connection,
            None => connect::connect(self.reader()).await?,
        };
        let mut reading = Reading::on(connection, request.timeout);
        let found = self.inspect_with(&mut reading, request).await.map(|(found, _)| found);
        match found {
            Ok(_) => self.cached_reader.put(reading.into_inner()),
            Err(_) => reading.close().await,
        }
        found
    }

    /// Also returns the selected tenants if they have their own databases, which it does not inspect.
    pub(super) async fn inspect_with(
        &self,
        reading: &mut Reading,
        request: &InspectRequest<'_>,
    ) -> Result<(Inspection, Elsewhere), DatabaseError> {
        let registry = request.tenants.and(self.registry.as_ref());
        let (server, kind) = self.server_and_registry(reading, registry).await?;
        let registered = kind.is_some();
        if server.standby && !request.allow_standby {
            let why = "the server is a standby, whose state proves nothing about the primary; `allow_standby` accepts it";
            return Err(DatabaseError::Failed(Cause::new(Kind::ReadOnly, why)));
        }
        let manifest = request.manifest;
        let rows = match registry {
            Some(registry) if registered => {
                let kind = kind.unwrap_or_default();
                self.read_registry(reading, registry, kind, manifest.type_column()).await?
            }
            _ => RegistryRows::default(),
        };
        let mut found = rows.inspection(request.tenants == Some(&Selection::All));
        let mut selected = request
            .tenants
            .map_or_else(Vec::new, |selection| selected(selection, &rows, &mut found.unregistered));
        let has_databases = registry.is_some_and(|registry| registry.database.is_some());
        let elsewhere = if has_databases { std::mem::take(&mut selected) } else { Vec::new() };
        let mut states = BTreeMap::new();
        let mut groups = groups(manifest, selected, &rows, &mut states);
        if request.shared {
            let schemas = vec![self.config.shared_schema.clone()];
            groups.push(Group { schemas, tables: &manifest.shared.tables, kinds: &manifest.shared.kinds });
        }
        let mut more = More::default();
        if registry.is_some() {
            more.statements.push(journal::readable());
        }
        let orphans = registry.filter(|_| request.tenants == Some(&Selection::All) && !has_databases);
        if let Some(registry) = orphans {
            more.statements.push(self.orphans(registry, registered, manifest.layout().table));
            more.statements.push(journal::tagged_schemas());
        }
        if manifest.has_apps() && request.tenants.is_some() {
            more.statements.push(self.shadows(manifest));
        }
        let options = ReadOptions { config: self.reader(), timeout: request.timeout, server };
        states.extend(inspect_schemas(reading, options, request, &groups, &mut more).await?);
        if let (Some(registry), true) = (registry, registered) {
            self.note_vanished(reading, registry, &mut states).await?;
        }
        let mut answers = more.answers.into_iter();
        if registry.and_then(|_| answers.next()).is_some_and(|answer| !answer.is_empty()) {
            // This is read last, so that a tenant that the command completes in the meantime is at most
            // reported as incomplete.
            found.half_created = self.half_created(reading).await?;
        }
        found.orphans = orphans.and_then(|_| answers.next()).unwrap_or_default();
        found.unfinished = orphans.and_then(|_| answers.next()).unwrap_or_default();
        found.orphans.retain(|schema| !found.unfinished.contains(schema));
        found.shadows = answers.next().unwrap_or_default();
        found.types = rows.types;
        let elsewhere = elsewhere.into_iter().map(|tenant| {
            let location = rows.locations.get(&tenant).cloned().unwrap_or_default();
            (tenant, location)
        });
        found.server = Some((structure::ENGINE.into(), (reading.server_version() / 10_000).to_string()));
        found.shared = request.shared.then(|| states.remove(&self.config.shared_schema)).flatten();
        found.tenants = states;
        if let (Some(registry), false) = (registry, registered) {
            let (_, table) = registry::table(registry, &self.config.shared_schema);
            request.without_registry(table, &found)?;
        }
        Ok((found, elsewhere.into_map()))
    }

    /// The server's properties, and the kind of the registry's table if it exists.
    async fn server_and_registry(
        &self,
        reading: &mut Reading,
        registry: Option<&config::Registry>,
    ) -> Result<(Server, Option<TableKind>), DatabaseError> {
        let mut server = Vec::new();
        let mut kind = None;
        let statements: Vec<String> = [server::QUERY.to_owned()]
            .into_iter()
            .chain(registry.map(|registry| self.registry_exists(registry)))
            .collect();
        let (_, outcome) = reading
            .each(&statements, &mut |index, row| {
                if index == 0 {
                    server.push(row);
                } else {
                    kind = connect::text(&row, 0)?.and_then(|kind| catalog::kind(&kind));
                }
                Ok(())
            })
            .await;
        outcome?;
        let server = Server::of(&server)?;
        Ok((server, kind))
    }

    /// The tenants that a framework's command has not finished creating, each with the run.
    async fn half_created(&self, reading: &mut Reading) -> Result<BTreeMap<String, String>, QueryError> {
        let rows = reading.rows(&journal::half_created(&self.registry_name())).await?;
        let text = |row, column| Ok::<_, QueryError>(connect::text(row, column)?.unwrap_or_default());
        rows.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?))).collect()
    }

    /// Marks tenants that were deleted during the inspection, row and schema: they have not lost their schema.
    async fn note_vanished(
        &self,
        reading: &mut Reading,
        registry: &config::Registry,
        states: &mut BTreeMap<String, SchemaState>,
    ) -> Result<(), DatabaseError> {
        if !states.values().any(|state| *state == SchemaState::NoSchema) {
            return Ok(());
        }
        let rows = self.read_registry(reading, registry, TableKind::Table, None).await?;
        let still: BTreeSet<&String> = rows.tenants.iter().chain([&self.config.shared_schema]).into_set();
        for (tenant, state) in states {
            if *state == SchemaState::NoSchema && !still.contains(tenant) {
                *state = SchemaState::Vanished;
            }
        }
        Ok(())
    }
}

/// The tenants to inspect; tenants that the registry does not contain go to `unregistered`.
fn selected(selection: &Selection, rows: &RegistryRows, unregistered: &mut BTreeSet<String>) -> Vec<String> {
    match selection {
        Selection::All => rows.tenants.clone(),
        Selection::Named(names) => {
            let names: BTreeSet<&String> = names.iter().into_set();
            let (known, unknown) =
                names.into_iter().partition(|name| rows.tenants.binary_search(name).is_ok());
            unregistered.extend(Vec::<&String>::into_iter(unknown).cloned());
            Vec::<&String>::into_iter(known).cloned().collect()
        }
    }
}

/// Groups the tenants by the tables that their types must have, if the manifest has types.
fn groups<'a>(
    manifest: &'a Manifest,
    selected: Vec<String>,
    rows: &RegistryRows,
    states: &mut BTreeMap<String, SchemaState>,
) -> Vec<Group<'a>> {
    let kinds = &manifest.tenant.kinds;
    if manifest.types.is_empty() {
        return vec![Group { schemas: selected, tables: &manifest.tenant.tables, kinds }];
    }
    let mut by_type: BTreeMap<&str, Group<'a>> = BTreeMap::new();
    for tenant in selected {
        let kind = rows.types.get(&tenant).map_or("", String::as_str);
        if let Some(tables) = manifest.types.get(kind) {
            by_type
                .entry(kind)
                .or_insert_with(|| Group { schemas: Vec::new(), tables, kinds })
                .schemas
                .push(tenant);
        } else {
            let why = format!("the manifest does not contain its type `{kind}`");
            states.insert(tenant, SchemaState::Failed(why.into()));
        }
    }
    by_type.into_values().collect()
}

/// Inspects each schema; an error becomes its state.
async fn inspect_schemas(
    reading: &mut Reading,
    options: ReadOptions<'_>,
    request: &InspectRequest<'_>,
    groups: &[Group<'_>],
    more: &mut More,
) -> Result<BTreeMap<String, SchemaState>, DatabaseError> {
    let shape = request.manifest.layout();
    let mut facts = catalog::facts(reading, groups, shape.table, more).await?;
    let readable = facts.iter().filter(|(_, facts)| facts.has_ledger_to_read());
    let readable = readable.map(|(schema, _)| schema.clone()).collect();
    let mut ledgers = ledgers::read(reading, options, shape, readable, request.on_progress).await?;
    catalog::missing(reading, groups, &mut facts).await?;
    let mut structures = if request.structure {
        structure::structures(reading, options, ledgers.keys().cloned().collect(), shape.table).await?
    } else {
        Structures::new()
    };
    let mut states = BTreeMap::new();
    for group in groups {
        for schema in &group.schemas {
            let state = match facts.remove(schema) {
                None => SchemaState::NoSchema,
                Some(facts) => one(facts, ledgers.remove(schema), group.tables, shape.table),
            };
            let state = with_structure(state, structures.remove(schema));
            states.insert(schema.clone(), state);
        }
    }
    Ok(states)
}

fn with_structure(state: SchemaState, structure: Option<Result<Arc<Structure>, QueryError>>) -> SchemaState {
    match (state, structure) {
        (SchemaState::Read(snapshot), Some(Ok(structure))) => {
            SchemaState::Read(SchemaSnapshot { structure: Some(structure), ..snapshot })
        }
        (SchemaState::Read(_), Some(Err(error))) => SchemaState::Failed(error.cause()),
        (state, _) => state,
    }
}

fn one(
    facts: Facts,
    ledger: Option<Result<Arc<[LedgerRow]>, QueryError>>,
    tables: &Tables,
    name: &str,
) -> SchemaState {
    match ledger {
        Some(Ok(ledger)) => facts.with_ledger(ledger),
        // It existed a moment ago.
        Some(Err(error)) if matches!(error.code(), Some("3F000" | "42P01")) => SchemaState::Vanished,
        Some(Err(error)) => SchemaState::Failed(error.cause()),
        None => facts.without_ledger(tables, name),
    }
}
