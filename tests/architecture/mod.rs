//! Checks the floors of CONTRIBUTING.md: no import goes up, in a cycle, or into a module that its floor may not use.

mod imports;
mod shared_services;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Only these modules and the report itself may import the report.
const MAY_IMPORT_REPORT: [&str; 10] =
    ["report", "engine", "fuzzing", "dispatch", "run", "lib", "main", "notify", "status", "watch"];

/// The output object that commands receive.
const OUTPUT: &str = "report/output.rs";

/// The height of each top-level module; the bottom is 0.
fn floors() -> BTreeMap<String, usize> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRIBUTING.md");
    let text = fs::read_to_string(path).unwrap();
    let table = text.split_once("| floor |").expect("the table of the floors").1;
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    let modules = |row: &str| -> Vec<String> {
        let cell = row.split('|').nth(1).unwrap_or_default();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let heights = rows.iter().rev().enumerate();
    heights.flat_map(|(height, row)| modules(row).into_iter().map(move |module| (module, height))).collect()
}

fn module(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

#[track_caller]
fn assert_none(what: &str, found: &BTreeSet<String>) {
    let list = found.iter().fold(String::new(), |text, line| format!("{text}\n    {line}"));
    assert!(list.is_empty(), "{what} (see the floors in CONTRIBUTING.md):{list}");
}

#[test]
fn every_module_has_a_floor() {
    let floors = floors();
    let modules: BTreeSet<String> =
        imports::all().iter().flat_map(|(from, to)| [module(from), module(to)]).map(str::to_owned).collect();
    let homeless: Vec<_> = modules.iter().filter(|module| !floors.contains_key(*module)).collect();
    assert!(homeless.is_empty(), "add to a row of the floors in CONTRIBUTING.md: {homeless:?}");
}

#[test]
fn no_module_imports_from_a_higher_floor() {
    let floors = floors();
    let height = |file: &str| floors.get(module(file)).copied().unwrap_or_default();
    let up = imports::all().into_iter().filter(|(from, to)| height(from) < height(to));
    assert_none("imports go up", &up.map(|(from, to)| format!("{from} -> {to}")).collect());
}

#[test]
fn only_the_top_floor_imports_the_report() {
    let reached = imports::all().into_iter().filter(|(from, to)| {
        module(to) == "report" && to != OUTPUT && !MAY_IMPORT_REPORT.contains(&module(from))
    });
    assert_none("the report is imported", &reached.map(|(from, to)| format!("{from} -> {to}")).collect());
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    let mut next: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in imports::all() {
        next.entry(from).or_default().insert(to);
    }
    let reachable = |start: &String| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(file) = open.pop() {
            open.extend(next.get(file).into_iter().flatten().filter(|to| reached.insert((*to).clone())));
        }
        reached
    };
    let reached: BTreeMap<&String, BTreeSet<String>> =
        next.keys().map(|file| (file, reachable(file))).collect();
    let in_circle = |file: &&String| reached[*file].contains(*file);
    assert_none("files import each other", &next.keys().filter(in_circle).cloned().collect());
}

/// Words that name a framework with its own file.
const FRAMEWORK_WORDS: [&str; 19] = [
    "django",
    "manage.py",
    "migrate_schemas",
    "tenant_command",
    "alembic",
    "artisan",
    "dbmate",
    "diesel",
    "drizzle",
    "knex",
    "kysely",
    "laravel",
    "mikro-orm",
    "node-pg-migrate",
    "prisma",
    "rails",
    "refinery",
    "sequelize",
    "typeorm",
];
/// The frameworks' own files, and the declarations of the keys and of the command line, which list the frameworks.
const NAME_FRAMEWORKS: [&str; 3] = ["frameworks", "config", "cli"];

#[test]
fn only_a_frameworks_own_files_name_it() {
    let naming = imports::files().into_iter().filter(|(file, code)| {
        let code = code.to_lowercase();
        !NAME_FRAMEWORKS.contains(&module(file)) && FRAMEWORK_WORDS.iter().any(|word| code.contains(word))
    });
    let naming: Vec<String> = naming.map(|(file, _)| file).collect();
    assert!(naming.is_empty(), "a framework is named outside its own files: {naming:?}");
}
