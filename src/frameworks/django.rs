//! Django with django-tenants: the project's own Python derives the manifest and applies the migrations.

mod creations;
mod draft;
pub(crate) mod ledger;
pub(super) mod modules;

use std::path::Path;

use super::draft::Draft;
use super::framework::{
    AppInfo, Creation, External, Framework, FrameworkInfo, Progress, Replay, StopPolicy, argument,
};
use super::signature::Signature;
use crate::{
    config::Project,
    failure::Failure,
    tenants::{ledger::Ledger, manifest::Manifest},
};

/// The parts of a Python program. Programs share parts, so they are joined only when one runs.
type Script = [&'static str];

const PROJECT: &str = include_str!("django/project.py");
const VALUES: &str = include_str!("django/values.py");
const RECORDER: &str = include_str!("django/recorder.py");

const MANIFEST: &Script = &[PROJECT, VALUES, include_str!("django/manifest.py")];
const NEW_TENANT: &Script = &[PROJECT, VALUES, include_str!("django/new_tenant.py")];
const MIGRATE: &Script = &[PROJECT, RECORDER, include_str!("django/migrate.py")];
const PENDING_SQL: &Script = &[PROJECT, include_str!("django/pending_sql.py")];
const RECORD: &Script = &[PROJECT, include_str!("django/record.py")];
const REPLAY: &Script = &[PROJECT, RECORDER, include_str!("django/replay.py")];

#[derive(Debug)]
pub(crate) struct Django;

impl Framework for Django {
    fn name(&self) -> &'static str {
        "django"
    }

    fn ledgers(&'static self) -> Vec<&'static dyn Ledger> {
        vec![&ledger::DJANGO_5, &ledger::DJANGO_6]
    }

    fn make(&self) -> &'static str {
        "portcullis manifest django"
    }

    fn signatures(&self) -> &'static [Signature] {
        &[Signature {
            title: "Django",
            table: "django_migrations",
            columns: &["id", "app", "name", "applied"],
            beside: None,
            folders: &[],
            lines: "manage = \"manage.py\"\n",
        }]
    }

    fn draft(&self, folder: &Path) -> Option<Draft> {
        draft::draft(folder)
    }

    fn external(&'static self) -> Option<&'static dyn External> {
        Some(&Django)
    }
}

impl External for Django {
    fn about(&self) -> FrameworkInfo {
        FrameworkInfo {
            title: "Django",
            interpreter: "Python",
            env: &[("PYTHONUNBUFFERED", "1")],
            apps: Some(AppInfo {
                registry: "django_tenants in INSTALLED_APPS",
                tenant_apps: "add them to TENANT_APPS",
            }),
            commands: ledger::COMMANDS,
        }
    }

    fn staleness(&'static self, manifest: &Manifest, project: &Project) -> Option<String> {
        if !self.ledgers().contains(&manifest.framework) {
            return Some("it was not derived from a Django project".into());
        }
        modules::staleness(&manifest.sources, project.folder())
    }

    fn ask(&self, project: &Project, output: &str) -> Result<Vec<String>, Failure> {
        python(project, MANIFEST, [output.to_owned()])
    }

    fn migrate(
        &self,
        project: &Project,
        schemas: &[String],
        stop_policy: StopPolicy,
    ) -> Result<Vec<String>, Failure> {
        let stop_policy = match stop_policy {
            StopPolicy::Stop => "stop",
            StopPolicy::Continue => "continue",
            StopPolicy::AtOnce => "at-once",
        };
        python(project, MIGRATE, [stop_policy.to_owned()].into_iter().chain(schemas.iter().cloned()))
    }

    fn new_rows(&self, project: &Project) -> Option<Result<Vec<String>, Failure>> {
        Some(python(project, NEW_TENANT, []))
    }

    fn record(&self, project: &Project, tenant: &str) -> Option<Result<Vec<String>, Failure>> {
        Some(python(project, MIGRATE, ["record".to_owned(), format!("tenant:{tenant}")]))
    }

    fn pending_sql(&self, project: &Project, requests: String) -> Option<Result<Vec<String>, Failure>> {
        Some(python(project, PENDING_SQL, [requests]))
    }

    fn replay(&self, project: &Project, replay: &Replay<'_>) -> Result<Vec<String>, Failure> {
        let arguments = [replay.tenant.to_owned(), replay.app.to_owned()];
        python(project, REPLAY, arguments.into_iter().chain(replay.copies.iter().cloned()))
    }

    fn mark_applied(
        &self,
        project: &Project,
        tenant: Option<&str>,
        migrations: &[String],
    ) -> Result<Vec<String>, Failure> {
        python(
            project,
            RECORD,
            [tenant.unwrap_or_default().to_owned()].into_iter().chain(migrations.iter().cloned()),
        )
    }

    fn read_line<'a>(&self, line: &'a str) -> Option<Progress<'a>> {
        let (migration, rest) = line.split_once("Applying ")?.1.split_once("...")?;
        Some(if rest.contains(" OK") { Progress::Applied(migration) } else { Progress::Applying(migration) })
    }

    fn creations(&self, folder: &Path, commands: &[String]) -> Result<Vec<Creation>, String> {
        creations::creations(folder, commands)
    }
}

/// The command that runs a helper script with the project's interpreter: `python -c SCRIPT MANAGE ARGUMENT...`.
fn python(
    project: &Project,
    script: &Script,
    arguments: impl IntoIterator<Item = String>,
) -> Result<Vec<String>, Failure> {
    let manage = project.entry.as_deref().map_or(Ok(""), argument)?;
    let mut argv = vec![project.interpreter.clone(), "-c".into(), script.concat(), manage.into()];
    argv.extend(arguments);
    Ok(argv)
}
