//! The gate against a model: random registries, ledgers and tables, made by SQL alone. The gate's verdict equals that of a
//! few lines of `model.rs`, for every framework and every place of the tenants.

mod catalog;
mod custom;
mod engine;
mod framework;
mod model;
mod node;
mod others;
mod python;
mod runner;
mod rust;

use std::collections::BTreeSet;

use self::{
    engine::Place,
    framework::{FRAMEWORKS, Framework},
    runner::judged,
};
use super::tries::{attack, seconds};
use crate::support::portcullis::Portcullis;

#[test]
fn the_gate_equals_a_model_for_every_framework() {
    compare(Place::Schemas, FRAMEWORKS, FRAMEWORKS.len(), 25);
}

#[test]
fn the_gate_equals_a_model_for_every_framework_with_a_database_for_each_tenant() {
    compare(Place::Databases, FRAMEWORKS, 6, 3);
}

#[test]
fn the_gate_equals_a_model_on_sqlite() {
    compare(Place::Files, &[&rust::SQL], 1, 25);
}

#[test]
fn the_model_has_every_framework() {
    let schema = Portcullis::new().run(["schema"]).exits(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let kinds = schema["properties"]["migrations"]["anyOf"].as_array().unwrap().iter();
    let known: BTreeSet<&str> =
        kinds.map(|kind| kind["properties"]["framework"]["anyOf"][0]["enum"][0].as_str().unwrap()).collect();
    assert_eq!(FRAMEWORKS.iter().map(|framework| framework.name).collect::<BTreeSet<_>>(), known);
}

/// Makes the tries of one place, in `make test` the first `few`, each with this number of random tenants.
fn compare(place: Place, frameworks: &[&'static Framework], few: usize, tenants: usize) {
    let (rounds, tenants) = if seconds().is_some() { (40, 60) } else { (1, tenants) };
    let row = |framework: &&'static Framework| (format!("{} {place}", framework.title), *framework);
    let tries: Vec<_> = (0..rounds).flat_map(|_| frameworks.iter().map(row)).collect();
    attack("gate", few, tries, |_, framework, random| judged(framework, place, tenants, random));
}
