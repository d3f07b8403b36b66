//! `portcullis doctor`: every check, each with its remedy. It changes nothing.

use crate::{
    actions::doctor::{self, DoctorInput},
    outcome::doctor::Checked,
};

pub(crate) async fn run(input: &DoctorInput<'_>) -> Vec<Checked> {
    doctor::examine(input).await
}
