//! The statements that create the missing objects of a schema, in an order in which each finds what it uses. Pure. The
//! `search_path` must be the schema alone.

use std::collections::BTreeSet;

use crate::{
    database::postgres::quote::{identifier, literal},
    ordered::{self, Ordered},
    tenants::structure::{OWN_SCHEMA, Object, ObjectKind, difference::Difference},
};

/// The order of the kinds, apart from what an object's definition mentions.
fn stage(object: &Object) -> u8 {
    match object.kind {
        ObjectKind::Type if object.definition.starts_with("AS ENUM") => 0,
        ObjectKind::Type | ObjectKind::Other => 1,
        ObjectKind::Sequence => 2,
        ObjectKind::Function => 3,
        ObjectKind::Table => 4,
        ObjectKind::Column => 5,
        ObjectKind::Constraint if !is_foreign_key(object) => 6,
        ObjectKind::Index => 7,
        ObjectKind::View | ObjectKind::MaterializedView => 8,
        ObjectKind::Constraint
        | ObjectKind::Trigger
        | ObjectKind::Rule
        | ObjectKind::Policy
        | ObjectKind::Statistics => 9,
    }
}

/// Without a semicolon at the end of each. An index of a materialized view follows the view.
pub(in crate::database::postgres) fn statements(schema: &str, missing: &[Object]) -> Vec<String> {
    let created = |object: &&Object| !object.state.contains("inherited");
    let mut sorted: Vec<&Object> = missing.iter().filter(created).collect();
    ordered::sort_by_key(&mut sorted, |object| stage(object));
    let mut order = Order { missing, visited: BTreeSet::new(), ordered: Vec::new() };
    for object in &sorted {
        order.visit(object);
    }
    let ordered = order.ordered;
    let new_tables: BTreeSet<&str> = relations(missing).map(|object| object.name.as_str()).into_set();
    let objects = ordered.iter().filter_map(|object| create(object, missing, &new_tables));
    let settings = ordered.iter().flat_map(|object| set(object, &new_tables));
    let own = format!("{}.", identifier(schema));
    objects.chain(settings).map(|sql| sql.replace(&format!("{OWN_SCHEMA}."), &own)).collect()
}

/// The statements that add the default and NOT NULL that an otherwise equal column lacks, or that build an invalid index
/// again.
pub(in crate::database::postgres) fn completion(
    schema: &str,
    difference: &Difference,
) -> Option<Vec<String>> {
    let (expected, actual) = (difference.expected.as_deref()?, difference.actual.as_deref()?);
    if expected.kind == ObjectKind::Index
        && actual.state == "invalid"
        && expected.state.is_empty()
        && expected.definition == actual.definition
    {
        let drop = format!("DROP INDEX {}", identifier(&actual.name));
        return Some(vec![drop, create(expected, &[], &BTreeSet::new())?]);
    }
    if expected.kind != ObjectKind::Column || expected.state != actual.state {
        return None;
    }
    let ((type_name, default, not_null), found) = (parts(&expected.definition), parts(&actual.definition));
    let lacks_only = type_name == found.0
        && (found.1.is_none() || found.1 == default)
        && (not_null || !found.2)
        && !type_name.contains(" GENERATED ");
    let alter = format!(
        "ALTER TABLE {} ALTER COLUMN {} SET ",
        identifier(&expected.table),
        identifier(&expected.name)
    );
    let default = default.filter(|_| found.1.is_none()).map(|default| format!("{alter}DEFAULT {default}"));
    let not_null = (not_null && !found.2).then(|| format!("{alter}NOT NULL"));
    let own = format!("{}.", identifier(schema));
    let statements = default.into_iter().chain(not_null);
    lacks_only.then(|| statements.map(|sql| sql.replace(&format!("{OWN_SCHEMA}."), &own)).collect())
}

/// The type, the default, and whether the column is NOT NULL.
fn parts(definition: &str) -> (&str, Option<&str>, bool) {
    let (rest, not_null) =
        definition.strip_suffix(" NOT NULL").map_or((definition, false), |rest| (rest, true));
    match rest.split_once(" DEFAULT ") {
        Some((type_name, default)) => (type_name, Some(default), not_null),
        None => (rest, None, not_null),
    }
}

struct Order<'a> {
    missing: &'a [Object],
    visited: BTreeSet<&'a Object>,
    ordered: Vec<&'a Object>,
}

impl<'a> Order<'a> {
    /// Appends the object after those that it uses.
    fn visit(&mut self, object: &'a Object) {
        if !self.visited.insert(object) {
            return;
        }
        let text = used_text(object, self.missing);
        // A word in a literal may be the name of an object that a later stage creates.
        let may_use = |other: &Object| {
            stage(other) <= stage(object).min(8) || (object.kind == ObjectKind::Function && relation(other))
        };
        for other in self.missing.iter().filter(|other| *other != object) {
            let is_own_table = other.name == object.table && relation(other);
            let is_named =
                !matches!(other.kind, ObjectKind::Column | ObjectKind::Constraint | ObjectKind::Index);
            let name = other.name.split('(').next().unwrap_or_default();
            if is_own_table || (is_named && may_use(other) && mentions(&text, name)) {
                self.visit(other);
            }
        }
        self.ordered.push(object);
    }
}

/// The part of the definitions that the server resolves when it creates the object.
fn used_text(object: &Object, missing: &[Object]) -> String {
    match object.kind {
        // Its owner is set at the end.
        ObjectKind::Sequence => String::new(),
        ObjectKind::Function if !object.definition.contains("BEGIN ATOMIC") => {
            // `check_function_bodies` is off.
            object.definition.split("\nAS ").next().unwrap_or_default().to_owned()
        }
        ObjectKind::Table => columns(missing, &object.name)
            .fold(object.definition.clone(), |text, column| format!("{text} {}", column.definition)),
        _ => object.definition.clone(),
    }
}

fn mentions(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    !name.is_empty()
        && text
            .match_indices(name)
            .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + name.len()..].starts_with(is_word))
}

fn relation(object: &Object) -> bool {
    matches!(object.kind, ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView)
}

fn relations(objects: &[Object]) -> impl Iterator<Item = &Object> {
    objects.iter().filter(|object| relation(object))
}

fn columns<'a>(objects: &'a [Object], table: &str) -> impl Iterator<Item = &'a Object> {
    objects.iter().filter(move |object| {
        object.kind == ObjectKind::Column && object.table == table && !object.state.contains("inherited")
    })
}

fn is_foreign_key(object: &Object) -> bool {
    object.definition.starts_with("FOREIGN KEY")
}

/// None for a part of a table that is created with it.
fn create(object: &Object, missing: &[Object], new_tables: &BTreeSet<&str>) -> Option<String> {
    let Object { kind, table, name, definition, state } = object;
    let (quoted, on) = (identifier(name), identifier(table));
    Some(match kind {
        ObjectKind::Type if definition.starts_with("AS ENUM") || definition.starts_with("AS (") => {
            format!("CREATE TYPE {quoted} {definition}")
        }
        ObjectKind::Type if definition.starts_with("AS RANGE") || definition.starts_with('(') => {
            format!("CREATE TYPE {quoted} {definition}")
        }
        ObjectKind::Type => format!("CREATE DOMAIN {quoted} {definition}"),
        ObjectKind::Sequence => {
            let unlogged = if state.contains("unlogged") { "UNLOGGED " } else { "" };
            let options = definition.split(" OWNED BY ").next().unwrap_or_default();
            format!("CREATE {unlogged}SEQUENCE {quoted} {options}")
        }
        ObjectKind::Table => create_table(object, missing),
        ObjectKind::Column if new_tables.contains(table.as_str()) => return None,
        ObjectKind::Column => format!("ALTER TABLE {on} ADD COLUMN {}", column_definition(object)),
        ObjectKind::Constraint => format!("ALTER TABLE {on} ADD CONSTRAINT {quoted} {definition}"),
        ObjectKind::Index => {
            let (unique, rest) = definition
                .strip_prefix("UNIQUE ")
                .map_or(("", definition.as_str()), |rest| ("UNIQUE ", rest));
            format!("CREATE {unique}INDEX {quoted} ON {on} {rest}")
        }
        ObjectKind::View => format!("CREATE VIEW {quoted} {definition}"),
        ObjectKind::MaterializedView => {
            let data = if state.contains("not populated") { "\nWITH NO DATA" } else { "" };
            format!("CREATE MATERIALIZED VIEW {quoted} {definition}{data}")
        }
        ObjectKind::Policy => format!("CREATE POLICY {quoted} ON {on} {definition}"),
        ObjectKind::Function | ObjectKind::Trigger | ObjectKind::Rule | ObjectKind::Statistics => {
            definition.trim_end_matches(';').to_owned()
        }
        ObjectKind::Other => return None,
    })
}

fn create_table(object: &Object, missing: &[Object]) -> String {
    let Object { name, definition, state, .. } = object;
    let foreign = if definition.starts_with("SERVER ") { "FOREIGN " } else { "" };
    let unlogged = if state.contains("unlogged") { "UNLOGGED " } else { "" };
    let columns: Vec<String> =
        columns(missing, name).map(|column| format!("    {}", column_definition(column))).collect();
    let name = identifier(name);
    let columns = match columns.join(",\n") {
        list if list.is_empty() && definition.starts_with("PARTITION OF ") => String::new(),
        list if list.is_empty() => " ()".to_owned(),
        list => format!(" (\n{list}\n)"),
    };
    if definition.starts_with("OF ") {
        return format!("CREATE {unlogged}TABLE {name}{columns};\nALTER TABLE {name} {definition}");
    }
    let definition = if definition.is_empty() { String::new() } else { format!(" {definition}") };
    format!("CREATE {foreign}{unlogged}TABLE {name}{columns}{definition}")
}

/// The type of an identity's sequence follows from the column.
fn column_definition(column: &Object) -> String {
    let definition = match column.definition.split_once(" AS IDENTITY (AS ") {
        Some((before, options)) => {
            let options = options.split_once(" START WITH ").map_or(options, |(_, rest)| rest);
            format!("{before} AS IDENTITY (START WITH {options}")
        }
        None => column.definition.clone(),
    };
    format!("{} {definition}", identifier(&column.name))
}

/// The statements after all objects exist.
fn set(object: &Object, new_tables: &BTreeSet<&str>) -> Vec<String> {
    let Object { kind, table, name, definition, state } = object;
    let (quoted, on) = (identifier(name), identifier(table));
    let has = |word: &str| state.split(", ").any(|part| part == word);
    let mut statements = Vec::new();
    match kind {
        ObjectKind::Sequence => {
            if let Some((_, owner)) = definition.split_once(" OWNED BY ") {
                statements.push(format!("ALTER SEQUENCE {quoted} OWNED BY {owner}"));
                // The next value must not be one of an existing row.
                if let Some((table, column)) = owner.rsplit_once('.')
                    && !new_tables.contains(table.trim_matches('"'))
                {
                    let sequence = literal(&quoted);
                    statements.push(format!(
                        "SELECT pg_catalog.setval({sequence}, pg_catalog.max({column})) FROM {table} HAVING pg_catalog.max({column}) IS NOT NULL"
                    ));
                }
            }
        }
        ObjectKind::Table => {
            for (word, action) in [
                ("row level security", "ENABLE ROW LEVEL SECURITY"),
                ("forced row level security", "FORCE ROW LEVEL SECURITY"),
                ("replica identity full", "REPLICA IDENTITY FULL"),
                ("replica identity nothing", "REPLICA IDENTITY NOTHING"),
            ] {
                if has(word) {
                    statements.push(format!("ALTER TABLE {quoted} {action}"));
                }
            }
        }
        ObjectKind::Index | ObjectKind::Constraint if has("replica identity") => {
            statements.push(format!("ALTER TABLE {on} REPLICA IDENTITY USING INDEX {quoted}"));
        }
        ObjectKind::Trigger | ObjectKind::Rule => {
            let word = if *kind == ObjectKind::Trigger { "TRIGGER" } else { "RULE" };
            for (state, action) in [
                ("disabled", "DISABLE"),
                ("enabled for replicas", "ENABLE REPLICA"),
                ("enabled always", "ENABLE ALWAYS"),
            ] {
                if has(state) {
                    statements.push(format!("ALTER TABLE {on} {action} {word} {quoted}"));
                }
            }
        }
        _ => {}
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: ObjectKind, table: &str, name: &str, definition: &str, state: &str) -> Object {
        let [table, name, definition, state] = [table, name, definition, state].map(str::to_owned);
        Object { kind, table, name, definition, state }
    }

    #[test]
    fn each_statement_follows_those_that_it_needs() {
        use ObjectKind as K;
        let missing = [
            object(K::Column, "a", "total", "mood DEFAULT rate() NOT NULL", ""),
            object(K::Constraint, "a", "a_b_fkey", "FOREIGN KEY (b) REFERENCES b(id)", ""),
            object(K::Constraint, "b", "b_pkey", "PRIMARY KEY (id)", ""),
            object(K::View, "", "v_top", "AS\n SELECT * FROM v_base", ""),
            object(K::View, "", "v_base", "AS\n SELECT id FROM b", ""),
            object(K::Table, "", "b", "", "row level security"),
            object(K::Column, "b", "id", "bigint DEFAULT nextval('b_id_seq'::regclass) NOT NULL", ""),
            object(K::Column, "b", "old", "bigint", "inherited"),
            object(K::Sequence, "", "b_id_seq", "AS bigint START WITH 1 OWNED BY b.id", ""),
            object(
                K::Trigger,
                "b",
                "t",
                "CREATE TRIGGER t BEFORE INSERT ON b EXECUTE FUNCTION <schema>.f()",
                "disabled",
            ),
            object(
                K::Function,
                "",
                "rate()",
                "CREATE FUNCTION <schema>.rate() RETURNS mood\nAS $$ SELECT 1 FROM b $$",
                "",
            ),
            object(K::Type, "", "mood", "AS ENUM ('a')", ""),
        ];
        assert_eq!(
            statements("acme", &missing),
            [
                "CREATE TYPE \"mood\" AS ENUM ('a')",
                "CREATE SEQUENCE \"b_id_seq\" AS bigint START WITH 1",
                "CREATE FUNCTION \"acme\".rate() RETURNS mood\nAS $$ SELECT 1 FROM b $$",
                "CREATE TABLE \"b\" (\n    \"id\" bigint DEFAULT nextval('b_id_seq'::regclass) NOT NULL\n)",
                "ALTER TABLE \"a\" ADD COLUMN \"total\" mood DEFAULT rate() NOT NULL",
                "ALTER TABLE \"b\" ADD CONSTRAINT \"b_pkey\" PRIMARY KEY (id)",
                "CREATE VIEW \"v_base\" AS\n SELECT id FROM b",
                "CREATE VIEW \"v_top\" AS\n SELECT * FROM v_base",
                "ALTER TABLE \"a\" ADD CONSTRAINT \"a_b_fkey\" FOREIGN KEY (b) REFERENCES b(id)",
                "CREATE TRIGGER t BEFORE INSERT ON b EXECUTE FUNCTION \"acme\".f()",
                "ALTER SEQUENCE \"b_id_seq\" OWNED BY b.id",
                "ALTER TABLE \"b\" ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE \"b\" DISABLE TRIGGER \"t\"",
            ]
        );
    }

    #[test]
    fn a_restored_sequence_continues_after_the_existing_rows() {
        let sequence = object(ObjectKind::Sequence, "", "s", "AS bigint OWNED BY kept.id", "");
        let sql = statements("acme", &[sequence]);
        assert_eq!(
            sql[2],
            "SELECT pg_catalog.setval('\"s\"', pg_catalog.max(id)) FROM kept HAVING pg_catalog.max(id) IS NOT NULL"
        );
    }
}
