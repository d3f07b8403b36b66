//! Finds out which objects a schema lacks, compared with a schema that is proved complete, and how to create them.

use std::collections::BTreeMap;

use super::request::RepairRequest;
use crate::{
    actions::{context::RunContext, judge::inspect, lock::Locked},
    cause::{Cause, Kind},
    config::{Selection, Source},
    database::{ApplyError, Database, Schema, restorable::Restorable},
    failure::Failure,
    outcome::{FailureDetails, wording},
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
    /// The tenant that has these objects.
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
    if let Some(why) = judgement.verdict(request.tenant).and_then(unsuitable) {
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
    let (source, expected) = source(context, request, found).await?;
    let actual = structure(context, context.database()?, &request.schema()).await?;
    let names = match context.migrations()?.source {
        Source::Sql { .. } => Names::Exact,
        Source::External(_) => Names::Ignored,
    };
    let differences = compare(&expected, &actual, names);
    Ok(Comparison { source, expected, names, differences })
}

fn refusal(request: &RepairRequest<'_>, why: Cause) -> FailureDetails {
    Failure::NotRepairable { schema: wording::name(request.tenant).to_owned(), why }.into()
}

/// The reason why the schema is not in a state that a complete one shows.
fn unsuitable(verdict: &Verdict) -> Option<&'static str> {
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

/// The structure that most of some complete tenants of the same type have, and one of them.
async fn source(
    context: &RunContext,
    request: &RepairRequest<'_>,
    found: &Inspection,
) -> Result<(String, Structure), FailureDetails> {
    let none = |why: &str| refusal(request, why.into());
    let Some(tenant) = request.tenant else {
        return Err(none("no other schema shows the structure of the shared schema"));
    };
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
    let most = structures.into_values().max_by_key(Vec::len);
    most.and_then(|mut same| same.pop())
        .ok_or_else(|| none("no other tenant is complete, so that none shows the structure"))
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

    /// A script for psql.
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
    ) -> Result<(), FailureDetails> {
        let ledger = context.expectation().await?.manifest.framework.shape().table;
        let verify = |after: &Structure| {
            let differences = compare(&self.expected, &after.clone().without_table(ledger), self.names);
            let remaining = differences.iter().find(|one| !self.other.contains(one));
            match remaining.and_then(Difference::object) {
                None => Ok(()),
                Some(object) => {
                    Err(format!("{} still differs from {}", wording::object(object), self.source))
                }
            }
        };
        let limits = context.limits()?;
        let database = context.database()?;
        let restored = database.restore(locked, &request.schema(), &self.statements, &verify, &limits).await;
        restored.map_err(|ApplyError { why, .. }| refusal(request, why))
    }
}
