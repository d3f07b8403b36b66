//! The rules by which structures are compared, and an inspection by them.

use super::{
    context::RunContext,
    judge::{INSPECTION, inspect_request, judge, observe},
    template,
};
use crate::{
    config::{Selection, StructureCheck},
    database::InspectRequest,
    failure::Failure,
    tenants::{gate::Judgement, inspection::Inspection, structure::judge::StructureRules},
};

/// The rules for the structure; None if it is not compared.
pub(super) async fn structure_rules(context: &RunContext, check: StructureCheck) -> Option<StructureRules> {
    let blocks = match check {
        StructureCheck::Off => return None,
        StructureCheck::Warn => false,
        StructureCheck::Block => true,
    };
    // A stale template is an error only where a tenant is created.
    let template = template::configured(context).await.ok().flatten();
    Some(StructureRules { blocks, template: template.map(|template| template.structure) })
}

/// Inspects every tenant with its structure; differences make it incomplete.
pub(super) async fn inspect_structures(context: &RunContext) -> Result<(Inspection, Judgement), Failure> {
    let manifest = &context.expectation().await?.manifest;
    let rules = structure_rules(context, StructureCheck::Block).await;
    let request = inspect_request(context, manifest, false, Some(&Selection::All), INSPECTION);
    let found = observe(context, &InspectRequest { structure: true, ..request }).await;
    let found = found.map_err(|error| error.into_failure("inspecting the schemas"))?;
    let judgement = judge(context, manifest, &found, rules.as_ref());
    Ok((found, judgement))
}
