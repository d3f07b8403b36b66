//! Every import of `src` as pairs of files: `use` declarations and paths that start with `crate`, `super` or `self`.
//! Tests inside `src` may import anything and do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The files of `src` by their module path (empty for the crate root), with the names that each of them re-exports
/// (`pub use`).
struct Modules {
    files: BTreeMap<Vec<String>, String>,
    handed_on: BTreeMap<Vec<String>, Vec<String>>,
}

/// The files of `src` (relative paths) with their text, without tests and comments.
pub fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let file = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        // An inline module with tests is the last item of its file.
        let mut tests = text.match_indices("#[cfg(test)]\nmod ").map(|(at, _)| at);
        let end = tests.find(|at| opens(&text[*at..])).unwrap_or(text.len());
        let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (name, lines.collect::<Vec<_>>().join("\n"))
    };
    paths.into_iter().map(file).collect()
}

/// Pairs of importing and imported file, relative to `src`.
pub fn all() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let names = paths.iter().map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
    let files: BTreeMap<_, _> = names.map(|name| (module(&name), name)).collect();
    let mut modules = Modules { files: files.clone(), handed_on: BTreeMap::new() };
    let mut used = Vec::new();
    for (here, name) in &files {
        let code = production_code(&fs::read_to_string(root.join(name)).unwrap());
        for (is_public, path) in written(&code) {
            let Some(target) = absolute(&path, here, &modules) else { continue };
            if is_public && let Some(item) = target.last() {
                let handed: Vec<_> = here.iter().chain([item]).cloned().collect();
                // A function may have its module's name.
                if !target.starts_with(&handed) {
                    modules.handed_on.insert(handed, target);
                }
            } else {
                used.push((name, target));
            }
        }
    }
    let pairs = used.into_iter().map(|(name, target)| (name.clone(), owner(target, &modules)));
    pairs.filter(|(from, to)| from != to).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !name.ends_with("tests.rs") {
            files.push(path);
        }
    }
}

/// `a/b.rs` and `a/b/mod.rs` are the module `a::b`.
fn module(name: &str) -> Vec<String> {
    let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
    if name == "lib" { Vec::new() } else { name.split('/').map(str::to_owned).collect() }
}

/// The file of the innermost module that a path leads to, also through re-exports.
fn owner(mut path: Vec<String>, modules: &Modules) -> String {
    let handed = |path: &[String]| {
        let length = (1..=path.len()).find(|&length| modules.handed_on.contains_key(&path[..length]))?;
        let rest = path[length..].iter().cloned();
        Some(modules.handed_on[&path[..length]].iter().cloned().chain(rest).collect())
    };
    // A limit for chains of re-exports.
    for _ in 0..5 {
        path = handed(&path).unwrap_or(path);
    }
    let mut lengths = (0..=path.len()).rev();
    lengths.find_map(|length| modules.files.get(&path[..length])).expect("src/lib.rs").clone()
}

/// The code without comments, string literals and test modules.
fn production_code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            'r' if rest.starts_with("r#\"") => rest.find("\"#").map_or(rest.len(), |end| end + 2),
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                end.map_or(rest.len(), |end| end + 2)
            }
            '\'' if rest.starts_with("'\\") => rest[3..].find('\'').map_or(rest.len(), |end| end + 4),
            '\'' if rest.chars().nth(2) == Some('\'') => rest.chars().take(3).map(char::len_utf8).sum(),
            _ => {
                code.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    while let Some(start) = code.find("#[cfg(test)]\nmod ").filter(|start| opens(&code[*start..])) {
        let mut depth = 0;
        let end = code[start..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == '}' && depth == 0
        });
        code.replace_range(start..=start + end.expect("the module's end"), "");
    }
    code
}

/// True if this opens an inline module and does not only declare one.
fn opens(code: &str) -> bool {
    code.find(['{', ';']).is_some_and(|found| code[found..].starts_with('{'))
}

/// The code's paths as they are written, and whether they are re-exported.
fn written(code: &str) -> Vec<(bool, String)> {
    let mut paths = Vec::new();
    for statement in code.split(';') {
        let before =
            |start: &usize| !statement[..*start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let used = statement.rfind("use ").filter(before);
        if let Some(start) = used {
            let handed_on =
                statement[..start].trim_end().ends_with(')') || statement[..start].ends_with("pub ");
            let mut expanded = Vec::new();
            expand("", &statement[start + 4..], &mut expanded);
            paths.extend(expanded.into_iter().map(|path| (handed_on, path)));
        }
        let words = statement[..used.unwrap_or(statement.len())]
            .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        paths.extend(
            words.filter(|word| word.contains("::")).map(|word| (false, word.trim_matches(':').to_owned())),
        );
    }
    paths
}

/// `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(before: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((start, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return paths.push(format!("{before}{path}").replace("::self", ""));
    };
    let (mut depth, mut part) = (0, String::new());
    for c in group[..group.rfind('}').expect("a group ends")].chars().chain([',']) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c != ',' || depth > 0 {
            part.push(c);
        } else if !part.trim().is_empty() {
            expand(&format!("{before}{}", start.trim()), part.trim(), paths);
            part.clear();
        }
    }
}

/// None for a path of another crate.
fn absolute(path: &str, here: &[String], modules: &Modules) -> Option<Vec<String>> {
    let mut words: Vec<String> = path.split("::").map(|word| word.trim().to_owned()).collect();
    let child = || here.iter().cloned().chain(words.first().cloned()).collect::<Vec<_>>();
    let mut base = match words.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => here.to_vec(),
        _ if modules.files.contains_key(&child()) => {
            return Some(here.iter().cloned().chain(words).collect());
        }
        _ => return None,
    };
    while matches!(words.first()?.as_str(), "crate" | "self" | "super") {
        if words.remove(0) == "super" {
            base.pop();
        }
        if words.is_empty() {
            return Some(base);
        }
    }
    base.extend(words);
    Some(base)
}
