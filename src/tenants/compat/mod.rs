//! Judges whether the code of one release works on the schema of another one. Pure: two manifests in, findings out.
//!
//! The code is known by its own manifest: its statements select, insert, update and delete rows of every table and
//! column in it, name these columns, and leave out any column with a default. Everything that is not proven to be
//! harmless for such statements is a finding.

mod columns;
mod constraints;
mod defaults;
mod definitions;
mod finding;
mod objects;
mod sqlite;
mod tables;
#[cfg(test)]
mod tests;
mod types;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

pub(crate) use self::finding::{Change, Incompatibility, Level, Part, outcome};
use super::{
    manifest::{Expected, Manifest, Tables},
    structure::{Object, ObjectKind, Structure},
};

use crate::ordered::Ordered;

/// The engine whose names have no case.
const SQLITE: &str = "SQLite";

/// Whether the code of the first manifest works on the schemas of the second one.
pub(crate) fn judge(code: &Manifest, schema: &Manifest) -> Vec<Incompatibility> {
    let has_structure = code.framework.derives_structure() && schema.framework.derives_structure();
    let is_sqlite = has_structure && code.versions.contains_key(SQLITE);
    let expected = [&code.shared, &code.tenant, &schema.shared, &schema.tenant];
    let [code_shared, code_tenant, shared, tenant] = expected.map(|expected| folded(expected, is_sqlite));
    let compare = |part, code: &Expected, schema: &Expected, tables: [&Tables; 2]| {
        let [known, found] = tables;
        let [known_objects, found_objects] = [code, schema].map(|expected| index(&expected.structure));
        let mut judge =
            Judge { part, code, schema, known, found, known_objects, found_objects, findings: Vec::new() };
        judge.compare_tables(has_structure);
        match (has_structure, is_sqlite) {
            (false, _) => judge.compare_migrations(),
            (true, false) => judge.compare_objects(),
            (true, true) => judge.compare_statements(),
        }
        judge.findings
    };
    let mut findings = compare(Part::Shared, &code_shared, &shared, [&code_shared.tables, &shared.tables]);
    findings.extend(compare(Part::Tenant, &code_tenant, &tenant, [&code_tenant.tables, &tenant.tables]));
    for (kind, known) in &code.types {
        let part = Part::Type(kind.clone());
        let of_type = match schema.types.get(kind) {
            Some(found) => compare(part.clone(), &code_tenant, &tenant, [known, found]),
            None => vec![Incompatibility::new(part.clone(), ObjectKind::Other, kind, Change::Missing)],
        };
        let is_of_every_type = |one: &Incompatibility| {
            findings.iter().any(|all| all.part == Part::Tenant && all.is_same_as(one))
        };
        let only: Vec<_> = of_type.into_iter().filter(|one| !is_of_every_type(one)).collect();
        findings.extend(only);
    }
    if !is_sqlite {
        let hides = |table: &&String| {
            code_shared.tables.contains_key(*table) && !code_tenant.tables.contains_key(*table)
        };
        let hiding = tenant.tables.keys().filter(hides);
        findings.extend(
            hiding.map(|table| Incompatibility::new(Part::Tenant, ObjectKind::Table, table, Change::Shadows)),
        );
    }
    findings
}

/// SQLite's names have no case.
fn folded(expected: &Expected, is_sqlite: bool) -> Cow<'_, Expected> {
    if !is_sqlite {
        return Cow::Borrowed(expected);
    }
    let lower = |name: &String| name.to_lowercase();
    let columns = |columns: &BTreeSet<String>| columns.iter().map(lower).collect();
    let object =
        |object: &Object| Object { table: lower(&object.table), name: lower(&object.name), ..object.clone() };
    Cow::Owned(Expected {
        tables: expected.tables.iter().map(|(table, of)| (lower(table), columns(of))).into_map(),
        kinds: expected.kinds.iter().map(|(table, kind)| (lower(table), *kind)).into_map(),
        structure: Structure::new(expected.structure.objects().iter().map(object).collect()),
        ..expected.clone()
    })
}

/// The comparison of one schema.
struct Judge<'a> {
    part: Part,
    /// The schema that the code knows.
    code: &'a Expected,
    schema: &'a Expected,
    known: &'a Tables,
    found: &'a Tables,
    known_objects: Index<'a>,
    found_objects: Index<'a>,
    findings: Vec<Incompatibility>,
}

/// The objects by kind, table and name.
type Index<'a> = BTreeMap<(ObjectKind, &'a str, &'a str), &'a Object>;

fn index(structure: &Structure) -> Index<'_> {
    let entry = |object| (key(object), object);
    structure.objects().iter().map(entry).into_map()
}

fn key(object: &Object) -> (ObjectKind, &str, &str) {
    (object.kind, &object.table, &object.name)
}

/// The objects of one kind that belong to a table.
fn of_table<'a>(index: &Index<'a>, kind: ObjectKind, table: &'a str) -> impl Iterator<Item = &'a Object> {
    let objects = index.range((kind, table, "")..);
    objects.take_while(move |((of, name, _), _)| *of == kind && *name == table).map(|(_, object)| *object)
}

impl Judge<'_> {
    fn add(&mut self, object: ObjectKind, name: &str, change: Change) -> &mut Incompatibility {
        let index = self.findings.len();
        self.findings.push(Incompatibility::new(self.part.clone(), object, name, change));
        &mut self.findings[index]
    }

    /// Adds a finding about an object with its two definitions.
    fn add_object(&mut self, change: Change, known: Option<&Object>, found: Option<&Object>) {
        let Some(object) = known.or(found) else { return };
        let text = |object: &Object| match (object.definition.as_str(), object.state.as_str()) {
            (definition, "") => definition.to_owned(),
            ("", state) => state.to_owned(),
            (definition, state) => format!("{definition}, {state}"),
        };
        let finding = self.add(object.kind, &object.item(), change);
        finding.known = known.map(text);
        finding.found = found.map(text);
    }

    /// Whether both sides have the relation, as the same kind.
    fn is_common(&self, table: &str) -> bool {
        self.known.contains_key(table)
            && self.found.contains_key(table)
            && self.code.kinds.get(table) == self.schema.kinds.get(table)
    }
}
