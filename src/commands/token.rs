//! `portcullis token`: the current password of the configured database, for programs that log in themselves.

use std::time::SystemTime;

use crate::{
    config::{Config, Database},
    credentials,
    database::DatabaseError,
    failure::Failure,
    outcome::token::DatabaseToken,
};

/// `reader` and `direct` choose another connection than `[database]` itself.
pub(crate) async fn run(config: &Config, reader: bool, direct: bool) -> Result<DatabaseToken, Failure> {
    let lacks = |needs| Failure::ConfigLacks { what: "`portcullis token`".into(), needs };
    let Some(Database::Postgres(database)) = &config.database else {
        return Err(lacks("[database]"));
    };
    let other = match (reader, direct) {
        (true, _) => database.reader.as_deref(),
        (_, true) => database.direct.as_deref(),
        _ => None,
    };
    let database = other.unwrap_or(database);
    let failed = |why| DatabaseError::from(why).into_failure("the request for the password");
    let issued = credentials::issued(database, None).await.map_err(failed)?;
    let (Some(issued), Some(host)) = (issued, database.hosts.first()) else {
        return Err(lacks("[database] password"));
    };
    Ok(DatabaseToken {
        password: issued.password.of(host, &database.user).map_err(failed)?,
        expires: issued.expires(SystemTime::now()),
        host: host.to_string(),
        user: database.user.clone(),
        source: database.password.source(),
    })
}
