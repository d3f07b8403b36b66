//! Holds the variables that steps export. A step gets those of the steps that it waits for, and the server gets all.

use std::{cell::RefCell, collections::BTreeMap};

use crate::config::{exported::Variable, secret::Secret};
use crate::ordered::Ordered;

/// The exported variables, by the position of their step.
#[derive(Default)]
pub(crate) struct Exports(RefCell<BTreeMap<usize, Vec<Variable>>>);

impl Exports {
    pub(crate) fn add(&self, step: usize, variables: Vec<Variable>) {
        self.0.borrow_mut().insert(step, variables);
    }

    pub(crate) fn remove(&self, step: usize) {
        self.0.borrow_mut().remove(&step);
    }

    /// The variables of one step.
    pub(crate) fn of(&self, step: usize) -> Vec<Variable> {
        self.0.borrow().get(&step).cloned().unwrap_or_default()
    }

    /// The variables of these steps; of two with the same name, that of the later step.
    pub(crate) fn visible(&self, from: impl Fn(usize) -> bool) -> Vec<(String, String)> {
        let steps = self.0.borrow();
        let visible = steps.iter().filter(|(step, _)| from(**step)).flat_map(|(_, variables)| variables);
        let last: BTreeMap<&String, &Secret> = visible.map(|(name, value)| (name, value)).into_map();
        last.into_iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
    }

    /// A name that this step exports like another of these steps, and that step.
    pub(crate) fn conflict(&self, step: usize, with: impl Fn(usize) -> bool) -> Option<(String, usize)> {
        let own = self.of(step);
        let steps = self.0.borrow();
        let others = steps.iter().filter(|(other, _)| **other != step && with(**other));
        others
            .flat_map(|(other, variables)| variables.iter().map(|(name, _)| (name.clone(), *other)))
            .find(|(name, _)| own.iter().any(|(exported, _)| exported == name))
    }
}
