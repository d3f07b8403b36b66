//! A difference between two releases, and its effect on the statements of one of them.

use serde::Serialize;

use crate::tenants::structure::ObjectKind;

/// One difference that concerns the statements of the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Incompatibility {
    pub(crate) part: Part,
    pub(crate) object: ObjectKind,
    pub(crate) name: String,
    pub(crate) change: Change,
    /// A new object of a like definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) renamed_to: Option<String>,
    /// The definition that the code knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<String>,
    /// The definition in the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<String>,
}

/// The schemas that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    Shared,
    Tenant,
    /// The tenants of one type.
    Type(String),
}

/// The effect of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Statements work. The other release may write values that this code has never read.
    Note,
    Unproven,
    Breaks,
}

/// The difference between the schema that the code knows and the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Missing,
    /// A NOT NULL column without a default that the code does not know.
    Required,
    NotNull,
    /// The type holds fewer values.
    Narrower,
    NoDefault,
    /// The server refuses a given value.
    Generated,
    LabelMissing,
    OtherType,
    /// Of a column that a statement may leave out.
    OtherDefault,
    /// An additional constraint or unique index.
    Stricter,
    /// A unique index that `ON CONFLICT` may name.
    NoArbiter,
    Changed,
    /// An object that acts on the statements of the code, which does not know it.
    Additional,
    /// A tenant's table with the name of a shared one.
    Shadows,
    /// Migrations without a structure.
    Unknown,
    Nullable,
    LabelAdded,
    /// A new table refers to rows of the code.
    Referenced,
    /// The size of an indexed value is limited.
    Indexed,
}

impl Change {
    pub(crate) fn level(self) -> Level {
        match self {
            Self::Missing
            | Self::Required
            | Self::NotNull
            | Self::Narrower
            | Self::NoDefault
            | Self::Generated
            | Self::LabelMissing => Level::Breaks,
            Self::OtherType
            | Self::OtherDefault
            | Self::Stricter
            | Self::NoArbiter
            | Self::Changed
            | Self::Additional
            | Self::Shadows
            | Self::Unknown => Level::Unproven,
            Self::Nullable | Self::LabelAdded | Self::Referenced | Self::Indexed => Level::Note,
        }
    }
}

/// The worst level of the findings; None if the code works.
pub(crate) fn outcome(findings: &[Incompatibility]) -> Option<Level> {
    findings.iter().map(|finding| finding.change.level()).filter(|level| *level > Level::Note).max()
}

impl Incompatibility {
    pub(super) fn new(part: Part, object: ObjectKind, name: &str, change: Change) -> Self {
        let name = name.to_owned();
        Self { part, object, name, change, renamed_to: None, known: None, found: None }
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        (self.object, &self.name, self.change) == (other.object, &other.name, other.change)
    }
}
