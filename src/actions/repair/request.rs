//! The options of a repair, and the inspection of its schema.

use crate::{
    actions::{context::RunContext, judge::inspect},
    config::Selection,
    database::Schema,
    failure::Failure,
    tenants::{gate::Judgement, inspection::Inspection},
};

/// The change that a repair may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method<'a> {
    /// Applies the pending migrations.
    Apply,
    /// Records the pending migrations whose objects exist, and then applies the others.
    Record,
    /// Creates the objects that the schema lacks compared with a complete one. `print` only returns the SQL.
    Restore { print: bool },
    /// Runs this app's migrations again. `allow_code` includes those with custom code.
    Replay { app: &'a str, allow_code: bool },
}

/// The options of a repair.
pub(crate) struct RepairRequest<'a> {
    /// None for the shared schema.
    pub(crate) tenant: Option<&'a str>,
    pub(crate) method: Method<'a>,
    /// Reports what would be applied, and changes nothing.
    pub(crate) dry_run: bool,
}

impl RepairRequest<'_> {
    pub(super) fn schema(&self) -> Schema {
        self.tenant.map_or(Schema::Shared, |tenant| Schema::Tenant(tenant.to_owned()))
    }

    pub(super) async fn inspect(&self, context: &RunContext) -> Result<(Inspection, Judgement), Failure> {
        let selection = self.tenant.map(|tenant| Selection::Named(vec![tenant.to_owned()]));
        inspect(context, self.tenant.is_none(), selection.as_ref()).await
    }
}
