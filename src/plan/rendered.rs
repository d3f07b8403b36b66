//! A plan as JSON.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::Planned;
use crate::config::{OnFailure, Scope};

impl Serialize for Planned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let on_failure = match self.step.on_failure {
            OnFailure::Block => "block",
            OnFailure::Warn => "warn",
        };
        let mut planned = serializer.serialize_struct("Planned", 7)?;
        planned.serialize_field("name", &self.step.name)?;
        planned.serialize_field("kind", self.step.action.kind())?;
        planned.serialize_field("after", &self.after)?;
        planned.serialize_field("decision", &self.decision)?;
        planned.serialize_field("on_failure", on_failure)?;
        planned.serialize_field("once", &self.step.action.is_once())?;
        planned.serialize_field("exports", &self.step.action.exports())?;
        planned.end()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over by reference")]
pub(super) fn scope<S: Serializer>(scope: &Scope, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match scope {
        Scope::Shared => "shared",
        Scope::Tenants => "tenants",
    })
}
