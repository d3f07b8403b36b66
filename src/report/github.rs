//! Events as GitHub's workflow commands: a group for each step, annotations for warnings and failures.
//!
//! Groups do not nest, but steps may overlap: a step that starts during another one is in the other one's group.

use super::startup_status::StartupStatus;
use crate::{failure, outcome::event::Event};

/// The step of the open group.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    open: Option<usize>,
}

impl Groups {
    /// The lines before and after the event's own lines.
    pub(crate) fn around(&mut self, event: &Event, status: &StartupStatus) -> (Vec<String>, Vec<String>) {
        let name = |step: usize| status.position(step).name;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        match event {
            Event::StepStarted { step } if self.open.is_none() => {
                self.open = Some(*step);
                before.push(format!("::group::{}", message(&name(*step))));
            }
            Event::Warning { step, text } => after.push(annotation("warning", &name(*step), text)),
            Event::Remark { text } => after.push(annotation("warning", "portcullis", text)),
            Event::StepDone { step, .. } => after.extend(self.close(*step)),
            Event::StepFailed { step, blocking, details, .. } => {
                after.extend(self.close(*step));
                let level = if *blocking { "error" } else { "warning" };
                after.push(annotation(level, &name(*step), &failure::chain(&details.failure)));
            }
            Event::Blocked { step: None, details, .. } => {
                after.push(annotation("error", "portcullis", &failure::chain(&details.failure)));
            }
            _ => {}
        }
        (before, after)
    }

    fn close(&mut self, step: usize) -> Option<String> {
        (self.open == Some(step)).then(|| {
            self.open = None;
            "::endgroup::".to_owned()
        })
    }
}

pub(crate) fn annotation(level: &str, title: &str, text: &str) -> String {
    let title = message(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}", message(text))
}

/// Escapes a text as the runner unescapes it (actions/toolkit, command.ts).
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_step_is_a_group_and_its_failure_is_an_annotation() {
        let mut status = StartupStatus::default();
        let steps = vec!["one: first, then".into(), "two".into()];
        status.apply(&Event::Started { run: "1".into(), role: None, steps }, Duration::ZERO);
        let mut groups = Groups::default();
        let failure = Failure::SqlFailed { why: "100 %\nof it".into() };
        let failed =
            Event::StepFailed { step: 0, took: Duration::ZERO, blocking: true, details: failure.into() };
        let mut lines = Vec::new();
        for event in [Event::StepStarted { step: 0 }, Event::StepStarted { step: 1 }, failed] {
            let (before, after) = groups.around(&event, &status);
            lines.extend(before.into_iter().chain(after));
        }
        insta::assert_snapshot!(lines.join("\n"), @r"
        ::group::one: first, then
        ::endgroup::
        ::error title=one%3A first%2C then::the SQL failed: 100 %25%0Aof it
        ");
    }
}
