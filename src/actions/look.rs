//! Asks the gate: one read-only look, judged.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Work;
use crate::{
    config::{Ahead, Scope, Selection},
    database::{DatabaseError, Question, UNHEARD},
    failure::Failure,
    outcome::wording,
    tenants::{
        day::Day,
        found::Found,
        gate::{self, Judgement, Rules},
        manifest::Manifest,
    },
    words,
};

/// How long a look may take where the configuration has no say.
pub(crate) const LOOK: Duration = Duration::from_mins(2);

impl Work {
    /// Looks at the shared schema, if asked, and at tenants, if any are asked for.
    pub(crate) async fn look(
        &self,
        manifest: &Manifest,
        shared: bool,
        tenants: Option<&Selection>,
        timeout: Duration,
    ) -> Result<Found, DatabaseError> {
        self.ask(&self.question(manifest, shared, tenants, timeout)).await
    }

    pub(super) fn question<'a>(
        &self,
        manifest: &'a Manifest,
        shared: bool,
        tenants: Option<&'a Selection>,
        timeout: Duration,
    ) -> Question<'a> {
        let allow_standby = self.config.gate.allow_standby;
        Question { manifest, shared, tenants, timeout, allow_standby, looked: UNHEARD }
    }

    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Found, DatabaseError> {
        let database = self.database().map_err(|failure| DatabaseError::Failed(failure.to_string()))?;
        let begun = Instant::now();
        let found = database.look(question).await?;
        tracing::debug!(tenants = found.tenants.len(), took = ?begun.elapsed(), "looked");
        Ok(found)
    }

    /// Judges what was found by the configured rules.
    pub(crate) fn judge(&self, manifest: &Manifest, found: &Found) -> Judgement {
        let at_least = self.config.registry.as_ref().map_or(0, |registry| registry.at_least);
        let mut judgement = gate::judge(manifest, found, self.rules(at_least));
        if !self.config.accepts.is_empty() {
            judgement.accept(&self.config.accepts, today());
        }
        judgement
    }

    /// Entries of `[[accept]]` that do nothing any more, in words.
    pub(crate) fn stale_accepts(&self, judgement: &Judgement) -> Vec<String> {
        let stale = judgement.stale(&self.config.accepts, today());
        stale.into_iter().map(|(accept, why)| wording::stale(accept, why)).collect()
    }

    /// The rules for work on single schemas, where the size of the registry does not matter.
    pub(super) fn rules(&self, at_least: usize) -> Rules {
        Rules { ahead_blocks: self.config.gate.ahead == Ahead::Block, at_least }
    }

    /// Whether anything of this scope is pending, for `when = { pending = ... }`.
    pub(crate) async fn pending(&self, scope: Scope) -> Result<bool, Failure> {
        let manifest = &self.expectation().await?.manifest;
        let tenants = (scope == Scope::Tenants).then_some(&Selection::All);
        let found = self
            .look(manifest, scope == Scope::Shared, tenants, LOOK)
            .await
            .map_err(|error| error.into_failure("looking for pending migrations"))?;
        let judgement = self.judge(manifest, &found);
        Ok(judgement.verdicts().any(|(_, verdict)| verdict.is_pending()))
    }
}

/// The day on the clock, in UTC.
fn today() -> Day {
    // What the clock says always reads as a day; a clock that cannot is at the end of all days, where nothing is
    // waived any more.
    words::rfc3339(SystemTime::now()).parse().unwrap_or(Day::LAST)
}
