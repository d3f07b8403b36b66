//! `portcullis doctor`: runs every check and gives its remedy; changes nothing.

use crate::{
    actions::doctor::{self, DoctorInput, Loaded},
    outcome::doctor::Checked,
};

pub(crate) async fn run(input: &DoctorInput<'_>, loaded: &Loaded) -> Vec<Checked> {
    doctor::examine(input, loaded).await
}
