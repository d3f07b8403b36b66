//! The gate against a model: random registries, ledgers and tables, made by SQL alone. The gate's verdict equals that of a
//! few lines of `model.rs`, for every framework and both engines.

mod catalog;
mod engine;
mod framework;
mod model;
mod node;
mod python;
mod runner;
mod rust;

use self::{framework::FRAMEWORKS, runner::judged, rust::SQL};
use super::tries::{attack, seconds};

#[test]
fn the_gate_equals_a_model_for_every_framework() {
    let rounds = if seconds().is_some() { 40 } else { 1 };
    let tenants = if seconds().is_some() { 60 } else { 25 };
    let mut tries = Vec::new();
    for _ in 0..rounds {
        for framework in FRAMEWORKS {
            tries.push((format!("{} on PostgreSQL", framework.name), (framework, false)));
        }
        tries.push(("sql on SQLite".to_owned(), (&SQL, true)));
    }
    attack("gate", tries.len(), tries, |_, (framework, on_sqlite), random| {
        judged(framework, *on_sqlite, tenants, random);
    });
}
