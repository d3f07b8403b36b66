//! TypeORM: one row for each migration class, by its `name` property or else by the name of the class.
//!
//! Source: TypeORM 0.3, `src/migration/MigrationExecutor.ts` (`getMigrations`). The last 13 characters of the name are
//! its time, which tells the order.

use super::files::{FileLedger, SourceFile};
use super::signature::Signature;
use crate::{
    ordered,
    tenants::{ledger::LedgerLayout, manifest::Migration},
};

pub(super) static TYPEORM: FileLedger = FileLedger {
    name: "typeorm",
    title: "TypeORM",
    signatures: &[Signature {
        title: "TypeORM",
        table: "migrations",
        columns: &["id", "timestamp", "name"],
        beside: None,
        folders: &["dist/migrations", "src/migrations", "migrations"],
        lines: "apply = { run = [\"env\", \"TENANT={schema}\", \"typeorm\", \"migration:run\", \"-d\", \"dist/data-source.js\"] }\n",
    }],
    layout: LedgerLayout::of("migrations", "name"),
    files: &["{id}.ts", "{id}.js", "{id}.cjs", "{id}.mjs", "!{id}.d.ts"],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| class_names(&String::from_utf8_lossy(&file.bytes)),
    read,
    is_atomic: true,
    read_line: |_| None,
};

/// The length of the time in a name, in milliseconds.
const TIME: usize = 13;

fn read(files: &[SourceFile]) -> Result<Vec<Migration>, String> {
    let mut names = Vec::new();
    for file in files {
        let text = String::from_utf8_lossy(&file.bytes);
        let found = class_names(&text).map_err(|why| format!("`{}`: {why}", file.path))?;
        if found.is_empty() {
            return Err(format!("`{}` declares no class", file.path));
        }
        names.extend(found);
    }
    ordered::sort_by(&mut names, |one, other| time(one).cmp(&time(other)));
    Ok(names.into_iter().map(|name| Migration { id: name.clone(), name, ..Migration::default() }).collect())
}

fn time(name: &str) -> Option<&str> {
    let time = name.get(name.len().checked_sub(TIME)?..)?;
    time.bytes().all(|byte| byte.is_ascii_digit()).then_some(time)
}

/// The names of the migration classes in a TypeScript or JavaScript file, without a parser: a statement that begins a
/// class, and one that assigns a literal to `name` in it.
fn class_names(text: &str) -> Result<Vec<String>, String> {
    let is_comment = |line: &&str| ["//", "/*", "*"].iter().any(|start| line.trim_start().starts_with(start));
    let code: Vec<&str> = text.lines().filter(|line| !is_comment(line)).collect();
    let mut names: Vec<String> = Vec::new();
    for statement in code.join("\n").split(['{', '}', ';', '\n']) {
        if let Some(class) = class_name(statement) {
            names.push(class.to_owned());
        } else if let (Some(value), Some(name)) = (name_property(statement), names.last_mut()) {
            literal(value).ok_or("the property `name` is not a literal")?.clone_into(name);
        }
    }
    match names.iter().find(|name| time(name).is_none()) {
        None => Ok(names),
        Some(name) => Err(format!("the name `{name}` does not end in a time of {TIME} digits")),
    }
}

fn class_name(statement: &str) -> Option<&str> {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "class")?;
    // `export default class X`, `module.exports = class X`, `exports.X = class X`
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    words.get(at + 1).copied().filter(|name| name.chars().all(is_name))
}

/// The value in `name = VALUE`, `readonly name: string = VALUE` and `this.name = VALUE`.
fn name_property(statement: &str) -> Option<&str> {
    let (left, value) = statement.split_once('=')?;
    let left = left.split(':').next()?.trim();
    let word = left.rsplit(char::is_whitespace).next()?;
    (["name", "this.name"].contains(&word) && !value.starts_with('=')).then_some(value.trim())
}

fn literal(value: &str) -> Option<&str> {
    ['\'', '"', '`']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .filter(|text| !text.contains(['\'', '"', '`', '$', '\\']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_classes_are_read_in_each_form() {
        for text in [
            "export class First1700000000001 implements MigrationInterface {\n}",
            "export class X implements MigrationInterface {\n    name = 'First1700000000001'\n\n    public async up() {}\n}",
            "export class X {\n  public readonly name: string = \"First1700000000001\";\n}",
            "module.exports = class X { name = 'First1700000000001'; async up(q) {} };",
            "class First1700000000001 {\n constructor() {\n  this.name = 'First1700000000001';\n }\n}\nexports.First1700000000001 = First1700000000001;",
            "// export class Old1600000000001\nexport default class First1700000000001 {\n  const table = { name: 'x' };\n  if (name == 'y') {}\n}",
        ] {
            assert_eq!(class_names(text), Ok(vec!["First1700000000001".to_owned()]), "{text}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_read_is_refused() {
        for text in [
            "export class First {}",
            "export class X1700000000001 { name = PREFIX + '1700000000001' }",
            "export class X1700000000001 { name = `First${TIME}` }",
        ] {
            assert!(class_names(text).is_err(), "{text}");
        }
        assert_eq!(class_names("export const x = 1"), Ok(Vec::new()));
    }
}
