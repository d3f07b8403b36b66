//! The results of the steps, as they end.

use crate::outcome::{
    ActionEvent,
    repair::{Repaired, Step, StepResult},
};

pub(super) struct StepLog<'a> {
    pub(super) repaired: Repaired,
    pub(super) on_event: &'a dyn Fn(ActionEvent),
}

impl StepLog<'_> {
    pub(super) fn step(&mut self, ended: StepResult, message: String) {
        let step = Step { ended, message };
        (self.on_event)(ActionEvent::RepairStep(self.repaired.steps.len() + 1, step.clone()));
        self.repaired.steps.push(step);
    }

    pub(super) fn passed(&mut self, message: impl Into<String>) {
        self.step(StepResult::Passed, message.into());
    }
}
