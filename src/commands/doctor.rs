//! `portcullis doctor`: every check, each with its remedy. It changes nothing.

use crate::{
    actions::doctor::{self, DoctorInput, Loaded},
    outcome::doctor::Checked,
};

pub(crate) async fn run(input: &DoctorInput<'_>, loaded: &Loaded) -> Vec<Checked> {
    doctor::examine(input, loaded).await
}
