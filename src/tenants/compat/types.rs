//! Compares types: whether one holds every value of another.

use super::{
    Change, Judge,
    definitions::{identifier, list},
};
use crate::tenants::structure::ObjectKind;

/// The types of PostgreSQL whose names need no schema, without their parameters.
const BUILT_IN: &[&str] = &[
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "real",
    "double precision",
    "boolean",
    "text",
    "character varying",
    "character",
    "bytea",
    "uuid",
    "json",
    "jsonb",
    "date",
    "timestamp without time zone",
    "timestamp with time zone",
    "time without time zone",
    "time with time zone",
    "interval",
    "bit",
    "bit varying",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "money",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "xml",
    "tsvector",
    "tsquery",
    "name",
    "oid",
    "\"char\"",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "int4multirange",
    "int8multirange",
    "nummultirange",
    "tsmultirange",
    "tstzmultirange",
    "datemultirange",
];

/// Types whose values are small.
const SMALL: [&str; 11] = [
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "boolean",
    "uuid",
    "date",
    "oid",
    "inet",
    "interval",
];

/// The limit of a btree's tuple is 2,704 bytes.
const INDEXED_BYTES: i64 = 2600;
const BYTES_PER_CHARACTER: i64 = 4;

/// A type with its parameters apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Type<'a> {
    pub(super) name: String,
    pub(super) parameters: Vec<i64>,
    pub(super) dimensions: &'a str,
}

impl<'a> Type<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let bare = text.trim_end_matches("[]");
        let dimensions = &text[bare.len()..];
        let parsed = bare.split_once('(').filter(|_| !bare.contains('"')).and_then(|(before, _)| {
            let (parameters, after) = list(bare)?;
            let numbers = parameters.iter().map(|number| number.parse().ok()).collect::<Option<_>>()?;
            Some((format!("{before}{after}"), numbers))
        });
        let (name, parameters) = parsed.unwrap_or_else(|| (bare.to_owned(), Vec::new()));
        Self { name, parameters, dimensions }
    }
}

/// The change for a column of the first type that has the second one; None if every value and every statement fits.
pub(super) fn conversion(from: &str, to: &str) -> Option<Change> {
    let (from, to) = (Type::parse(from), Type::parse(to));
    if from.dimensions != to.dimensions {
        return Some(Change::OtherType);
    }
    let length = |of: &Type<'_>| of.parameters.first().copied().unwrap_or(i64::MAX);
    let fits = |does| if does { None } else { Some(Change::Narrower) };
    let integer = |name: &str| ["smallint", "integer", "bigint"].iter().position(|one| *one == name);
    match (from.name.as_str(), to.name.as_str()) {
        ("character varying" | "text", "character varying") | ("bit varying", "bit varying") => {
            fits(length(&from) <= length(&to))
        }
        ("character varying", "text") => None,
        ("numeric", "numeric") => {
            let digits = |of: &Type<'_>| match of.parameters[..] {
                [precision, scale] => Some((precision - scale, scale)),
                [precision] => Some((precision, 0)),
                _ => None,
            };
            match (digits(&from), digits(&to)) {
                (_, None) => None,
                (None, Some(_)) => Some(Change::Narrower),
                (Some(from), Some(to)) => fits(from.0 <= to.0 && from.1 <= to.1),
            }
        }
        ("double precision", "real") => Some(Change::Narrower),
        (one, other) if one == other && (one.starts_with("time") || one == "interval") => {
            (length(&from) > length(&to)).then_some(Change::OtherType)
        }
        (one, other) => match (integer(one), integer(other)) {
            (Some(one), Some(other)) if one > other => Some(Change::Narrower),
            _ => Some(Change::OtherType),
        },
    }
}

/// Whether an index of values of these sizes accepts each of them.
pub(super) fn fits_index(sizes: impl Iterator<Item = Option<i64>>) -> bool {
    sizes.sum::<Option<i64>>().is_some_and(|sum| sum <= INDEXED_BYTES)
}

impl Judge<'_> {
    /// Whether the type has neither a default nor a rule: it is PostgreSQL's own, or one of this schema and no domain.
    pub(super) fn has_plain_type(&self, type_name: &str) -> bool {
        let of = Type::parse(type_name);
        BUILT_IN.contains(&of.name.as_str())
            || self.own_type(&of.name).is_some_and(|definition| {
                ["AS ENUM (", "AS (", "AS RANGE ("].iter().any(|start| definition.starts_with(start))
            })
    }

    /// The most bytes of a value in an index; None without a limit.
    pub(super) fn indexed_bytes(&self, type_name: &str) -> Option<i64> {
        let of = Type::parse(type_name);
        match of.name.as_str() {
            _ if !of.dimensions.is_empty() => None,
            "character varying" | "character" => Some(of.parameters.first()? * BYTES_PER_CHARACTER),
            "numeric" => of.parameters.first().copied(),
            name if SMALL.contains(&name) || name.starts_with("time") => Some(32),
            name => self.own_type(name)?.starts_with("AS ENUM (").then_some(4),
        }
    }

    /// The definition of a type of this schema.
    pub(super) fn own_type(&self, name: &str) -> Option<&str> {
        let (name, rest) = identifier(name)?;
        let object = self.found_objects.get(&(ObjectKind::Type, "", &name)).filter(|_| rest.is_empty())?;
        Some(&object.definition)
    }
}

/// The labels of an enum, with their quotation marks.
pub(super) fn labels(definition: &str) -> Vec<&str> {
    list(definition).map(|(labels, _)| labels).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_holds_every_value_is_compatible() {
        use Change::{Narrower, OtherType};
        for (from, to, change) in [
            ("character varying(10)", "character varying(20)", None),
            ("character varying(20)", "character varying(10)", Some(Narrower)),
            ("character varying(20)", "text", None),
            ("character varying", "character varying(9)", Some(Narrower)),
            ("text", "character varying(9)", Some(Narrower)),
            ("text", "character varying", None),
            ("character varying(5)[]", "character varying(6)[]", None),
            ("character varying(5)[]", "character varying(6)", Some(OtherType)),
            ("character varying(5)", "character(5)", Some(OtherType)),
            ("bigint", "integer", Some(Narrower)),
            ("integer", "bigint", Some(OtherType)),
            ("numeric(10,2)", "numeric(12,2)", None),
            ("numeric(10,2)", "numeric(10,3)", Some(Narrower)),
            ("numeric(10,2)", "numeric(11,3)", None),
            ("numeric(10,2)", "numeric", None),
            ("numeric", "numeric(99,9)", Some(Narrower)),
            ("double precision", "real", Some(Narrower)),
            ("timestamp(3) with time zone", "timestamp with time zone", None),
            ("timestamp with time zone", "timestamp(0) with time zone", Some(OtherType)),
            ("timestamp without time zone", "timestamp with time zone", Some(OtherType)),
            ("text", "text COLLATE \"C\"", Some(OtherType)),
            ("\"a(3)\"", "\"a(4)\"", Some(OtherType)),
        ] {
            assert_eq!(conversion(from, to), change, "{from} -> {to}");
        }
    }
}
