//! The gate's look at PostgreSQL: registry, catalog, ledgers, in READ ONLY transactions.

use std::collections::{BTreeMap, BTreeSet};

use super::{DatabaseError, Postgres, catalog, connect, journal, ledgers, reading::Reading, registry::Rows};
use crate::{
    config::Selection,
    database::Question,
    tenants::{
        found::{Found, Look},
        manifest::Expected,
    },
};

impl Postgres {
    pub(in super::super) async fn look(&self, question: &Question<'_>) -> Result<Found, DatabaseError> {
        let mut reading = Reading::open(self.reader(), question.timeout).await?;
        let server = Server::read(&mut reading).await.map_err(|error| connect::failed(&error))?;
        if server.standby && !question.allow_standby {
            return Err(DatabaseError::Failed(
                "the server is a standby, which proves only itself; `allow_standby` accepts it".into(),
            ));
        }
        let manifest = question.manifest;
        let mut found = Found::default();
        if question.shared {
            let shared = vec![self.config.shared_schema.clone()];
            let mut looks = self.schemas(&mut reading, &shared, &manifest.shared, question, &server).await?;
            found.shared = looks.remove(&self.config.shared_schema);
        }
        if let Some(selection) = question.tenants {
            let rows = match self.read_registry(&mut reading, manifest.type_column()).await? {
                Some(rows) => rows,
                None => self.registry.as_ref().map_or(Ok(Rows::default()), |registry| {
                    let (_, table) = super::registry::table(registry, &self.config.shared_schema);
                    question.without_registry(table, &found).map(|()| Rows::default())
                })?,
            };
            found.registered = rows.tenants.len();
            let asked = asked(selection, &rows, &mut found.unregistered);
            found.tenants = self.tenants_by_type(&mut reading, &asked, &rows, question, &server).await?;
            found.types.clone_from(&rows.types);
            if manifest.django.is_some() {
                found.shadows =
                    self.shadows(&mut reading, manifest).await.map_err(|error| connect::failed(&error))?;
            }
            if *selection == Selection::All && self.registry.is_some() {
                let ledger = manifest.framework.shape().table;
                let orphans = self.orphans(&mut reading, ledger, &rows).await;
                found.orphans = orphans.map_err(|error| connect::failed(&error))?.into_iter().collect();
                let marked = reading.rows(&journal::marked()).await;
                for row in marked.map_err(|error| connect::failed(&error))? {
                    if let Some(schema) = connect::text(&row, 0).map_err(|error| connect::failed(&error))? {
                        found.orphans.remove(&schema);
                        found.unfinished.insert(schema);
                    }
                }
            }
        }
        reading.close().await;
        Ok(found)
    }

    /// One look for each tenant, at the tables that its type must have, where there are types.
    async fn tenants_by_type(
        &self,
        reading: &mut Reading,
        asked: &[String],
        rows: &Rows,
        question: &Question<'_>,
        server: &Server,
    ) -> Result<BTreeMap<String, Look>, DatabaseError> {
        let manifest = question.manifest;
        if manifest.types.is_empty() {
            return self.schemas(reading, asked, &manifest.tenant, question, server).await;
        }
        let mut looks = BTreeMap::new();
        let mut by_type: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for tenant in asked {
            by_type
                .entry(rows.types.get(tenant).map_or("", String::as_str))
                .or_default()
                .push(tenant.clone());
        }
        for (kind, schemas) in by_type {
            if let Some(tables) = manifest.types.get(kind) {
                let expected =
                    Expected { migrations: manifest.tenant.migrations.clone(), tables: tables.clone() };
                looks.extend(self.schemas(reading, &schemas, &expected, question, server).await?);
            } else {
                let why = format!("its type `{kind}` is none that the manifest knows");
                looks.extend(schemas.into_iter().map(|schema| (schema, Look::Failed(why.clone()))));
            }
        }
        Ok(looks)
    }

    /// One look for each of the schemas, whatever becomes of it.
    async fn schemas(
        &self,
        reading: &mut Reading,
        schemas: &[String],
        expected: &Expected,
        question: &Question<'_>,
        server: &Server,
    ) -> Result<BTreeMap<String, Look>, DatabaseError> {
        let shape = question.manifest.framework.shape();
        let mut facts = catalog::facts(reading, schemas, expected, shape.table)
            .await
            .map_err(|error| connect::failed(&error))?;
        let mut looks = BTreeMap::new();
        for schema in schemas {
            let settled = match facts.get(schema) {
                None => Some(Look::NoSchema),
                Some(facts) => facts.settled(expected, shape.table),
            };
            if let Some(look) = settled {
                facts.remove(schema);
                looks.insert(schema.clone(), look);
            }
        }
        let unread: Vec<String> = facts.keys().cloned().collect();
        let work =
            ledgers::Work { config: self.reader(), shape, timeout: question.timeout, locks: server.locks };
        for (schema, answer) in ledgers::read(&work, unread).await? {
            let Some(mut facts) = facts.remove(&schema) else { continue };
            let look = match answer {
                Ok(ledger) => {
                    facts.seen.ledger = ledger;
                    Look::Seen(facts.seen)
                }
                Err(error) => again(reading, &schema, expected, shape.table, &error).await?,
            };
            looks.insert(schema, look);
        }
        Ok(looks)
    }
}

/// A ledger that could not be read may be one that was dropped meanwhile.
async fn again(
    reading: &mut Reading,
    schema: &str,
    expected: &Expected,
    ledger: &str,
    error: &sqlx::Error,
) -> Result<Look, DatabaseError> {
    if matches!(connect::code(error), Some("3F000" | "42P01")) {
        let facts = catalog::facts(reading, &[schema.to_owned()], expected, ledger)
            .await
            .map_err(|error| connect::failed(&error))?;
        if !facts.contains_key(schema) {
            return Ok(Look::Vanished);
        }
    }
    Ok(Look::Failed(connect::words(error)))
}

/// The tenants to look at; those that the registry does not hold are set apart.
fn asked(selection: &Selection, rows: &Rows, unregistered: &mut BTreeSet<String>) -> Vec<String> {
    match selection {
        Selection::All => rows.tenants.clone(),
        Selection::Named(names) => {
            let names: BTreeSet<&String> = names.iter().collect();
            let (known, unknown) = names.into_iter().partition(|name| rows.tenants.contains(name));
            unregistered.extend(Vec::<&String>::into_iter(unknown).cloned());
            Vec::<&String>::into_iter(known).cloned().collect()
        }
    }
}

/// What has to be known of the server itself.
struct Server {
    standby: bool,
    /// How many locks its table has room for.
    locks: u64,
}

impl Server {
    async fn read(reading: &mut Reading) -> Result<Self, sqlx::Error> {
        let rows = reading
            .rows(
                "SELECT pg_is_in_recovery()::text, (current_setting('max_locks_per_transaction')::bigint \
                 * (current_setting('max_connections')::bigint \
                 + current_setting('max_prepared_transactions')::bigint))::text",
            )
            .await?;
        let standby = rows.first().map(|row| connect::flag(row, 0)).transpose()?.unwrap_or(false);
        Ok(Self { standby, locks: connect::number(&rows, 1)? })
    }
}
