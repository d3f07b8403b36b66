//! The result of a bootstrap.

/// The configured demo tenants by result.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bootstrapped {
    pub(crate) created: Vec<String>,
    pub(crate) kept: Vec<String>,
    /// Each with its reason.
    pub(crate) failed: Vec<(String, String)>,
}

impl Bootstrapped {
    pub(crate) fn summary(&self) -> String {
        format!("{} created, {} kept", self.created.len(), self.kept.len())
    }
}
