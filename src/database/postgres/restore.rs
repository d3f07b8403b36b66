//! Creates the missing objects of a schema in one transaction, which commits only if the resulting structure is accepted.

use std::future::{Ready, ready};

use super::{
    Postgres,
    apply::TRANSACTION,
    connection::Connection,
    lock,
    quote::identifier,
    run_migration,
    structure::{create, structure},
};
use crate::{
    database::{
        ApplyError, Limits, NoticeSender, Schema,
        engine::VerifyStructure,
        restorable::{Restorable, missing},
        segments,
    },
    tenants::structure::{Structure, difference::Difference},
};

impl Postgres {
    /// The statements are a script for psql.
    pub(crate) fn restorable(
        &self,
        schema: &Schema,
        expected: &Structure,
        differences: &[Difference],
    ) -> Ready<Restorable> {
        let schema = self.schema_name(schema);
        let mut objects = missing(expected, differences);
        let mut statements = vec![
            format!("SET LOCAL search_path = {}", identifier(schema)),
            "SET LOCAL check_function_bodies = off".to_owned(),
        ];
        statements.extend(create::statements(schema, &objects));
        let mut other = Vec::new();
        for one in differences.iter().filter(|one| one.actual.is_some()) {
            match (&one.expected, create::completion(schema, one)) {
                (Some(column), Some(sql)) => {
                    statements.extend(sql);
                    objects.push(column.as_ref().clone());
                }
                _ => other.push(one.clone()),
            }
        }
        ready(Restorable { objects, statements, other })
    }

    pub(crate) async fn restore(
        &self,
        schema: &Schema,
        statements: &[String],
        verify: VerifyStructure<'_>,
        limits: &Limits,
    ) -> Result<(), ApplyError> {
        let schema = self.schema_name(schema);
        segments::retry_locked(limits, async || {
            let mut connection = self.writer_for(limits).await?;
            let restored = restore(&mut connection, schema, statements, verify, limits).await;
            if restored.is_err() {
                // Other sessions do not have to wait until the server notices the closed connection.
                connection.roll_back().await;
            }
            connection.close().await;
            restored
        })
        .await
    }
}

async fn restore(
    connection: &mut Connection,
    schema: &str,
    statements: &[String],
    verify: VerifyStructure<'_>,
    limits: &Limits,
) -> Result<(), ApplyError> {
    connection.rows(&run_migration::begin(limits)).await?;
    lock::schema(connection, schema, TRANSACTION, limits.nowait).await?;
    connection.set_notices(limits.notices.as_ref().map(NoticeSender::of_statements));
    for statement in statements {
        let done = connection.run(statement, limits.deadline).await;
        done.map_err(|error| ApplyError::from(error).at_statement(statement))?;
    }
    connection.set_notices(None);
    let after = structure(connection, schema).await?;
    verify(&after).map_err(ApplyError::of)?;
    connection.run("COMMIT", limits.deadline).await.map_err(ApplyError::from)
}
