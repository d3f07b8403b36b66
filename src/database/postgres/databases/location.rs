//! Where a tenant's database is: the registry's row fills the configured template.

use std::collections::BTreeMap;

use super::Router;
use crate::{
    cause::{Cause, Kind},
    config::{TenantDatabase, TenantDatabasePart as Part},
    database::{
        Creation, DatabaseError,
        postgres::{
            Postgres, connect,
            quote::{identifier, literal},
            read_only::Reading,
        },
    },
    ordered::Ordered,
    tenants::manifest::ColumnValue,
};

/// For one row of the registry.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// The SQL expression of a row's location; NULL if one of its columns is NULL.
pub(in super::super) fn expression(database: &TenantDatabase) -> String {
    let parts = database.parts().iter().map(|part| match part {
        Part::Text(text) => literal(text),
        Part::Column(column) => format!("{}::text", identifier(column)),
    });
    parts.collect::<Vec<_>>().join(" || ")
}

impl Router {
    /// The handle of a tenant's database.
    pub(super) async fn tenant(&self, tenant: &str) -> Result<Postgres, DatabaseError> {
        let known = self.locations.borrow().get(tenant).cloned();
        let location = match known {
            Some(location) => location,
            None => self.read_location(tenant).await?,
        };
        self.at(&location).map_err(DatabaseError::Failed)
    }

    /// The handle of the database at a location.
    pub(super) fn at(&self, location: &str) -> Result<Postgres, Cause> {
        let config = self.home.config.of_tenant(location)?;
        Ok(Postgres::new(&config, None, &self.home.run))
    }

    pub(super) async fn read_location(&self, tenant: &str) -> Result<String, DatabaseError> {
        let mut reading = Reading::open(self.home.direct(), TIMEOUT).await?;
        let row = self.home.row(&self.registry, tenant);
        let sql = format!("SELECT ({}) FROM {row}", expression(&self.database));
        let rows = reading.rows(&sql).await;
        reading.close().await;
        let rows = rows?;
        let row = rows.first().ok_or_else(|| {
            DatabaseError::Failed(Cause::new(
                Kind::Missing,
                format!("the registry does not contain `{tenant}`"),
            ))
        })?;
        let location = connect::text(row, 0)?.unwrap_or_default();
        self.locations.borrow_mut().insert(tenant.to_owned(), location.clone());
        Ok(location)
    }

    /// The location of a tenant that has no row yet.
    pub(super) fn of_creation(&self, new: &Creation) -> Result<String, String> {
        let own = (self.registry.schema_column.clone(), ColumnValue::Text(new.schema.clone()));
        let columns: BTreeMap<String, ColumnValue> = new.columns.clone().into_iter().chain([own]).into_map();
        let parts = self.database.parts().iter().map(|part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Column(column) => match columns.get(column) {
                Some(ColumnValue::Text(value)) if !value.is_empty() => Ok(value.clone()),
                _ => Err(format!(
                    "its database is named after the column `{column}`, which has no value: give one"
                )),
            },
        });
        parts.collect()
    }
}
