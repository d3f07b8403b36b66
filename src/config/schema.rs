//! Builds the JSON Schema of the file, for editors, from the declared keys. It is less strict than the readers if a
//! rule spans several keys.

use serde_json::{Map, Value, json};

use super::{
    keys::{Choice, Key, Kind, Need, ROOT, Section},
    password::{FORMS, VARIABLE_FORMS},
};

/// The schema that `portcullis schema` prints.
pub(crate) fn schema() -> String {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Portcullis config.toml",
    });
    merge(&mut schema, object(&ROOT, None));
    merge(&mut schema, json!({ "description": ROOT.doc, "$defs": definitions() }));
    format!("{schema:#}\n")
}

/// The schema of a table; if keys belong to frameworks, one variant per framework.
fn object(section: &'static Section, framework: Option<&'static str>) -> Value {
    let split = section.keys.iter().find(|key| key.name == "framework");
    if let (Some(Key { kind: Kind::Word(words), .. }), None) = (split, framework) {
        let forms: Vec<Value> = words().into_iter().map(|word| object(section, Some(word))).collect();
        return json!({ "anyOf": forms });
    }
    let keys = || section.keys.iter().filter(|key| key.is_of(framework));
    let mut properties: Map<String, Value> =
        keys().map(|key| (key.name.to_owned(), property(key, framework))).collect();
    for (key, former) in keys().filter_map(|key| Some((key, key.former?))) {
        let mut value = property(key, framework);
        merge(&mut value, json!({ "deprecated": true, "description": format!("Now `{}`.", key.name) }));
        properties.insert(former.to_owned(), value);
    }
    let is_needed = |key: &&Key| matches!(key.need, Need::Required) || is_discriminated_by(key, framework);
    let required: Vec<&str> = keys().filter(is_needed).map(|key| key.name).collect();
    let mut object = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        merge(&mut object, json!({ "required": required }));
    }
    match section.choice {
        Choice::Free => {}
        Choice::OneOf(keys) => {
            let forms: Vec<Value> = keys.iter().map(|key| json!({ "required": [key] })).collect();
            merge(&mut object, json!({ "oneOf": forms }));
        }
        Choice::OneOfAll => merge(&mut object, json!({ "minProperties": 1, "maxProperties": 1 })),
    }
    object
}

/// The framework must be given unless it is the default.
fn is_discriminated_by(key: &Key, framework: Option<&str>) -> bool {
    let default = match key.need {
        Need::Default(text) => Some(text),
        Need::Required | Need::Optional(_) => None,
    };
    key.name == "framework" && framework.is_some() && framework != default
}

fn property(key: &'static Key, framework: Option<&'static str>) -> Value {
    let mut value = match (key.kind, framework) {
        (Kind::Word(_), Some(word)) if key.name == "framework" && is_discriminated_by(key, framework) => {
            any_of(&json!({ "enum": [word] }), "filled")
        }
        (Kind::Word(_), Some(word)) if key.name == "framework" => {
            any_of(&json!({ "enum": [word, ""] }), "filled")
        }
        (Kind::Table(section), _) => object(section, framework),
        (kind, _) => of_kind(kind),
    };
    let default = match key.need {
        Need::Required | Need::Optional("none") => String::new(),
        Need::Default(text) => format!(" [{text}]"),
        Need::Optional(words) => format!(" [{}]", plain(words)),
    };
    merge(&mut value, json!({ "description": format!("{}{default}", plain(key.doc)) }));
    value
}

fn of_kind(kind: Kind) -> Value {
    let texts = |least: usize| json!({ "type": "array", "items": { "type": "string" }, "minItems": least });
    match kind {
        Kind::Text | Kind::Identifier | Kind::Path | Kind::Address | Kind::ListenAddress | Kind::Url(_) => {
            reference("text")
        }
        Kind::StepName => json!({ "type": "string", "minLength": 1, "maxLength": 60 }),
        Kind::Day => {
            any_of(&json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }), "filled")
        }
        Kind::Password => reference("password"),
        Kind::Variables => json!({ "type": "object", "additionalProperties": reference("secret") }),
        Kind::Columns => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "integer", "boolean"] } })
        }
        Kind::Number(least, most) => {
            any_of(&json!({ "type": "integer", "minimum": least, "maximum": most }), "filledNumber")
        }
        Kind::Boolean => reference("boolean"),
        Kind::Duration => reference("duration"),
        Kind::DurationOrZero => reference("durationOrZero"),
        Kind::Word(words) => {
            let words: Vec<&str> = words().into_iter().chain([""]).collect();
            any_of(&json!({ "enum": words }), "filled")
        }
        Kind::Argv(least) | Kind::Texts(least) => texts(least),
        Kind::Argvs => {
            let words =
                json!({ "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 1 });
            json!({ "type": "array", "items": words })
        }
        Kind::Waves => {
            let percent = json!({ "type": "string", "pattern": r"^([1-9][0-9]?|100)%$|\$\{" });
            json!({ "type": "array", "items": { "anyOf": [texts(1), percent] } })
        }
        Kind::OneOrMany(of) => {
            let one = of_kind(*of);
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
        }
        Kind::AllOrNames => json!({ "anyOf": [{ "enum": ["all"] }, reference("filled"), texts(1)] }),
        Kind::After => json!({ "anyOf": [{ "enum": ["start", ""] }, texts(1)] }),
        Kind::Table(section) => object(section, None),
        Kind::Tables(section) => json!({ "type": "array", "items": object(section, None) }),
    }
}

/// Definitions that are used in several places.
fn definitions() -> Value {
    let forms = |section: &'static Section| -> Vec<Value> {
        let (limits, sources): (Vec<&Key>, Vec<&Key>) =
            section.keys.iter().partition(|key| key.name == "timeout");
        let form = |key: &'static Key| {
            let limit = limits.iter().filter(|_| key.name == "command").copied();
            let properties: Map<String, Value> = [key]
                .into_iter()
                .chain(limit)
                .map(|key| (key.name.to_owned(), property(key, None)))
                .collect();
            json!({ "type": "object", "additionalProperties": false, "properties": properties,
                "required": [key.name] })
        };
        [json!({ "type": "string" })].into_iter().chain(sources.into_iter().map(form)).collect()
    };
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": format!(r"\$\{{|^$|{pattern}") });
    let words = "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|1|0|[Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])$";
    json!({
        "text": { "type": "string" },
        "filled": { "description": "A text with a variable", "type": "string", "pattern": r"\$\{" },
        "filledNumber": pattern("^[+-]?[0-9]+$"),
        "duration": pattern("^0*[1-9][0-9]*(ms|s|m|h)$"),
        "durationOrZero": pattern("^[0-9]+(ms|s|m|h)$"),
        "boolean": { "anyOf": [{ "type": "boolean" }, pattern(words)] },
        "password": { "description": "A text, or the source of a password", "anyOf": forms(&FORMS) },
        "secret": { "description": "A text, a variable (also NAME_FILE) or a file", "anyOf": forms(&VARIABLE_FORMS) },
    })
}

fn any_of(first: &Value, second: &str) -> Value {
    json!({ "anyOf": [first, reference(second)] })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn merge(value: &mut Value, more: Value) {
    if let (Value::Object(value), Value::Object(more)) = (value, more) {
        value.extend(more);
    }
}

/// Markdown as plain text: links without their targets, and no backticks.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (start, words) = before.rsplit_once('[').unwrap_or((before, ""));
        plain = plain + start + words;
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    (plain + rest).replace('`', "")
}
