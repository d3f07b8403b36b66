//! Makes one tenant, whichever the framework: whole, or nothing of it.

use std::future::pending;

use tokio::time;

use super::{
    begun::{self, Begun},
    wanted::kind,
};
use crate::{
    actions::{Work, record, template},
    database::{Creation, ProvisionError},
    failure::{Failure, Left, chain},
    frameworks::{Ending, MigrateError, Migrating, Project},
    outcome::{FailureDetails, SchemaFailure, wording},
    tenants::{
        found::Look,
        gate::{Outcome, judge_schema},
        manifest::{Expected, Manifest},
    },
    words::duration,
};

/// Registry rows, schema, every migration, verified; under the lock, which is taken if it is not held.
pub(crate) async fn create(work: &Work, new: &Creation, say: &dyn Fn(String)) -> Result<(), FailureDetails> {
    work.lock.hold(work, say).await?;
    // Read before anything is begun: a manifest that is stale changes nothing.
    work.expectation().await?;
    work.record.begin(work).await;
    work.begun.note(Begun::Creation(new.clone()));
    let failed = match attempt(work, new).await {
        Ok(()) => {
            created(work, new);
            return Ok(());
        }
        Err(failed) => failed,
    };
    let (left, why) = match failed.left {
        Some(left) => (left, None),
        None => match begun::take_back(work).await {
            begun::TakenBack::Whole => {
                say(format!("`{}` is whole, though: {}", new.schema, failed.why));
                created(work, new);
                return Ok(());
            }
            taken => left(taken),
        },
    };
    work.begun.forget();
    Err(failed.trouble(&new.schema, left, why))
}

/// What is left of an attempt, and why if that is anything.
fn left(taken: begun::TakenBack) -> (Left, Option<String>) {
    match taken {
        begun::TakenBack::Nothing | begun::TakenBack::Whole => (Left::Nothing, None),
        begun::TakenBack::Unproved(why) => (Left::Unproved, Some(why)),
        begun::TakenBack::Later(why) => (Left::Later, Some(why)),
    }
}

fn created(work: &Work, new: &Creation) {
    work.begun.forget();
    work.record.changed(Some(&new.schema), &[record::CREATED.into()]);
}

/// Why an attempt came to nothing.
struct Failed {
    why: String,
    schema: Option<SchemaFailure>,
    output: Vec<String>,
    /// None if that is still to be seen.
    left: Option<Left>,
    /// One that says more than that a tenant could not be made: credentials, the lock.
    failure: Option<Failure>,
}

async fn attempt(work: &Work, new: &Creation) -> Result<(), Failed> {
    let manifest = &work.expectation().await?.manifest;
    let expected = expected(manifest, new);
    let limits = work.limits()?;
    let migrations = work.migrations()?;
    let verify = |look: &Look| verified(work, manifest, &expected, look);
    let template = template::configured(work).await?;
    if let (Some(project), None) = (work.project()?, &template) {
        migrated(work, project, new).await?;
        work.lock.still_held().await?;
        return work.database()?.finish(new, &limits).await.map_err(|error| Failed::of(new, error));
    }
    let (database, files) = (work.database()?, &work.expectation().await?.tenant);
    let provisioning = async {
        match &template {
            Some(template) => {
                database.copy(new, template, (&expected, manifest.framework.shape()), &limits, &verify).await
            }
            None => database.provision(new, files, &expected, &limits, &verify).await,
        }
    };
    match time::timeout(migrations.apply.timeout, provisioning).await {
        Ok(result) => result.map_err(|error| Failed::of(new, error)),
        Err(_) => Err(Failed::saying(format!("ran longer than {}", duration(migrations.apply.timeout)))),
    }
}

/// Makes the schema and has the framework migrate it; the journal knows of it, and nobody has registered it yet.
async fn migrated(work: &Work, project: Project<'_>, new: &Creation) -> Result<(), Failed> {
    let (database, manifest) = (work.database()?, &work.expectation().await?.manifest);
    let expected = expected(manifest, new);
    database.begin(new, &work.limits()?).await.map_err(|error| Failed::of(new, error))?;
    framework(work, project, new).await?;
    let look = database.look_at(&new.schema, &expected, manifest.framework.shape()).await;
    let complete =
        look.map_err(|error| error.to_string()).and_then(|look| verified(work, manifest, &expected, &look));
    complete.map_err(Failed::saying)
}

/// Has the framework make a schema that nobody registers, lets it be read, and removes it again.
pub(crate) async fn scratch<T>(
    work: &Work,
    project: Project<'_>,
    new: &Creation,
    say: &dyn Fn(String),
    read: impl AsyncFnOnce() -> Result<T, Failure>,
) -> Result<T, FailureDetails> {
    work.lock.hold(work, say).await?;
    work.begun.note(Begun::Creation(new.clone()));
    let result = match migrated(work, project, new).await {
        Ok(()) => read().await.map_err(Failed::from),
        Err(failed) => Err(failed),
    };
    let (left, why) = left(begun::take_back(work).await);
    work.begun.forget();
    match (result, why) {
        (Ok(result), None) => Ok(result),
        (Ok(_), Some(why)) => Err(Failed::saying(why).trouble(&new.schema, left, None)),
        (Err(failed), why) => {
            let left = failed.left.unwrap_or(left);
            Err(failed.trouble(&new.schema, left, why))
        }
    }
}

/// Has the framework migrate the schema that stands there empty.
async fn framework(work: &Work, project: Project<'_>, new: &Creation) -> Result<(), Failed> {
    work.lock.still_held().await?;
    let timeout = work.migrations()?.apply.timeout;
    // Only a tenant's schema is made here.
    let migrating = Migrating { ending: Ending::AtOnce, timeout, shared_schema: "" };
    let schemas = [Some(new.schema.clone())];
    match project.migrate(&schemas, migrating, pending(), &|_| {}).await.pop() {
        Some((_, Ok(()))) => Ok(()),
        Some((_, Err(MigrateError::Schema(schema, output)))) => {
            Err(Failed { schema: Some(schema.clone()), output, ..Failed::saying(schema.why.to_string()) })
        }
        // A program that is not there is why there is no tenant, as one that fails is.
        Some((_, Err(MigrateError::Run(failure @ Failure::CommandMissing { .. })))) => {
            Err(Failed::saying(chain(&failure)))
        }
        Some((_, Err(MigrateError::Run(failure)))) => Err(failure.into()),
        None => Err(Failed::saying("the framework's program ended before it began".into())),
    }
}

/// What the gate has to say of it.
fn verified(work: &Work, manifest: &Manifest, expected: &Expected, look: &Look) -> Result<(), String> {
    let verdict = judge_schema(manifest, expected, look, work.rules(0));
    if verdict.outcome() == Outcome::Complete {
        return Ok(());
    }
    Err(format!("it was not complete after its migrations: {}", wording::sentence(verdict.findings.iter())))
}

/// What this tenant must hold, by its type where there are types.
fn expected(manifest: &Manifest, new: &Creation) -> Expected {
    let kind = kind(&new.columns, manifest.type_column());
    let tables = manifest.tables_of(kind).clone();
    Expected { migrations: manifest.tenant.migrations.clone(), tables, kinds: manifest.tenant.kinds.clone() }
}

impl Failed {
    fn saying(why: String) -> Self {
        Self { why, schema: None, output: Vec::new(), left: None, failure: None }
    }

    fn of(new: &Creation, error: ProvisionError) -> Self {
        let schema = error.migration.map(|migration| SchemaFailure {
            tenant: Some(new.schema.clone()),
            migration: Some(migration),
            place: error.place,
            why: error.why.clone().into(),
            dirty: false,
        });
        let refused = || Failure::Refused { what: "the database".into(), why: error.why.clone().into() };
        let failure = error.refused.then(refused);
        Self { schema, left: error.left, failure, ..Self::saying(error.why.to_string()) }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { why: chain(&failure), failure: Some(failure), ..Self::saying(String::new()) }
    }
}

impl Failed {
    /// What is told, once it is known what is left and why.
    fn trouble(self, tenant: &str, left: Left, more: Option<String>) -> FailureDetails {
        let failure = match self.failure {
            Some(failure) if left == Left::Nothing || left == Left::AsItWas => failure,
            _ => {
                let why = more.map_or_else(|| self.why.clone(), |more| format!("{}; {more}", self.why));
                Failure::Provisioning { tenant: tenant.to_owned(), why: why.into(), left }
            }
        };
        FailureDetails { failed: self.schema.into_iter().collect(), output: self.output, ..failure.into() }
    }
}
