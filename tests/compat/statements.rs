//! The statements of a release, derived from its manifest alone: each names every column, or leaves out those that have
//! a default.

use fastrand::Rng;
use serde_json::Value;

/// A column as the manifest describes it.
struct Column<'a> {
    name: String,
    type_name: &'a str,
    has_default: bool,
    is_nullable: bool,
    /// The server refuses a given value.
    is_computed: bool,
}

/// The statements of the release with this manifest. Many are refused by its own schema, too; these do not count.
pub fn of(manifest: &Value, random: &mut Rng) -> Vec<String> {
    let tenant = &manifest["tenant"];
    let mut statements = Vec::new();
    let views = tenant["kinds"].as_object();
    for (table, names) in tenant["tables"].as_object().unwrap() {
        let columns = columns(tenant, table);
        let named: Vec<String> =
            names.as_array().unwrap().iter().map(|name| quoted(name.as_str().unwrap())).collect();
        let table_name = quoted(table);
        statements.push(format!("SELECT {} FROM {table_name}", named.join(", ")));
        // The same row in both schemas, although their physical orders differ.
        let order = format!("ORDER BY ROW({})::text, ctid LIMIT 1", named.join(", "));
        let first = format!("ctid = (SELECT ctid FROM {table_name} {order})");
        if views.is_some_and(|views| views.contains_key(table)) {
            continue;
        }
        let given: Vec<&Column<'_>> = columns.iter().filter(|column| !column.is_computed).collect();
        for round in 0..8 {
            let values = |columns: &[&Column<'_>], random: &mut Rng| -> Vec<String> {
                columns.iter().map(|column| value(manifest, column, round, random)).collect()
            };
            let required: Vec<&Column<'_>> =
                given.iter().copied().filter(|column| !column.has_default).collect();
            let fewest: Vec<&Column<'_>> =
                required.iter().copied().filter(|column| !column.is_nullable).collect();
            for columns in [&given, &required, &fewest] {
                let values = values(columns, random);
                statements.push(insert(&table_name, columns, &values));
            }
            for conflict in arbiters(tenant, table) {
                let values = values(&given, random);
                let insert = insert(&table_name, &given, &values);
                statements.push(format!("{insert} ON CONFLICT {conflict} DO NOTHING"));
            }
            let values = values(&given, random);
            for (column, value) in given.iter().zip(values) {
                statements.push(format!("UPDATE {table_name} SET {} = {value} WHERE {first}", column.name));
            }
        }
        statements.push(format!("DELETE FROM {table_name} WHERE {first}"));
    }
    statements
}

fn insert(table: &str, columns: &[&Column<'_>], values: &[String]) -> String {
    if columns.is_empty() {
        return format!("INSERT INTO {table} DEFAULT VALUES");
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "))
}

/// The columns and the names by which `ON CONFLICT` may name a unique constraint.
fn arbiters(tenant: &Value, table: &str) -> Vec<String> {
    let objects = tenant["structure"].as_array().into_iter().flatten();
    let of_table = objects.filter(|object| object["table"] == table && object["kind"] == "constraint");
    let mut arbiters = Vec::new();
    for object in of_table {
        let definition = object["definition"].as_str().unwrap();
        let columns = definition.strip_prefix("UNIQUE ").or_else(|| definition.strip_prefix("PRIMARY KEY "));
        if let Some(columns) = columns.filter(|columns| columns.ends_with(')')) {
            arbiters.push(columns.to_owned());
            arbiters.push(format!("ON CONSTRAINT {}", quoted(object["name"].as_str().unwrap())));
        }
    }
    arbiters
}

fn columns<'a>(tenant: &'a Value, table: &str) -> Vec<Column<'a>> {
    let objects = tenant["structure"].as_array().into_iter().flatten();
    let columns = objects.filter(|object| object["table"] == table && object["kind"] == "column");
    columns
        .map(|object| {
            let definition = object["definition"].as_str().unwrap();
            let end = [" DEFAULT ", " GENERATED ", " NOT NULL"]
                .iter()
                .filter_map(|word| definition.find(word))
                .min();
            Column {
                name: quoted(object["name"].as_str().unwrap()),
                type_name: &definition[..end.unwrap_or(definition.len())],
                has_default: definition.contains(" DEFAULT ") || definition.contains(" AS IDENTITY "),
                is_nullable: !definition.ends_with(" NOT NULL"),
                is_computed: definition.contains(" GENERATED ALWAYS "),
            }
        })
        .collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value of the type: an extreme one in the first rounds, NULL in one, else a random one.
fn value(manifest: &Value, column: &Column<'_>, round: usize, random: &mut Rng) -> String {
    if column.is_nullable && round == 3 {
        return "NULL".into();
    }
    let pick = |extremes: &[&str], random: String| match round {
        0..2 if round < extremes.len() => format!("'{}'", extremes[round]),
        _ => format!("'{random}'"),
    };
    let number = random.u32(1..900);
    let text = |length: usize, random: &mut Rng| match round {
        0 => "ä".repeat(length),
        1 => String::new(),
        4 => "x".into(),
        5 => "z".repeat(length),
        6 => {
            if random.bool() {
                "a".into()
            } else {
                "b".into()
            }
        }
        _ => std::iter::repeat_with(|| random.alphanumeric()).take(length.min(9)).collect(),
    };
    let length = |default: usize| {
        let inside = column.type_name.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        inside.and_then(|(length, _)| length.parse().ok()).unwrap_or(default)
    };
    match column.type_name {
        "smallint" => pick(&["-32768", "32767"], number.to_string()),
        "integer" => pick(&["-2147483648", "2147483647"], number.to_string()),
        "bigint" => pick(&["-9223372036854775808", "9223372036854775807"], number.to_string()),
        "numeric" => {
            pick(&["NaN", "12345678901234567890123456789012345678901234567890.5"], number.to_string())
        }
        "numeric(10,2)" => pick(&["-99999999.99", "99999999.99"], number.to_string()),
        "numeric(5,0)" => pick(&["-99999", "99999"], number.to_string()),
        "real" => pick(&["3.4e38", "-Infinity"], number.to_string()),
        "double precision" => pick(&["1.7e308", "NaN"], number.to_string()),
        "boolean" => pick(&["true", "false"], "true".into()),
        "bytea" => pick(&["", "\\x00ff"], format!("\\x{number:08x}")),
        "uuid" => pick(
            &["00000000-0000-0000-0000-000000000000"],
            format!("{number:08}-0000-4000-8000-{:012}", random.u32(..)),
        ),
        "date" => {
            pick(&["infinity", "4713-01-01 BC"], format!("20{:02}-0{}-01", number % 60, 1 + number % 9))
        }
        "interval" => pick(&["-178000000 years", "178000000 years"], format!("{number} s")),
        "time without time zone" => pick(&["00:00", "24:00"], format!("12:{:02}", number % 60)),
        "jsonb" | "json" => pick(&["null", "{\"a\": [1, {\"b\": null}]}"], format!("{{\"n\": {number}}}")),
        "inet" => pick(&["::/0", "255.255.255.255"], format!("10.0.0.{}", number % 256)),
        "text[]" => pick(&["{}", "{NULL,a}"], format!("{{a{number}}}")),
        "integer[]" => pick(&["{}", "{{1,2},{3,NULL}}"], format!("{{{number}}}")),
        "character varying(5)[]" => pick(&["{}", "{ääääää}"], format!("{{a{number}}}")),
        "int4range" => pick(&["empty", "(,)"], format!("[1,{}]", number + 1)),
        "pair" => pick(&["(,)", "(1,)"], format!("({number},b)")),
        "text" | "character varying" => format!("'{}'", text(600, random)),
        "code" => format!("'{}'", if round == 2 { "A1".into() } else { text(8, random) }),
        name if name.starts_with("timestamp") => {
            pick(&["infinity", "4713-01-02 BC"], format!("2026-01-02 03:04:05.{number:06}"))
        }
        name if name.starts_with("character") => format!("'{}'", text(length(1), random)),
        name if name.starts_with("bit varying") => {
            format!("B'{}'", "1".repeat(if round == 0 { length(8) } else { random.usize(0..4) }))
        }
        name => {
            let labels = enum_labels(manifest, name);
            if labels.is_empty() {
                "NULL".into()
            } else {
                format!("{}::{name}", labels[round % labels.len()])
            }
        }
    }
}

fn enum_labels(manifest: &Value, name: &str) -> Vec<String> {
    let objects = manifest["tenant"]["structure"].as_array().into_iter().flatten();
    let mut types = objects.filter(|object| object["kind"] == "type" && object["name"] == name);
    let definition = types.next().and_then(|object| object["definition"].as_str()).unwrap_or_default();
    let labels =
        definition.strip_prefix("AS ENUM (").and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    labels.split(", ").filter(|label| !label.is_empty()).map(str::to_owned).collect()
}
