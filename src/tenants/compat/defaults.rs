//! Decides whether a default is certainly a value of its type, so that it cannot fail. Any other expression may.

use super::{
    Judge,
    definitions::{identifier, literal},
    types::{Type, labels},
};
use crate::tenants::structure::ObjectKind;

impl Judge<'_> {
    /// Whether the default is certainly a value of the type. An unknown expression may fail.
    pub(super) fn is_valid_default(&self, default: &str, type_name: &str) -> bool {
        let of = Type::parse(type_name);
        let first = of.parameters.first().copied();
        if let (true, Some((text, cast))) = (default.starts_with('\''), literal(default)) {
            let Some(cast) = cast.strip_prefix("::") else { return false };
            let characters = i64::try_from(text[1..text.len() - 1].replace("''", "'").chars().count());
            let is_array = !of.dimensions.is_empty() && text == "'{}'" && self.has_plain_type(type_name);
            return match cast {
                _ if is_array => cast.ends_with("[]"),
                "text" | "character varying" if ["text", "character varying"].contains(&&*of.name) => {
                    of.dimensions.is_empty()
                        && characters.is_ok_and(|count| first.is_none_or(|most| count <= most))
                }
                "jsonb" | "json" => cast == type_name && ["'{}'", "'[]'", "'null'"].contains(&text),
                "integer" | "bigint" | "numeric" => {
                    of.dimensions.is_empty() && is_number(&text[1..text.len() - 1], &of)
                }
                _ => {
                    cast == type_name
                        && self.own_type(cast).is_some_and(|definition| {
                            definition.starts_with("AS ENUM (") && labels(definition).contains(&text)
                        })
                }
            };
        }
        let is_time =
            ["date", "timestamp with time zone", "timestamp without time zone"].contains(&&*of.name);
        match default {
            _ if !of.dimensions.is_empty() => false,
            "true" | "false" => of.name == "boolean",
            "now()" | "CURRENT_TIMESTAMP" | "CURRENT_DATE" | "clock_timestamp()" | "LOCALTIMESTAMP" => {
                is_time
            }
            "gen_random_uuid()" => of.name == "uuid",
            _ if default.starts_with("nextval(") => self.is_own_sequence(default, &of.name),
            number => is_number(number.trim_matches(['(', ')']), &of),
        }
    }

    /// Whether the default is the next value of a sequence of the same type that is not limited otherwise.
    fn is_own_sequence(&self, default: &str, type_name: &str) -> bool {
        let name = default.strip_prefix("nextval('").and_then(|rest| rest.strip_suffix("'::regclass)"));
        let sequence = name.and_then(identifier).filter(|(_, rest)| rest.is_empty());
        sequence.is_some_and(|(name, _)| {
            let sequence = self.found_objects.get(&(ObjectKind::Sequence, "", &name));
            sequence.is_some_and(|sequence| {
                let of_type =
                    sequence.definition.strip_prefix("AS ").and_then(|rest| rest.strip_prefix(type_name));
                of_type.is_some() && is_plain_sequence(&sequence.definition)
            })
        })
    }
}

/// Whether a sequence has the usual options, so that it does not end early.
pub(super) fn is_plain_sequence(options: &str) -> bool {
    [("bigint", "9223372036854775807"), ("integer", "2147483647"), ("smallint", "32767")].iter().any(
        |(of, most)| {
            options.contains(&format!("AS {of} START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE {most} "))
        },
    )
}

/// Whether a number in decimals is a value of the type.
fn is_number(text: &str, of: &Type<'_>) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_decimal =
        !whole.is_empty() && [whole, fraction].concat().bytes().all(|byte| byte.is_ascii_digit());
    let most = match (of.name.as_str(), &of.parameters[..]) {
        ("smallint", _) => 4,
        ("integer", _) => 9,
        ("bigint", _) => 18,
        ("numeric", []) | ("double precision", _) => 100,
        ("real", _) => 30,
        // A number may be rounded up.
        ("numeric", [precision, scale]) => {
            usize::try_from(precision - scale - i64::from(!fraction.is_empty())).unwrap_or(0)
        }
        _ => 0,
    };
    let is_zero = most == 0 && of.name == "numeric" && digits == "0";
    is_decimal && (whole.len() <= most || is_zero)
}
