//! AWS credentials.

use crate::config::secret::{self, Secret};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) session: Option<Secret>,
}

impl Keys {
    /// Masks them from now on.
    pub(crate) fn learn(&self) {
        for one in [Some(&self.secret), self.session.as_ref()].into_iter().flatten() {
            secret::learn(one);
        }
    }
}
