//! `portcullis doctor`: every check, each with its remedy. It changes nothing.

use crate::{
    actions::doctor::{self, DoctorInput},
    cli::DoctorFormat,
    commands::Answer,
    report::doctor as words,
};

/// 1 if a check has failed, else 0.
pub(crate) async fn run(input: &DoctorInput<'_>, format: DoctorFormat, colour: bool) -> Answer {
    let checks = doctor::examine(input).await;
    let text = match format {
        DoctorFormat::Text => words::text(&checks, colour),
        DoctorFormat::Json => words::json(&checks),
        DoctorFormat::Junit => words::junit(&checks),
    };
    Answer { text, trouble: None, code: u8::from(words::has_failed(&checks)) }
}
