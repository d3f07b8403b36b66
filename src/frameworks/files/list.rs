//! Lists of migrations: the default order of files, and text files that list migrations by their identifiers.

use std::{collections::BTreeMap, path::Path};

use super::{listing, source_file::SourceFile};
use crate::{
    files, ordered,
    tenants::manifest::{Migration, Sources},
};

/// One migration for each file, in the order of their identifiers: as numbers if all are numbers.
pub(crate) fn by_id(files: &[SourceFile]) -> Result<Vec<Migration>, String> {
    if let Some(file) = files.iter().find(|file| file.id.is_empty()) {
        return Err(format!(
            "the file `{}` has no identifier: its pattern needs `{{id}}`, `{{number}}` or `{{digits}}`",
            file.path
        ));
    }
    let number = |file: &SourceFile| file.id.parse::<u64>();
    let mut files: Vec<&SourceFile> = files.iter().collect();
    if files.iter().all(|file| number(file).is_ok()) {
        ordered::sort_by_key(&mut files, |file| number(file).unwrap_or_default());
    } else {
        ordered::sort_by(&mut files, |a, b| a.id.cmp(&b.id));
    }
    Ok(files.into_iter().map(migration).collect())
}

/// The migration of a file.
pub(crate) fn migration(file: &SourceFile) -> Migration {
    let name = if file.id.contains(&file.name) { "" } else { file.name.as_str() };
    Migration {
        id: file.id.clone(),
        name: format!("{} {name}", file.id).trim_end().to_owned(),
        ..Migration::default()
    }
}

/// Two migrations with one identifier have one row in the ledger, which would prove both.
pub(super) fn refuse_duplicates(migrations: &[Migration]) -> Result<(), String> {
    let mut names = BTreeMap::new();
    for migration in migrations {
        if let Some(other) = names.insert(&migration.id, &migration.name) {
            let Migration { id, name, .. } = migration;
            return Err(format!("the migrations `{other}` and `{name}` have the same identifier `{id}`"));
        }
    }
    Ok(())
}

/// Makes each migration depend on the one before it, for ledgers that record only the newest.
pub(super) fn chain(migrations: &mut [Migration]) {
    let ids: Vec<String> = migrations.iter().map(|migration| migration.id.clone()).collect();
    for (migration, before) in migrations.iter_mut().skip(1).zip(ids) {
        migration.depends = vec![before];
    }
}

/// Reads a list: on each line an identifier, and after it the identifiers on which that migration depends.
pub(super) fn read(path: &Path) -> Result<(Vec<Migration>, Sources), String> {
    let bytes = files::read_now(path, u64::MAX).map_err(|error| error.to_string())?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let digests = [(name, listing::digest(&bytes))].into();
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let text = files::text(bytes).map_err(|error| error.to_string())?;
    Ok((parse(&text), Sources { folder, files: digests }))
}

fn parse(text: &str) -> Vec<Migration> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let migration = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        let id = words.next()?;
        Some(Migration { name: id.clone(), id, depends: words.collect(), ..Migration::default() })
    };
    lines.filter_map(migration).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn file(id: &str, name: &str) -> SourceFile {
        SourceFile { path: format!("{id}_{name}"), id: id.into(), name: name.into(), bytes: Vec::new() }
    }

    #[test]
    fn files_are_ordered_by_number_or_by_text() {
        let names = |files: &[(&str, &str)]| {
            let files: Vec<_> = files.iter().map(|(id, name)| file(id, name)).collect();
            by_id(&files).unwrap().into_iter().map(|migration| migration.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[("10", "b"), ("9", "a")]), ["9 a", "10 b"]);
        assert_eq!(names(&[("9_a.js", "9_a.js"), ("10_b.js", "")]), ["10_b.js", "9_a.js"]);
        assert!(by_id(&[file("", "x")]).is_err());
    }

    #[test]
    fn a_list_has_identifiers_and_dependencies() {
        let mut listed = parse("# made by the build\n1\n\n2 1 # comment\n");
        assert_eq!(listed.iter().map(|migration| migration.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(listed[1].depends, ["1"]);
        listed.push(listed[0].clone());
        assert!(refuse_duplicates(&listed).unwrap_err().contains("same identifier `1`"));
    }

    #[test]
    fn each_migration_of_a_chain_depends_on_the_one_before() {
        let mut listed = parse("1\n2\n3\n");
        chain(&mut listed);
        assert_eq!(
            listed.iter().map(|migration| migration.depends.concat()).collect::<Vec<_>>(),
            ["", "1", "2"]
        );
    }
}
