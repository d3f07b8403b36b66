//! The doctor's facts about every server of tenants' databases, several servers at a time.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::{Router, inspect::NO_DATABASE, server::MAINTENANCE};
use crate::{
    config,
    database::{
        DatabaseError,
        examined::{Examined, ExaminedServer},
        postgres::Postgres,
    },
    deadline::Deadline,
};

/// The number of servers at a time.
const SERVERS: usize = 8;
/// For one server.
const TIMEOUT: Duration = Duration::from_mins(1);

impl Router {
    /// The facts about each server.
    pub(crate) async fn examine_servers(&self) -> Result<Vec<ExaminedServer>, DatabaseError> {
        let examined = self.servers().await?.into_iter().map(async |(address, server)| {
            let examined = Deadline::after(TIMEOUT).limit(examine(server.config)).await;
            let examined = examined.unwrap_or(Err(DatabaseError::TimedOut));
            ExaminedServer {
                address,
                databases: server.databases.len(),
                examined: examined.map_err(DatabaseError::into_cause),
            }
        });
        Ok(stream::iter(examined).buffered(SERVERS).collect().await)
    }
}

/// The facts about the server of a tenant's database.
async fn examine(config: config::Postgres) -> Result<Examined, DatabaseError> {
    let tenant = Postgres::new(&config, None, "");
    match tenant.ping().await {
        Ok(()) => Ok(tenant.examine(&[]).await),
        Err(DatabaseError::Never(why)) if why.sqlstate() == Some(NO_DATABASE) => {
            let server = Postgres::new(&config.renamed(MAINTENANCE), None, "");
            server.ping().await?;
            Ok(server.examine(&[]).await)
        }
        Err(error) => Err(error),
    }
}
