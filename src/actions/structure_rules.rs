//! The rules by which the gate compares structures.

use super::{context::RunContext, template};
use crate::{config::StructureCheck, tenants::structure::judge::StructureRules};

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
