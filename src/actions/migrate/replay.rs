//! Migrates tenants in the same state by replay: the framework migrates the first, and its recorded statements run for the
//! others. Leaves the tenants for which that is not proved to the framework.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future,
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{
    MigrateError, StopRequest,
    results::{Results, SchemaResult, Unmigrated},
    schema::{self, by_framework},
};
use crate::{
    actions::{blockers, context::RunContext, lock::Locked},
    cause::Kind,
    database::{ApplyError, Schema},
    failure::Failure,
    frameworks::RecordingSlot,
    ordered::Ordered,
    outcome::{ActionEvent, SchemaFailure},
    tenants::{
        inspection::{Inspection, LedgerRow, SchemaState},
        recording::{Difference, ExpectedStructure, Recorded, Recording, Replayed},
    },
    words::{count, duration},
};

/// The group of each tenant: the number of its ledger, and its type.
pub(super) struct ReplayGroups(BTreeMap<String, (usize, Option<String>)>);

impl ReplayGroups {
    pub(super) fn new(found: &Inspection) -> Self {
        let (mut by_address, mut by_rows) = (BTreeMap::new(), BTreeMap::new());
        let group = |(tenant, state): (&String, &SchemaState)| {
            let SchemaState::Read(snapshot) = state else { return None };
            let next = by_rows.len();
            // Most equal ledgers share one copy.
            let ledger =
                *by_address.entry(Arc::as_ptr(&snapshot.ledger).cast::<LedgerRow>()).or_insert_with(|| {
                    let rows: BTreeSet<LedgerRow> = snapshot.ledger.iter().cloned().into_set();
                    *by_rows.entry(rows).or_insert(next)
                });
            Some((tenant.clone(), (ledger, found.types.get(tenant).cloned())))
        };
        Self(found.tenants.iter().filter_map(group).into_map())
    }

    /// Migrates the schemas of each group.
    pub(super) async fn replay(
        &self,
        results: &mut Results<'_>,
        schemas: Vec<Option<String>>,
        jobs: usize,
        at_most: usize,
    ) -> Result<Unreplayed, Failure> {
        let (mut groups, mut left) = self.split(schemas);
        let mut locked_by_others = Vec::new();
        while let (Some(group), true) = (groups.pop(), results.failed.schemas.len() < at_most) {
            let mut rest = group.tenants.into_iter();
            let first = record_first(results, &mut rest, at_most, &mut locked_by_others).await?;
            let first = match first {
                Some(first)
                    if group.structure.as_ref().is_none_or(|known| *known == first.structure.full) =>
                {
                    first
                }
                _ => {
                    left.extend(rest.map(Some));
                    continue;
                }
            };
            let Unmigrated { locked_by_others: locked, differing } =
                replay_rest(results, &first, rest.collect(), jobs, at_most).await?;
            locked_by_others.extend(locked);
            let (again, framework) = sort(results.on_event, &first.tenant, differing);
            groups.extend(again);
            left.extend(framework);
        }
        left.extend(groups.into_iter().flat_map(|group| group.tenants).map(Some));
        Ok(Unreplayed { left, locked_by_others })
    }

    /// Splits schemas into groups; a group of one is left over.
    fn split(&self, schemas: Vec<Option<String>>) -> (Vec<Group>, Vec<Option<String>>) {
        let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
        let mut left = Vec::new();
        for schema in schemas {
            match schema {
                Some(tenant) if self.0.contains_key(&tenant) => {
                    groups.entry(&self.0[&tenant]).or_default().push(tenant);
                }
                other => left.push(other),
            }
        }
        let (several, single): (Vec<_>, Vec<_>) = groups.into_values().partition(|group| group.len() > 1);
        left.extend(single.into_iter().flatten().map(Some));
        (several.into_iter().map(|tenants| Group { tenants, structure: None }).collect(), left)
    }
}

struct Group {
    tenants: Vec<String>,
    /// The digest that an earlier recording resulted in, if it was not the right one for them.
    structure: Option<String>,
}

/// The first tenant of a group, after the framework has migrated it.
struct First {
    tenant: String,
    recording: Recording,
    structure: ExpectedStructure,
}

/// The schemas that were not migrated by replay.
pub(super) struct Unreplayed {
    /// The framework migrates them.
    pub(super) left: Vec<Option<String>>,
    pub(super) locked_by_others: Vec<Option<String>>,
}

/// Has the framework migrate the first tenant that no other run has locked. None if nothing was recorded.
async fn record_first(
    results: &mut Results<'_>,
    tenants: &mut std::vec::IntoIter<String>,
    at_most: usize,
    locked_by_others: &mut Vec<Option<String>>,
) -> Result<Option<First>, Failure> {
    let Results { context, locked, on_event, .. } = *results;
    let Some(project) = context.project()? else { return Ok(None) };
    for tenant in tenants.by_ref() {
        let (stop, recorded) = (StopRequest::default(), RecordingSlot::default());
        let schemas = vec![Some(tenant.clone())];
        let failed = results.failed.schemas.len();
        let migrating = by_framework(context, locked, project, schemas, &stop, on_event, Some(&recorded));
        let migrated = stream::once(migrating).flat_map(stream::iter).boxed_local();
        let unmigrated = results.collect(migrated, &stop, at_most).await?;
        if !unmigrated.locked_by_others.is_empty() {
            locked_by_others.extend(unmigrated.locked_by_others);
            continue;
        }
        let others = count(tenants.len(), "tenant");
        let framework = project.framework.about().title;
        let note = |text| on_event(ActionEvent::Note(text));
        if results.failed.schemas.len() > failed || tenants.len() == 0 {
            return Ok(None);
        }
        let recording = match recorded.take() {
            Some(Recorded::Recording(recording)) => recording,
            refused => {
                let why = match refused {
                    Some(Recorded::Refused(why)) => why,
                    _ => format!("{framework} sent no recording"),
                };
                note(format!("{framework} migrates {others} in the state of `{tenant}` itself: {why}"));
                return Ok(None);
            }
        };
        let structure = context.database()?.structure(&Schema::Tenant(tenant.clone())).await;
        let (_, structure) =
            structure.map_err(|error| error.into_failure("reading the first tenant's structure"))?;
        let structure = ExpectedStructure::new(structure.digest());
        note(format!(
            "{framework} has migrated `{tenant}`; its statements run for {others} in the same state"
        ));
        return Ok(Some(First { tenant, recording, structure }));
    }
    Ok(None)
}

async fn replay_rest(
    results: &mut Results<'_>,
    first: &First,
    tenants: Vec<String>,
    jobs: usize,
    at_most: usize,
) -> Result<Unmigrated, Failure> {
    let Results { context, locked, on_event, .. } = *results;
    let (stop, failed) = (StopRequest::default(), results.failed.schemas.len());
    let equal = RefCell::new(Vec::new());
    let replaying = stream::iter(tenants)
        .take_while(|_| future::ready(!stop.is_requested()))
        .map(async |tenant| replayed(context, locked, tenant, first).await)
        .buffer_unordered(jobs)
        .inspect(|(tenant, result, _)| equal.borrow_mut().extend(tenant.clone().filter(|_| result.is_ok())))
        .boxed_local();
    let collecting = Box::pin(results.collect(replaying, &stop, at_most));
    let (unmigrated, blockers) = blockers::watch(context, collecting, on_event).await;
    let equal = equal.into_inner().into_iter().map(|tenant| (tenant, first.tenant.clone()));
    results.applied.replayed.extend(equal);
    for SchemaFailure { tenant, why, .. } in &mut results.failed.schemas[failed..] {
        if why.kind == Kind::Locked {
            why.text = blockers.add_to(std::mem::take(&mut why.text), tenant.as_deref());
        }
    }
    unmigrated
}

/// The tenants with another structure, as groups, and the tenants that are left to the framework.
fn sort(
    on_event: &dyn Fn(ActionEvent),
    first: &str,
    differing: Vec<(Option<String>, Difference)>,
) -> (Vec<Group>, Vec<Option<String>>) {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut structures: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut left = Vec::new();
    for (schema, Difference { why, structure }) in differing {
        let Some(tenant) = schema else { continue };
        reasons.entry(why).or_default().push(tenant.clone());
        match structure {
            Some(structure) => structures.entry(structure).or_default().push(tenant),
            None => left.push(Some(tenant)),
        }
    }
    for (why, mut tenants) in reasons {
        tenants.sort();
        let names = tenants.iter().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let (tenants, more) = (count(tenants.len(), "tenant"), if tenants.len() > 3 { ", ..." } else { "" });
        let text = format!("the statements of `{first}` do not fit {tenants} ({names}{more}): {why}");
        on_event(ActionEvent::Note(text));
    }
    let (again, single): (Vec<_>, Vec<_>) =
        structures.into_iter().partition(|(_, tenants)| tenants.len() > 1);
    left.extend(single.into_iter().flat_map(|(_, tenants)| tenants).map(Some));
    let group = |(structure, tenants)| Group { tenants, structure: Some(structure) };
    (again.into_iter().map(group).collect(), left)
}

async fn replayed(
    context: &RunContext,
    locked: &Locked<'_>,
    tenant: String,
    First { recording, structure, .. }: &First,
) -> SchemaResult {
    let started = Instant::now();
    let replaying = async {
        let limits = schema::limits(context, locked).map_err(MigrateError::Run)?;
        locked.not_lost().map_err(MigrateError::Run)?;
        let database = context.database().map_err(MigrateError::Run)?;
        let failed = |error| schema::failed(Some(&tenant), &limits, error);
        match limits.deadline.limit(database.replay(locked, &tenant, recording, structure, &limits)).await {
            Ok(Ok(Replayed::Equal)) => Ok(vec!["its pending migrations".into()]),
            Ok(Ok(Replayed::Differs(difference))) => Err(MigrateError::Differs(difference)),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => {
                let timeout = context.migrations().map_err(MigrateError::Run)?.apply.timeout;
                let why = format!("ran longer than {}", duration(timeout));
                Err(failed(ApplyError { why: why.into(), ..ApplyError::default() }))
            }
        }
    };
    let result = replaying.await;
    (Some(tenant), result, started.elapsed())
}
