//! Creates one complete tenant as a copy of a template, in one transaction; reads a template's structure from a copy.

use super::{
    Postgres,
    connection::Connection,
    quote::identifier,
    rename::rename,
    run_migration,
    structure::{structure, version},
};
use crate::{
    database::{ApplyError, Limits, ProvisionError, ProvisionRequest, template::Template},
    tenants::structure::Structure,
};

/// The settings at the start of pg_dump's output, for this transaction only.
const AS_DUMPED: &str = "SET LOCAL search_path = ''; SET LOCAL check_function_bodies = false; SET LOCAL xmloption = content; \
    SET LOCAL row_security = off; SET LOCAL client_min_messages = warning; SET LOCAL standard_conforming_strings = on";

impl Postgres {
    pub(crate) async fn copy(
        &self,
        request: &ProvisionRequest<'_>,
        template: &Template,
    ) -> Result<(), ProvisionError> {
        let ProvisionRequest { new, layout, limits, .. } = *request;
        let build = async |connection: &mut Connection| {
            let version = version(connection).await?;
            if version != template.server {
                return Err(ProvisionError::refusing(of_other_version(template, &version)));
            }
            let schema = format!("{}; {AS_DUMPED}", self.create_schema(new, false, true));
            connection.rows(&schema).await?;
            let sql = rename(&template.sql, &template.schema, &new.schema);
            connection.run(&sql, limits.deadline).await?;
            let copy = structure(connection, &new.schema).await?;
            if copy.without_table(layout.table).digest() != template.structure {
                return Err(ApplyError::of("the structure of the copy differs from the template").into());
            }
            Ok(())
        };
        self.provision_in_one_transaction(request, build).await
    }

    /// The template's structure, from a copy that is rolled back.
    pub(crate) async fn structure_of_template(
        &self,
        template: &Template,
        limits: &Limits,
    ) -> Result<Structure, ApplyError> {
        let mut connection = self.writer_for(limits).await?;
        let read = async {
            connection.rows(&run_migration::begin(limits)).await?;
            let version = version(&mut connection).await?;
            if version != template.server {
                return Err(ApplyError::of(of_other_version(template, &version)));
            }
            let schema = format!("CREATE SCHEMA {}; {AS_DUMPED}", identifier(&template.schema));
            connection.rows(&schema).await?;
            connection.run(&template.sql, limits.deadline).await?;
            Ok(structure(&mut connection, &template.schema).await?)
        };
        let read = read.await;
        // Other sessions do not have to wait until the server notices the closed connection.
        connection.roll_back().await;
        connection.close().await;
        read
    }
}

fn of_other_version(Template { server, .. }: &Template, version: &str) -> String {
    format!(
        "the template was built on PostgreSQL {server}, but this server is version {version}: build the template again there"
    )
}
