//! The gate's inspection of tenants' databases: on each server a few at a time, and all servers at the same time.
//!
//! A server without a connection makes its own tenants unproven and no others.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::Arc,
};

use futures_util::future::join_all;

use super::Router;
use crate::{
    cause::Cause,
    config,
    database::{
        DatabaseError, InspectRequest, NO_PROGRESS,
        postgres::{Postgres, connect, read_only::Reading},
    },
    ordered::Ordered,
    tenants::{
        inspection::{Inspection, LedgerRow, SchemaState},
        manifest::{Expected, Manifest},
    },
};

/// The connections to one server. A login takes most of the time of an inspection.
const PER_SERVER: usize = 8;

/// The SQLSTATE of a database that does not exist.
pub(super) const NO_DATABASE: &str = "3D000";

/// A tenant and its database.
type Tenant = (String, config::Postgres);

impl Router {
    pub(crate) async fn inspect(&self, request: &InspectRequest<'_>) -> Result<Inspection, DatabaseError> {
        let connection = connect::connect(self.home.reader()).await?;
        let mut reading = Reading::on(connection, request.timeout);
        let found = self.home.inspect_with(&mut reading, request).await;
        reading.close().await;
        let (mut found, elsewhere) = found?;
        self.locations.borrow_mut().extend(elsewhere.clone());
        if request.tenants.is_none() {
            return Ok(found);
        }
        found.unfinished = self.unfinished().await?.into_iter().map(|entry| entry.tenant).into_set();
        let manifests = Manifests::new(request.manifest);
        let mut servers: BTreeMap<String, Vec<Tenant>> = BTreeMap::new();
        let mut owners: BTreeMap<(String, String), &String> = BTreeMap::new();
        for (tenant, location) in &elsewhere {
            let config = self.home.config.of_tenant(location).and_then(|config| {
                // One tenant would see the rows of the other.
                match owners.insert((config.address(), config.name.clone()), tenant) {
                    Some(other) => Err(format!("its database `{}` is also that of `{other}`", config.name)),
                    None => Ok(config),
                }
            });
            match config {
                Ok(config) => servers.entry(config.address()).or_default().push((tenant.clone(), config)),
                Err(why) => {
                    found.tenants.insert(tenant.clone(), SchemaState::Failed(why.into()));
                }
            }
        }
        let total = elsewhere.len();
        let done = Cell::new(0);
        let inspection = FleetInspection {
            request,
            manifests: &manifests,
            types: &found.types,
            on_done: &|| {
                done.set(done.get() + 1);
                (request.on_progress)(done.get(), total);
            },
        };
        let states = join_all(servers.into_values().map(|tenants| inspection.server(tenants))).await;
        found.tenants.extend(share_ledgers(states.into_iter().flatten().into_map()));
        self.note_vanished(&mut found).await?;
        Ok(found)
    }

    /// Marks tenants that were deleted during the inspection, row and database.
    async fn note_vanished(&self, found: &mut Inspection) -> Result<(), DatabaseError> {
        if !found.tenants.values().any(|state| *state == SchemaState::NoDatabase) {
            return Ok(());
        }
        let still = self.home.registered().await?;
        for (tenant, state) in &mut found.tenants {
            if *state == SchemaState::NoDatabase && !still.contains(tenant) {
                *state = SchemaState::Vanished;
            }
        }
        Ok(())
    }
}

struct FleetInspection<'a> {
    request: &'a InspectRequest<'a>,
    manifests: &'a Manifests,
    types: &'a BTreeMap<String, String>,
    on_done: &'a dyn Fn(),
}

impl FleetInspection<'_> {
    /// Inspects the tenants of one server.
    async fn server(&self, tenants: Vec<Tenant>) -> BTreeMap<String, SchemaState> {
        let connections = PER_SERVER.min(tenants.len());
        let (queue, states) = (RefCell::new(tenants), RefCell::new(BTreeMap::new()));
        // Every other tenant of a server without a connection would wait for the same time-out.
        let unreachable: RefCell<Option<Cause>> = RefCell::default();
        let worker = async |_| {
            loop {
                let next = queue.borrow_mut().pop();
                let Some((tenant, config)) = next else { return };
                let known = unreachable.borrow().clone();
                let state = match known {
                    Some(why) => SchemaState::Failed(why),
                    None => self.tenant(&tenant, &config).await.unwrap_or_else(|error| {
                        if let DatabaseError::NotYet(why) = &error {
                            *unreachable.borrow_mut() = Some(why.clone());
                        }
                        SchemaState::Failed(error.into_cause())
                    }),
                };
                states.borrow_mut().insert(tenant, state);
                (self.on_done)();
            }
        };
        join_all((0..connections).map(worker)).await;
        states.into_inner()
    }

    /// An error is one of the connection.
    async fn tenant(&self, tenant: &str, config: &config::Postgres) -> Result<SchemaState, DatabaseError> {
        let kind = self.types.get(tenant).map_or("", String::as_str);
        let Some(manifest) = self.manifests.of(kind) else {
            let why = format!("the manifest does not contain its type `{kind}`");
            return Ok(SchemaState::Failed(why.into()));
        };
        let database = Postgres::new(config, None, "");
        let connection = match connect::connect(database.reader()).await {
            Ok(connection) => connection,
            Err(DatabaseError::Never(why)) if why.sqlstate() == Some(NO_DATABASE) => {
                return Ok(SchemaState::NoDatabase);
            }
            Err(error) => return Err(error),
        };
        let request = InspectRequest {
            manifest,
            shared: true,
            tenants: None,
            on_progress: NO_PROGRESS,
            ..*self.request
        };
        let mut reading = Reading::on(connection, request.timeout);
        let found = database.inspect_with(&mut reading, &request).await;
        reading.close().await;
        Ok(match found {
            Ok((found, _)) => found.shared.unwrap_or(SchemaState::NoSchema),
            Err(error) => SchemaState::Failed(error.into_cause()),
        })
    }
}

/// The manifest of a tenant's database, in which the tenant is the shared schema; one for each type of tenant.
struct Manifests {
    one: Manifest,
    by_type: BTreeMap<String, Manifest>,
}

impl Manifests {
    fn new(manifest: &Manifest) -> Self {
        let of = |tables| Manifest {
            shared: Expected { tables, ..manifest.tenant.clone() },
            tenant: Expected::default(),
            types: BTreeMap::new(),
            ..manifest.clone()
        };
        Self {
            one: of(manifest.tenant.tables.clone()),
            by_type: manifest
                .types
                .iter()
                .map(|(kind, tables)| (kind.clone(), of(tables.clone())))
                .into_map(),
        }
    }

    fn of(&self, kind: &str) -> Option<&Manifest> {
        if self.by_type.is_empty() { Some(&self.one) } else { self.by_type.get(kind) }
    }
}

/// Makes tenants with equal ledgers share one copy.
fn share_ledgers(mut states: BTreeMap<String, SchemaState>) -> BTreeMap<String, SchemaState> {
    let mut last: Option<Arc<[LedgerRow]>> = None;
    for state in states.values_mut() {
        let SchemaState::Read(snapshot) = state else { continue };
        match &last {
            Some(ledger) if *ledger == snapshot.ledger => snapshot.ledger = Arc::clone(ledger),
            _ => last = Some(Arc::clone(&snapshot.ledger)),
        }
    }
    states
}
