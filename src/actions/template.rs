//! Builds the template that new tenants of a framework are copied from, once per release; rejects a stale template.

use std::{io, path::Path, time::Duration};

use super::{context::RunContext, provision::create::scratch, run_state::RunState};
use crate::{
    cause::Unavailable,
    config::{self, Database},
    credentials,
    database::{
        Creation, DatabaseError, RegistryRow, Schema,
        template::{self, Template},
    },
    deadline::Deadline,
    failure::Failure,
    files,
    frameworks::run_to_end,
    outcome::{ActionEvent, FailureDetails},
    process::Child,
};

/// The time limit of pg_dump, which reads one empty tenant.
const TIMEOUT: Duration = Duration::from_mins(5);
const GRACE: Duration = Duration::from_secs(8);

/// The number of rows that pg_dump writes into one INSERT.
const ROWS: &str = "--rows-per-insert=500";

/// The configured template, if one exists; an error if it was built for another release.
pub(crate) async fn configured(context: &RunContext) -> Result<Option<Template>, Failure> {
    let Some(path) = &context.migrations()?.template else { return Ok(None) };
    let unusable = |why: String| Failure::TemplateUnusable { path: path.clone(), why };
    let text = files::read(path, files::TIMEOUT).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unusable("it does not exist".into()),
        _ => unusable(error.to_string()),
    })?;
    let template = Template::parse(&text).map_err(unusable)?;
    let release = context.expectation().await?.manifest.release();
    if template.release == release {
        return Ok(Some(template));
    }
    Err(unusable(format!(
        "the template was built for release {}; the manifest is release {release}",
        template.release
    )))
}

/// Has the framework create a temporary tenant, and writes it to the template file. Returns what was written.
pub(crate) async fn make(
    state: &RunState,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Template, FailureDetails> {
    let lacks = |needs| Failure::ConfigLacks { what: "building a template".into(), needs };
    let context = &state.context;
    let migrations = context.migrations()?;
    let path = migrations.template.as_ref().ok_or_else(|| lacks("migrations.template"))?;
    let (Some(project), Some(Database::Postgres(postgres))) = (context.project()?, &context.config.database)
    else {
        return Err(lacks("a framework that creates tenants itself, and PostgreSQL").into());
    };
    let manifest = &context.expectation().await?.manifest;
    if !manifest.types.is_empty() {
        let message =
            "tenants have several types, and a template covers only one: let the framework migrate each tenant".into();
        return Err(Failure::Usage { message }.into());
    }
    // The random suffix cannot collide with data.
    let name = format!("portcullis_template_{:016x}", fastrand::u64(..));
    let new = Creation { rows: RegistryRow::Never, ..Creation::of(&name, &context.run) };
    let direct = postgres.direct.as_deref().unwrap_or(postgres);
    let dump = path.with_extension("dump");
    let locked = state.acquire(&|text| on_event(ActionEvent::Note(text))).await?;
    locked.prepare_framework(context).await?;
    let written = scratch(state, &locked, project, &new, on_event, async || {
        let (server, structure) = context
            .database()?
            .structure(&Schema::Tenant(name.clone()))
            .await
            .map_err(|error| error.into_failure("reading the template's structure"))?;
        dumped(context, direct, &name, &dump, on_event).await?;
        let text = read(&dump).await?;
        let internal = |why| Failure::Internal { what: format!("cannot parse the output of pg_dump: {why}") };
        let sql = template::cleaned(&text, &name).map_err(internal)?;
        Ok(Template {
            release: manifest.release(),
            server,
            schema: name.clone(),
            structure: structure.without_table(manifest.framework.shape().table).digest(),
            sql,
        })
    })
    .await;
    // If the file cannot be removed, the next build replaces it.
    let _ = files::within(files::TIMEOUT, move || files::remove_now(&dump)).await;
    let template = written?;
    files::replace(path, template.text(), files::TIMEOUT).await.map_err(|error| {
        Failure::TemplateUnusable { path: path.clone(), why: format!("cannot write it: {error}") }
    })?;
    Ok(template)
}

async fn read(path: &Path) -> Result<String, Failure> {
    let unusable =
        |error: io::Error| Failure::TemplateUnusable { path: path.to_owned(), why: error.to_string() };
    files::read(path, files::TIMEOUT).await.map_err(unusable)
}

/// Runs pg_dump; only its environment contains the password.
async fn dumped(
    context: &RunContext,
    direct: &config::Postgres,
    schema: &str,
    path: &Path,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), Failure> {
    let program = "pg_dump".to_owned();
    let mut argv = vec![program.clone(), format!("--schema={schema}")];
    argv.extend(
        ["--quote-all-identifiers", "--no-owner", "--no-password", "--encoding=UTF8", ROWS]
            .map(str::to_owned),
    );
    argv.push(format!("--file={}", path.display()));
    argv.push(format!("--dbname={}", direct.conninfo()));
    let refused = |why: Unavailable| DatabaseError::from(why).into_failure("the password of pg_dump");
    let password = credentials::for_program(direct).await.map_err(refused)?;
    let mut env: Vec<(String, String)> = Vec::new();
    env.extend(password.map(|password| ("PGPASSWORD".to_owned(), password.expose().to_owned())));
    let child = Child {
        argv,
        env,
        cwd: None,
        privileges: config::Privileges::default(),
        exports: false,
        logs_in: false,
        grace: GRACE,
    };
    let finished = run_to_end(&context.processes, &child, Deadline::after(TIMEOUT), on_event)
        .await
        .map_err(|error| Failure::CommandMissing { program: program.clone(), why: error.to_string() })?;
    finished.accepted(&program, &[0], TIMEOUT).map(drop).map_err(|failure| match failure {
        Failure::CommandFailed { program, ended } => {
            let last = finished.last.back().map_or("", String::as_str);
            Failure::CommandFailed { program, ended: format!("{ended}: {last}") }
        }
        failure => failure,
    })
}
