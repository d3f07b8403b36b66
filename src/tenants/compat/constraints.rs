//! Judges constraints and indexes by their definitions. The name of one matters only for `ON CONFLICT ON CONSTRAINT`.

use super::{
    Change, Judge,
    definitions::{identifier, list, literal},
    of_table,
    types::fits_index,
};
use crate::tenants::structure::{Object, ObjectKind};

/// Index methods whose entries cannot fail, except for the size of a value in a btree.
const METHODS: [&str; 4] = ["btree", "hash", "brin", "gin"];
const COMPARISONS: [&str; 10] = ["=", "<>", "<", "<=", ">", ">=", "~", "~*", "~~", "!~~"];

impl<'a> Judge<'a> {
    /// The constraints and indexes of a table that both sides have.
    pub(super) fn compare_rules(&mut self, table: &'a str) {
        for kind in [ObjectKind::Constraint, ObjectKind::Index] {
            let known: Vec<&Object> = of_table(&self.known_objects, kind, table).collect();
            let found: Vec<&Object> = of_table(&self.found_objects, kind, table).collect();
            for object in &known {
                if !found.iter().any(|other| is_same(object, other))
                    && let Some(change) = loss(object)
                {
                    self.add_object(change, Some(object), None);
                }
            }
            for object in &found {
                // A constraint with another name acts on the same rows.
                if !known.iter().any(|other| acts_alike(object, other))
                    && let Some(change) = self.addition(table, object)
                {
                    self.add_object(change, None, Some(object));
                }
            }
        }
    }

    fn addition(&self, table: &'a str, object: &Object) -> Option<Change> {
        let definition = object.definition.as_str();
        if object.kind == ObjectKind::Index {
            return self.new_index(table, object);
        }
        let columns = columns(definition)?;
        let is_harmless = if definition.starts_with("FOREIGN KEY") {
            let mut nulls = columns.iter().map(|column| self.is_always_null(table, column));
            let is_null = if definition.contains(" MATCH FULL") {
                nulls.all(|null| null)
            } else {
                nulls.any(|null| null)
            };
            if is_null && !self.deletes(table, definition) {
                return Some(Change::Referenced);
            }
            is_null
        } else if definition.starts_with("CHECK ") {
            self.is_never_false(table, definition)
        } else {
            definition.starts_with("UNIQUE ") && self.is_never_equal(table, &columns, definition)
                || columns.iter().any(|column| self.is_always_distinct(table, column))
        };
        (!is_harmless).then_some(Change::Stricter)
    }

    /// Whether a row that the foreign key refers to can be deleted. A default that is set may refer to no row.
    pub(super) fn deletes(&self, table: &str, foreign_key: &str) -> bool {
        let may_be_null = |column: &String| self.column(table, column).is_some_and(|column| !column.not_null);
        foreign_key.contains(" ON DELETE CASCADE")
            || foreign_key.contains(" ON DELETE SET NULL")
                && columns(foreign_key).is_some_and(|columns| columns.iter().all(may_be_null))
    }

    fn is_never_equal(&self, table: &str, columns: &[String], definition: &str) -> bool {
        !definition.contains("NULLS NOT DISTINCT")
            && columns.iter().any(|column| self.is_always_null(table, column))
    }

    fn new_index(&self, table: &'a str, object: &Object) -> Option<Change> {
        let definition = object.definition.as_str();
        let (unique, rest) =
            definition.strip_prefix("UNIQUE ").map_or((false, definition), |rest| (true, rest));
        let (method, elements) = rest.strip_prefix("USING ")?.split_once(' ')?;
        let Some((elements, options)) = list(elements) else { return Some(Change::Additional) };
        let included = options.split_once("INCLUDE ").and_then(|(_, rest)| list(rest));
        let included = included.map(|(columns, _)| columns).unwrap_or_default();
        let names = elements.iter().chain(&included).map(|element| Some(identifier(element)?.0));
        let found = |name: Option<String>| {
            let name = name?;
            Some((self.column(table, &name)?.type_name, name))
        };
        let Some(columns) = names.map(found).collect::<Option<Vec<_>>>() else {
            return Some(Change::Additional);
        };
        let keys: Vec<String> = columns.iter().take(elements.len()).map(|(_, name)| name.clone()).collect();
        // An expression, an operator class of its own, or a predicate may fail.
        if !METHODS.contains(&method)
            || elements.iter().any(|element| element.contains('('))
            || has_expression(options)
        {
            return Some(if unique { Change::Stricter } else { Change::Additional });
        }
        if unique
            && !self.is_never_equal(table, &keys, definition)
            && !keys.iter().any(|column| self.is_always_distinct(table, column))
        {
            return Some(Change::Stricter);
        }
        let is_unlimited = ["btree", "gin"].contains(&method)
            && columns.iter().any(|(_, name)| !self.is_always_null(table, name))
            && !fits_index(columns.iter().map(|(type_name, _)| self.indexed_bytes(type_name)));
        is_unlimited.then_some(Change::Indexed)
    }

    /// Whether a CHECK holds for every row that the code writes: it only compares columns that are NULL in them with
    /// constants, so that it is NULL.
    fn is_never_false(&self, table: &str, definition: &str) -> bool {
        let Some(condition) = definition.strip_prefix("CHECK ") else { return false };
        let Some(words) = words(condition) else { return false };
        words.split(|word| *word == "AND" || *word == "OR").all(|comparison| {
            let is_constant = |word: &&str| {
                ["ANY", "ARRAY"].contains(word)
                    || word.starts_with(['\'', '-'])
                    || word.parse::<f64>().is_ok()
            };
            let [column, operator, constants @ ..] = comparison else { return false };
            let name = identifier(column).filter(|(_, rest)| rest.is_empty()).map(|(name, _)| name);
            name.is_some_and(|name| self.is_always_null(table, &name))
                && COMPARISONS.contains(operator)
                && !constants.is_empty()
                && constants.iter().all(is_constant)
        })
    }
}

/// The words of an expression without parentheses, brackets, commas and casts. None if it contains anything that may
/// not be NULL for a NULL.
fn words(expression: &str) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut rest = expression;
    loop {
        rest = rest.trim_start_matches([' ', '(', ')', '[', ']', ',', '\n']);
        if rest.is_empty() {
            return Some(words);
        }
        if let Some(cast) = rest.strip_prefix("::") {
            // A type of one or two words, with parameters or dimensions.
            let end = cast.find([')', ',']).unwrap_or(cast.len());
            let end = cast[..end].find(['=', '<', '>', '~', '\'']).unwrap_or(end);
            let name = cast[..end].trim();
            let name = if name.ends_with("[]") { name } else { name.trim_end_matches(']') };
            let known =
                ["text", "character varying", "numeric", "integer", "bigint", "text[]", "integer[]", "date"];
            if !known.contains(&name) {
                return None;
            }
            rest = &cast[name.len()..];
            continue;
        }
        let length = match literal(rest) {
            Some((text, _)) => text.len(),
            None => rest.find([' ', '(', ')', '[', ']', ',', ':']).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(length.max(1));
        // A function.
        if after.starts_with('(') || word == ":" {
            return None;
        }
        words.push(word);
        rest = after;
    }
}

/// Whether the predicate of an index, or its storage options, may contain an expression that fails.
fn has_expression(options: &str) -> bool {
    let Some((_, predicate)) = options.split_once(" WHERE ") else { return false };
    let is_null_test = |text: &str| {
        let text = text.trim_matches(['(', ')']);
        let name =
            text.strip_suffix(" IS NULL").or_else(|| text.strip_suffix(" IS NOT NULL")).unwrap_or(text);
        let name = name.strip_prefix("NOT ").unwrap_or(name);
        identifier(name).is_some_and(|(_, rest)| rest.is_empty())
    };
    !is_null_test(predicate)
        && words(predicate).is_none_or(|words| {
            words.iter().any(|word| {
                *word == "-" || word.contains(['/', '%', '^', '*', '+', '|', '&', '#', '@', '!', '?'])
            })
        })
}

/// The columns of a constraint. An expression is no column.
fn columns(definition: &str) -> Option<Vec<String>> {
    let (elements, _) = list(definition)?;
    let column =
        |element: &&str| identifier(element).filter(|(_, rest)| rest.is_empty()).map(|(name, _)| name);
    Some(elements.iter().filter_map(column).collect())
}

/// Rows that exist may violate a constraint that is not validated; new rows may not.
fn rule(object: &Object) -> (&str, &str) {
    (object.definition.trim_end_matches(" NOT VALID"), object.state.as_str())
}

/// Whether an index evaluates an expression or a predicate.
pub(super) fn computes(index: &str) -> bool {
    index.contains(" WHERE ") || index.split_once('(').is_some_and(|(_, elements)| elements.contains('('))
}

fn acts_alike(one: &Object, other: &Object) -> bool {
    rule(one) == rule(other)
}

fn is_arbiter(object: &Object) -> bool {
    ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|start| object.definition.starts_with(start))
}

fn is_same(known: &Object, found: &Object) -> bool {
    acts_alike(known, found)
        && (known.name == found.name || known.kind == ObjectKind::Index || !is_arbiter(known))
}

/// The change for the code if the schema lacks this object.
fn loss(object: &Object) -> Option<Change> {
    if is_arbiter(object) {
        return Some(Change::NoArbiter);
    }
    let has_action = |on: &str| {
        object
            .definition
            .split_once(on)
            .is_some_and(|(_, action)| action.starts_with("CASCADE") || action.starts_with("SET "))
    };
    let acts = object.definition.starts_with("FOREIGN KEY")
        && (has_action(" ON DELETE ") || has_action(" ON UPDATE "));
    acts.then_some(Change::Changed)
}
