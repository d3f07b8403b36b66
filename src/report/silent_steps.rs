//! The running steps without recent output. Pure: the caller passes the time.

use std::{collections::BTreeMap, time::Duration};

use crate::{outcome::event::Event, words::duration};

/// The time without output after which a step is reported.
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_mins(1);
/// The maximum length of the quoted last line.
const LAST_BYTES: usize = 200;

/// The running steps.
#[derive(Debug, Default)]
pub(super) struct SilentSteps(BTreeMap<usize, LastOutput>);

#[derive(Debug)]
struct LastOutput {
    started: Duration,
    /// The time of the last event.
    at: Duration,
    last: Option<String>,
}

impl SilentSteps {
    pub(super) fn note(&mut self, event: &Event, at: Duration) {
        let Some(step) = event.step() else { return };
        match event {
            Event::StepStarted { .. } => {
                self.0.insert(step, LastOutput { started: at, at, last: None });
            }
            Event::StepDone { .. } | Event::StepFailed { .. } | Event::Blocked { .. } => {
                self.0.remove(&step);
            }
            // Progress also counts, even if it prints no line.
            _ => {
                if let Some(output) = self.0.get_mut(&step) {
                    output.at = at;
                    if let Event::Output { line, .. } = event
                        && !line.trim().is_empty()
                    {
                        let end = line.floor_char_boundary(LAST_BYTES);
                        line[..end].clone_into(output.last.get_or_insert_default());
                    }
                }
            }
        }
    }

    /// The notes about steps that have been silent for too long.
    pub(super) fn due(&self, at: Duration) -> Vec<Event> {
        let silent = self.0.iter().filter(|(_, output)| at.saturating_sub(output.at) >= SILENCE_LIMIT);
        silent
            .map(|(step, LastOutput { started, last, .. })| {
                let seconds = Duration::from_secs(at.saturating_sub(*started).as_secs());
                let message = last.as_ref().map_or_else(
                    || "it has printed nothing".to_owned(),
                    |last| format!("its last line: {last}"),
                );
                Event::Note {
                    step: *step,
                    text: format!("still running after {}; {message}", duration(seconds)),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Stream;

    #[test]
    fn a_silent_step_is_reported_with_its_last_line_once_a_minute() {
        let mut silent_steps = SilentSteps::default();
        let second = Duration::from_secs;
        let mut message = Vec::new();
        silent_steps.note(&Event::StepStarted { step: 2 }, second(5));
        for at in (0..=300).map(second) {
            if at == second(10) {
                let line = "creating the tables".to_owned();
                silent_steps.note(&Event::Output { step: 2, stream: Stream::Out, tenant: None, line }, at);
            }
            for event in silent_steps.due(at) {
                silent_steps.note(&event, at);
                if let Event::Note { text, .. } = event {
                    message.push(text);
                }
            }
            if at == second(150) {
                let summary = "done".into();
                silent_steps.note(&Event::StepDone { step: 2, took: second(145), summary }, at);
            }
        }
        assert_eq!(
            message,
            [
                "still running after 65 s; its last line: creating the tables",
                "still running after 2 m 5 s; its last line: creating the tables"
            ]
        );
    }
}
