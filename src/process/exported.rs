//! The variables that earlier steps exported, for every program that a step starts. They are bound to the step's task, so
//! that parallel steps can have different ones.

use std::{future::Future, rc::Rc};

tokio::task_local! {
    static VARIABLES: Rc<Vec<(String, String)>>;
}

/// Runs the work with these variables for the programs that it starts.
pub(crate) async fn with_exported<T>(variables: Vec<(String, String)>, work: impl Future<Output = T>) -> T {
    VARIABLES.scope(Rc::new(variables), work).await
}

/// The variables of the current step; none outside of a step.
pub(super) fn current() -> Rc<Vec<(String, String)>> {
    VARIABLES.try_with(Rc::clone).unwrap_or_default()
}
