//! Reads `[[accept]]`: known drift, of whom, until when, and why.

use super::{
    fill::{Node, Value},
    problem::{Problem, Problems},
    table::Table,
    values,
};
use crate::tenants::{accept::Accept, day::Day};

pub(super) fn read(list: &[Node], problems: &Problems) -> Vec<Accept> {
    let tables = list.iter().filter_map(|node| Table::of(node, "an `[[accept]]`", problems));
    tables.filter_map(read_one).flatten().collect()
}

/// One entry for each thing that is named.
fn read_one(mut table: Table<'_>) -> Option<Vec<Accept>> {
    let tenant = table.require("tenant", values::text);
    let what = table.one_or_list("what", values::text);
    if what.as_ref().is_none_or(Vec::is_empty) {
        table.missing("what");
    }
    let until = table.require("until", day);
    let reason = table.require("reason", values::text);
    table.finish();
    let (tenant, until, reason) = (tenant?, until?, reason?);
    let accept = |what| Accept { tenant: tenant.clone(), what, until, reason: reason.clone() };
    Some(what?.into_iter().map(accept).collect())
}

/// The last day on which it counts.
fn day(node: &Node) -> Result<Day, Problem> {
    let expected = "a day such as \"2027-01-31\"";
    let Value::Text(text) = &node.value else { return Err(values::wrong(node, expected)) };
    let day = text.parse().ok().filter(|_| text.len() == 10);
    day.ok_or_else(|| values::wrong(node, expected))
}
