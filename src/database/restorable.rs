//! The differences of a schema that can be undone by creating objects, without a change of any row.

use crate::tenants::structure::{
    Object, ObjectKind, Structure,
    difference::{Difference, table},
};

/// The result of [`super::engine::Engine::restorable`].
#[derive(Debug, Default)]
pub(crate) struct Restorable {
    /// The objects that the statements create or complete.
    pub(crate) objects: Vec<Object>,
    /// The statements of a script, each without its semicolon.
    pub(crate) statements: Vec<String>,
    /// The differences that stay.
    pub(crate) other: Vec<Difference>,
}

/// The missing objects: a missing table or view with its parts and sequences.
pub(super) fn missing(expected: &Structure, differences: &[Difference]) -> Vec<Object> {
    let absent: Vec<&Object> =
        differences.iter().filter(|one| one.actual.is_none()).filter_map(Difference::object).collect();
    let is_missing = |object: &&Object| {
        let of_missing = |other: &&Object| {
            other.table.is_empty() && other.kind != ObjectKind::Function && other.name == table(object)
        };
        absent.contains(object) || (!table(object).is_empty() && absent.iter().any(of_missing))
    };
    expected.objects().iter().filter(is_missing).cloned().collect()
}
