//! Finds out which objects a schema lacks, compared with the manifest, a complete tenant or the template, and how to create them.

use std::collections::BTreeMap;

use super::request::RepairRequest;
use crate::{
    actions::{context::RunContext, judge::inspect, lock::Locked, notices::NoticeLog, template},
    cause::{Cause, Kind},
    config::{Selection, Source},
    database::{ApplyError, Database, Schema, restorable::Restorable, template::Template},
    failure::Failure,
    outcome::{ActionEvent, FailureDetails, wording},
    tenants::{
        gate::{Judgement, Outcome, Verdict},
        inspection::{Inspection, Rows},
        structure::{
            Object, ObjectKind, Structure,
            difference::{Difference, Names, compare},
        },
    },
};

/// The number of complete tenants whose structures are compared with each other.
const COMPARED: usize = 5;

/// The missing objects of a schema, and the statements that create them.
pub(super) struct Restoration {
    /// What has these objects: the manifest, the template or a tenant.
    source: String,
    expected: Structure,
    objects: Vec<Object>,
    pub(super) statements: Vec<String>,
    /// The differences that stay.
    other: Vec<Difference>,
    names: Names,
}

/// None if nothing is missing.
pub(super) async fn plan(
    context: &RunContext,
    request: &RepairRequest<'_>,
    found: &Inspection,
    judgement: &Judgement,
) -> Result<Option<Restoration>, FailureDetails> {
    let refused =
        |why: String| FailureDetails { judgement: Some(judgement.clone()), ..refusal(request, why.into()) };
    if let Some(why) = judgement.verdict(request.tenant).and_then(|verdict| unsuitable(request, verdict)) {
        return Err(refused(why.into()));
    }
    let database = context.database()?;
    let Comparison { source, expected, names, differences } = compared(context, request, found).await?;
    let Restorable { objects, statements, other } =
        database.restorable(&request.schema(), &expected, &differences).await;
    if objects.is_empty() {
        return Ok(None);
    }
    if let Some(object) = objects.iter().find(|object| object.kind == ObjectKind::Other) {
        return Err(refused(format!("{} has no definition", wording::object(object))));
    }
    let tables: Vec<&str> = objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Table)
        .map(|object| object.name.as_str())
        .collect();
    if let Some(table) = tables.iter().find(|table| found.shadows.contains(**table)) {
        return Err(refused(format!(
            "the shared schema has a table `{table}`, which queries have used instead: its rows may belong to the tenant"
        )));
    }
    let absent: Vec<&Object> =
        differences.iter().filter(|one| one.actual.is_none()).filter_map(Difference::object).collect();
    refuse_empty_columns(database, request, &absent).await?;
    Ok(Some(Restoration { source, expected, objects, statements, other, names }))
}

/// Refuses unless the schema has the structure of a complete one.
pub(super) async fn prove_complete(
    context: &RunContext,
    request: &RepairRequest<'_>,
    found: &Inspection,
    judgement: Judgement,
) -> Result<(), FailureDetails> {
    let Comparison { source, differences, .. } = compared(context, request, found).await?;
    let Some(object) = differences.first().and_then(Difference::object) else { return Ok(()) };
    let why = format!("{} is missing or differs from {source}", wording::object(object));
    Err(FailureDetails { judgement: Some(judgement), ..refusal(request, why.into()) })
}

/// The schema compared with a complete one.
struct Comparison {
    source: String,
    expected: Structure,
    names: Names,
    differences: Vec<Difference>,
}

async fn compared(
    context: &RunContext,
    request: &RepairRequest<'_>,
    found: &Inspection,
) -> Result<Comparison, FailureDetails> {
    let actual = structure(context, context.database()?, &request.schema()).await?;
    let (source, expected) = source(context, request, found).await?;
    let names = match context.migrations()?.source {
        Source::Sql { .. } => Names::Exact,
        Source::External(_) => Names::Ignored,
    };
    let differences = differences(request, &expected, &actual, names);
    Ok(Comparison { source, expected, names, differences })
}

/// Without the objects of other programs in the shared schema.
fn differences(
    request: &RepairRequest<'_>,
    expected: &Structure,
    actual: &Structure,
    names: Names,
) -> Vec<Difference> {
    let mut differences = compare(expected, actual, names);
    differences.retain(|one| request.tenant.is_some() || one.concerns_expected_objects());
    differences
}

fn refusal(request: &RepairRequest<'_>, why: Cause) -> FailureDetails {
    Failure::NotRepairable { schema: wording::name(request.tenant).to_owned(), why }.into()
}

/// The reason why the schema is not in a state that a complete one shows.
fn unsuitable(request: &RepairRequest<'_>, verdict: &Verdict) -> Option<&'static str> {
    if request.tenant.is_some() && verdict.is_fresh() {
        return Some("its schema, database or ledger does not exist");
    }
    if verdict.is_pending() {
        return Some("migrations are pending: apply them first");
    }
    (!verdict.may_be_restored()).then_some("its ledger does not prove which migrations it has")
}

/// A column that requires a value cannot be added to a table with rows.
async fn refuse_empty_columns(
    database: &Database,
    request: &RepairRequest<'_>,
    absent: &[&Object],
) -> Result<(), FailureDetails> {
    let requires = absent.iter().copied().filter(|object| {
        let has = |word| object.definition.contains(word);
        object.kind == ObjectKind::Column && has("NOT NULL") && !has("DEFAULT ") && !has("GENERATED ")
    });
    let requires: Vec<&Object> = requires.collect();
    let tables: Vec<String> = requires.iter().map(|object| object.table.clone()).collect();
    let counts = database.count(&request.schema(), &tables).await;
    let counts = counts.map_err(|error| error.into_failure("counting the rows"))?;
    match requires.iter().zip(counts).find(|(_, (_, rows))| *rows != Rows::Counted(0)) {
        None => Ok(()),
        Some((object, _)) => {
            let text = format!(
                "{} requires a value, has no default, and its table has rows: add the column without NOT NULL, fill it, then set NOT \
                 NULL",
                wording::object(object)
            );
            Err(refusal(request, Cause::new(Kind::Constraint, text)))
        }
    }
}

/// The structure in the manifest; for a framework, or on another major version of the server, that of a complete tenant or of
/// the template.
async fn source(
    context: &RunContext,
    request: &RepairRequest<'_>,
    found: &Inspection,
) -> Result<(String, Structure), FailureDetails> {
    let manifest = &context.expectation().await?.manifest;
    let is_derived = manifest.framework.derives_structure();
    if is_derived && manifest.is_derived_on(found.server.as_ref()) {
        let expected = if request.tenant.is_some() { &manifest.tenant } else { &manifest.shared };
        return Ok(("the manifest".into(), expected.structure.clone()));
    }
    let none = |why: &str| {
        let derive = "; the manifest was derived on another database server: derive it on this one";
        refusal(request, format!("{why}{}", if is_derived { derive } else { "" }).into())
    };
    let Some(tenant) = request.tenant else {
        return Err(none(
            "nothing shows the structure of the shared schema: its objects come from a backup alone",
        ));
    };
    let template = template::configured(context).await;
    let example = template.as_ref().ok().and_then(Option::as_ref);
    if let Some(complete) = complete_tenant(context, tenant, found, example).await? {
        return Ok(complete);
    }
    let Some(template) = template?.filter(|_| manifest.types.is_empty()) else {
        return Err(none(
            "no other tenant is complete, and there is no template, so that nothing shows the structure",
        ));
    };
    let structure = context.database()?.structure_of_template(&template, &context.limits()?).await;
    let structure = structure.map_err(|ApplyError { why, .. }| refusal(request, why))?;
    Ok(("the template".into(), structure.without_table(manifest.framework.shape().table)))
}

/// The structure that equals the template, or that most of some complete tenants of the same type have, and one of them.
async fn complete_tenant(
    context: &RunContext,
    tenant: &str,
    found: &Inspection,
    template: Option<&Template>,
) -> Result<Option<(String, Structure)>, Failure> {
    let (all, judgement) = inspect(context, false, Some(&Selection::All)).await?;
    let of_type = |name: &String| all.types.get(name) == found.types.get(tenant);
    let complete = judgement.tenants.iter().filter(|(name, verdict)| {
        *name != tenant
            && verdict.outcome() == Outcome::Complete
            && verdict.findings.is_empty()
            && of_type(name)
    });
    let database = context.database()?;
    let mut structures: BTreeMap<String, Vec<(String, Structure)>> = BTreeMap::new();
    for (name, _) in complete.take(COMPARED) {
        let structure = structure(context, database, &Schema::Tenant(name.clone())).await?;
        structures.entry(structure.digest()).or_default().push((name.clone(), structure));
    }
    let best = structures.into_iter().max_by_key(|(digest, same)| {
        (template.is_some_and(|template| template.structure == *digest), same.len())
    });
    Ok(best.and_then(|(_, mut same)| same.pop()))
}

/// Without the ledger's table, which the gate judges.
async fn structure(context: &RunContext, database: &Database, schema: &Schema) -> Result<Structure, Failure> {
    let ledger = context.expectation().await?.manifest.framework.shape().table;
    let read = database.structure(schema).await;
    let (_, structure) = read.map_err(|error| error.into_failure("reading the structure"))?;
    Ok(structure.without_table(ledger))
}

impl Restoration {
    /// The objects that have no parent among them.
    pub(super) fn words(&self) -> String {
        let is_part = |object: &Object| {
            self.objects.iter().any(|other| other.table.is_empty() && other.name == object.table)
        };
        let objects: Vec<String> =
            self.objects.iter().filter(|object| !is_part(object)).map(wording::object).collect();
        format!("{} (as in {})", objects.join(", "), self.source)
    }

    /// A script for psql or sqlite3.
    pub(super) fn script(&self, schema: &str) -> String {
        let statements = self.statements.iter().fold(String::new(), |text, sql| text + sql + ";\n");
        let words = self.words().replace(['\n', '\r'], " ");
        format!("-- {schema}: {words}\nBEGIN;\n{statements}COMMIT;\n")
    }

    /// Creates the objects, and proves that the schema then has them exactly.
    pub(super) async fn apply(
        &self,
        context: &RunContext,
        locked: &Locked<'_>,
        request: &RepairRequest<'_>,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<(), FailureDetails> {
        let ledger = context.expectation().await?.manifest.framework.shape().table;
        let verify = |after: &Structure| {
            let after = after.clone().without_table(ledger);
            let differences = differences(request, &self.expected, &after, self.names);
            let remaining = differences.iter().find(|one| !self.other.contains(one));
            match remaining.and_then(Difference::object) {
                None => Ok(()),
                Some(object) => {
                    Err(format!("{} still differs from {}", wording::object(object), self.source))
                }
            }
        };
        let database = context.database()?;
        let notices = NoticeLog::new(on_event);
        let restored = notices.during(request.tenant, context.limits()?, async |limits| {
            database.restore(locked, &request.schema(), &self.statements, &verify, limits).await
        });
        restored.await.map_err(|ApplyError { why, .. }| refusal(request, why))
    }
}
