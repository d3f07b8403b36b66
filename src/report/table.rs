//! The table at the end: the result, duration and message of every step. It is as wide as the terminal.

use console::Style as Paint;

use super::{
    startup_status::{StartupStatus, State},
    terminal_filter,
};
use crate::words::duration;

/// The maximum width of a step's name.
const NAME: usize = 28;

pub(crate) fn table(status: &StartupStatus, columns: usize, colour: bool) -> Vec<String> {
    let name = status.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0).min(NAME);
    let row = |(index, step): (usize, &super::startup_status::Step)| {
        let word = match step.state {
            State::Running => "stopped",
            State::Todo => "not run",
            state => state.word(),
        };
        let state = terminal_filter::painted(format!("{word:<7}"), &paint(step.state), colour);
        let took = step.took.map_or_else(|| "-".into(), duration);
        let lead = format!("{:>3}  {}  {took:>8}  {:<name$}  ", index + 1, state, short(&step.name, name));
        let room = columns.saturating_sub(26 + name);
        format!("{lead}{}", short(&step.message, room)).trim_end().to_owned()
    };
    status.steps.iter().enumerate().map(row).collect()
}

fn paint(state: State) -> Paint {
    match state {
        State::Ok => Paint::new().green(),
        State::Failed => Paint::new().red().bold(),
        State::Warned | State::Running => Paint::new().yellow(),
        State::Skipped | State::Todo => Paint::new().dim(),
    }
}

/// The first line, cut to `room` characters.
fn short(text: &str, room: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= room {
        return line.to_owned();
    }
    line.chars().take(room.saturating_sub(3)).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{failure::Failure, outcome::event::Event};

    #[test]
    fn the_table_shows_the_result_of_each_step_in_eighty_columns() {
        let mut status = StartupStatus::default();
        let steps =
            ["database", "broker", "static files", "a step with a rather long name, as some have", "last"];
        let steps = steps.map(str::to_owned).to_vec();
        let second = Duration::from_secs(1);
        let failure = |code: &str| Failure::CommandFailed { program: "collect".into(), ended: code.into() };
        for event in [
            Event::Started { run: "1".into(), role: None, steps },
            Event::StepDone { step: 0, took: second * 2, summary: "reachable".into() },
            Event::StepSkipped { step: 1, reason: "the role is web".into() },
            Event::StepFailed {
                step: 2,
                took: Duration::from_millis(12),
                blocking: false,
                details: failure("exited with 5").into(),
            },
            Event::StepFailed {
                step: 3,
                took: second * 724,
                blocking: true,
                details: failure("printed something that is much too long for a line of this table").into(),
            },
        ] {
            status.apply(&event, second);
        }
        insta::assert_snapshot!(table(&status, 80, false).join("\n"), @r"
          1  ok            2 s  database                      reachable
          2  skipped         -  broker                        the role is web
          3  warned      12 ms  static files                  `collect` exited with 5
          4  failed   12 m 4 s  a step with a rather long...  `collect` printed somet...
          5  not run         -  last
        ");
        for columns in [60, 80, 140] {
            let lines = table(&status, columns, false);
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:?}");
        }
        assert!(table(&status, 140, false)[3].ends_with("for a line of this table"));
    }
}
