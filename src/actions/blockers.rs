//! Watches for sessions that block the database sessions of a framework's programs or of a replay, and names them.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    time::Duration,
};

use tokio::time;

use super::context::RunContext;
use crate::{database::Blocker, ordered::Ordered, outcome::ActionEvent};

/// Shorter than `lock_timeout`, after which the server no longer shows who was waiting for whom.
const INTERVAL: Duration = Duration::from_millis(500);

/// The sessions that have blocked a program, by the schema of the blocked table and by process id.
#[derive(Debug, Default)]
pub(super) struct Blockers(BTreeMap<(Option<String>, String), String>);

/// Waits for the end of the program or of the replay. Each blocking session is noted once.
pub(super) async fn watch<T>(
    context: &RunContext,
    program: impl Future<Output = T>,
    on_event: &dyn Fn(ActionEvent),
) -> (T, Blockers) {
    let (mut program, mut blockers) = (pin!(program), Blockers::default());
    loop {
        if let Ok(result) = time::timeout(INTERVAL, &mut program).await {
            return (result, blockers);
        }
        let Ok(database) = context.database() else { continue };
        let found = tokio::select! {
            // A program ends even if the query does not.
            result = &mut program => return (result, blockers),
            found = database.blockers(&context.run) => found.unwrap_or_default(),
        };
        for Blocker { schema, pid, session } in found {
            let whose = schema.as_ref().map_or("a migration".into(), |name| format!("`{name}`"));
            let text = format!("{whose} waits for a lock of {session}");
            if blockers.0.insert((schema, pid), session).is_none() {
                on_event(ActionEvent::Note(text));
            }
        }
    }
}

impl Blockers {
    /// The text with the sessions that blocked this schema, or any.
    pub(super) fn add_to(&self, text: String, schema: Option<&str>) -> String {
        let concerns = |of: &Option<String>| schema.is_none() || of.is_none() || of.as_deref() == schema;
        let blockers = self.0.iter().filter(|((of, _), _)| concerns(of));
        let sessions: BTreeSet<&str> = blockers.map(|(_, session)| session.as_str()).into_set();
        if sessions.is_empty() {
            return text;
        }
        format!("{text}; it waited for a lock of {}", sessions.into_iter().collect::<Vec<_>>().join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sessions_that_blocked_the_schema_are_named() {
        let blocker = |schema: Option<&str>, pid: &str| {
            ((schema.map(str::to_owned), pid.to_owned()), format!("backend {pid}"))
        };
        let blockers = [blocker(Some("acme"), "1"), blocker(Some("demo"), "2"), blocker(None, "3")];
        let blockers = Blockers(blockers.into());
        let text = blockers.add_to("timed out".into(), Some("acme"));
        assert_eq!(text, "timed out; it waited for a lock of backend 1 and backend 3");
        assert_eq!(Blockers::default().add_to("timed out".into(), None), "timed out");
    }
}
