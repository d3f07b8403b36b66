//! Watches for sessions that block the database sessions of a framework's programs, and names them.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use tokio::time;

use super::context::RunContext;
use crate::{database::Blocker, outcome::ActionEvent};

/// Shorter than `lock_timeout`, after which the server no longer shows who was waiting for whom.
const INTERVAL: Duration = Duration::from_millis(500);

/// The sessions that have blocked a program.
#[derive(Debug, Default)]
pub(super) struct Blockers(Vec<Blocker>);

/// Waits for the program's end. Each new blocking session is noted once.
pub(super) async fn watch<T>(
    context: &RunContext,
    program: impl Future<Output = T>,
    on_event: &dyn Fn(ActionEvent),
) -> (T, Blockers) {
    let mut program = pin!(program);
    let (mut last, mut noted) = (Blockers::default(), BTreeSet::new());
    loop {
        if let Ok(result) = time::timeout(INTERVAL, &mut program).await {
            return (result, last);
        }
        let Ok(database) = context.database() else { continue };
        let mut found = Vec::new();
        // A blocked program ends even if the query does not.
        let result = tokio::select! {
            result = &mut program => Some(result),
            answer = database.blockers(&context.run) => {
                found = answer.unwrap_or_default();
                None
            }
        };
        for Blocker { schema, session } in &found {
            if noted.insert(session.clone()) {
                let whose = schema
                    .as_ref()
                    .map_or_else(|| "the framework's program".into(), |name| format!("`{name}`"));
                on_event(ActionEvent::Note(format!("{whose} waits for a lock of {session}")));
            }
        }
        if !found.is_empty() {
            last = Blockers(found);
        }
        if let Some(result) = result {
            return (result, last);
        }
    }
}

impl Blockers {
    /// The text with the sessions that blocked this schema, or any.
    pub(super) fn add_to(&self, text: String, schema: Option<&str>) -> String {
        let concerns = |blocker: &&Blocker| match (&blocker.schema, schema) {
            (Some(of), Some(schema)) => of == schema,
            _ => true,
        };
        let sessions: BTreeSet<&str> =
            self.0.iter().filter(concerns).map(|blocker| blocker.session.as_str()).collect();
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
        let blocker = |schema: Option<&str>, session: &str| Blocker {
            schema: schema.map(str::to_owned),
            session: session.into(),
        };
        let blockers = Blockers(vec![
            blocker(Some("acme"), "backend 1"),
            blocker(Some("demo"), "backend 2"),
            blocker(None, "backend 3"),
        ]);
        let text = blockers.add_to("timed out".into(), Some("acme"));
        assert_eq!(text, "timed out; it waited for a lock of backend 1 and backend 3");
        assert_eq!(Blockers::default().add_to("timed out".into(), None), "timed out");
    }
}
