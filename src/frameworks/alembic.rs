//! Alembic, also behind Flask-Migrate: a graph of revision files, and a ledger with one row for each head.
//!
//! Source: Alembic 1.20, `alembic/script/base.py` (`Script`) and `alembic/script/revision.py` (`RevisionMap`). A row
//! proves its revision and everything that this one descends from or depends on.

mod assignments;

use std::collections::BTreeMap;

use self::assignments::{Assignments, Literal};
use super::{
    files::{FileLedger, SourceFile},
    framework::Progress,
    signature::Signature,
};
use crate::tenants::{ledger::LedgerLayout, manifest::Migration};

pub(super) static ALEMBIC: FileLedger = FileLedger {
    name: "alembic",
    title: "Alembic",
    signatures: &[Signature {
        title: "Alembic",
        table: "alembic_version",
        columns: &["version_num"],
        beside: None,
        folders: &["migrations/versions", "alembic/versions"],
        lines: "apply = { run = [\"alembic\", \"-x\", \"tenant={schema}\", \"upgrade\", \"heads\"] }\n",
    }],
    layout: LedgerLayout::of("alembic_version", "version_num"),
    files: &["{name}.py", "!__init__.py"],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![revision(file)?.id]),
    read,
    is_atomic: true,
    read_line,
};

/// The remedy for a file that computes its revision.
const ASK_ALEMBIC: &str =
    "let Alembic itself list the revisions in the image build (docs/ledgers.md, \"Alembic\")";

/// A revision file.
struct Revision {
    path: String,
    id: String,
    down: Vec<String>,
    labels: Vec<String>,
    depends: Vec<String>,
    /// The first line of the file's docstring.
    message: String,
}

fn read(files: &[SourceFile]) -> Result<Vec<Migration>, String> {
    let revisions: Vec<Revision> = files.iter().map(revision).collect::<Result<_, _>>()?;
    // `depends_on` may name a branch label, which stands for the revision that declares it.
    let mut ids: BTreeMap<&str, &str> = BTreeMap::new();
    for revision in &revisions {
        let names = [&revision.id].into_iter().chain(&revision.labels);
        ids.extend(names.map(|name| (name.as_str(), revision.id.as_str())));
    }
    let mut migrations = Vec::new();
    for revision in &revisions {
        let mut depends = Vec::new();
        for name in revision.down.iter().chain(&revision.depends) {
            let unknown =
                || format!("`{}` follows the revision `{name}`, which no file declares", revision.path);
            depends.push((*ids.get(name.as_str()).ok_or_else(unknown)?).to_owned());
        }
        let name = format!("{} {}", revision.id, revision.message).trim_end().to_owned();
        migrations.push(Migration { id: revision.id.clone(), name, depends, ..Migration::default() });
    }
    in_order(&migrations)
}

fn revision(file: &SourceFile) -> Result<Revision, String> {
    let invalid = |why: String| format!("`{}`: {why}", file.path);
    let text = std::str::from_utf8(&file.bytes).map_err(|error| invalid(error.to_string()))?;
    let assignments = Assignments::of(text).map_err(invalid)?;
    let names = |name: &str| match assignments.get(name) {
        None => Ok(Vec::new()),
        Some(Literal::Strings(names)) => Ok(names.clone()),
        Some(Literal::Other) => Err(invalid(format!("`{name}` is not a literal; {ASK_ALEMBIC}"))),
    };
    let id = match names("revision")?.as_slice() {
        [id] if !id.is_empty() => id.clone(),
        _ => return Err(invalid(format!("it does not assign `revision`; {ASK_ALEMBIC}"))),
    };
    if assignments.get("down_revision").is_none() {
        return Err(invalid(format!("it does not assign `down_revision`; {ASK_ALEMBIC}")));
    }
    Ok(Revision {
        path: file.path.clone(),
        id,
        down: names("down_revision")?,
        labels: names("branch_labels")?,
        depends: names("depends_on")?,
        message: assignments.docstring.lines().next().unwrap_or_default().trim().to_owned(),
    })
}

/// Each revision after those that it depends on.
fn in_order(migrations: &[Migration]) -> Result<Vec<Migration>, String> {
    let mut followers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, migration) in migrations.iter().enumerate() {
        for id in &migration.depends {
            followers.entry(id.clone()).or_default().push(index);
        }
    }
    let mut missing: Vec<usize> = migrations.iter().map(|migration| migration.depends.len()).collect();
    let mut order: Vec<usize> = (0..migrations.len()).filter(|index| missing[*index] == 0).collect();
    let mut next = 0;
    while let Some(index) = order.get(next).copied() {
        next += 1;
        for follower in followers.get(&migrations[index].id).into_iter().flatten() {
            missing[*follower] -= 1;
            order.extend((missing[*follower] == 0).then_some(*follower));
        }
    }
    if order.len() < migrations.len() {
        let in_circle = migrations.iter().zip(&missing).filter(|(_, missing)| **missing > 0);
        let ids: Vec<&str> = in_circle.map(|(migration, _)| migration.id.as_str()).collect();
        return Err(format!("these revisions depend on each other in a circle: {}", ids.join(", ")));
    }
    Ok(order.into_iter().map(|index| migrations[index].clone()).collect())
}

/// Parses `INFO  [alembic.runtime.migration] Running upgrade 1975ea83b712 -> ae1027a6acf, add a column`.
fn read_line(line: &str) -> Option<Progress<'_>> {
    let (_, after) = line.split_once("Running upgrade ")?.1.split_once("-> ")?;
    Some(Progress::Applying(after.split_once(',').map_or(after, |(id, _)| id).trim()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), id: String::new(), name: String::new(), bytes: text.into() }
    }

    #[test]
    fn revisions_are_read_with_branches_merges_and_dependencies() {
        let files = vec![
            file("d.py", "\"\"\"merge\"\"\"\nrevision = 'd'\ndown_revision = ('b', 'c')\n"),
            file("c.py", "\"\"\"right\"\"\"\nrevision = 'c'\ndown_revision = 'a'\ndepends_on = 'billing'\n"),
            file("b.py", "revision = 'b'\ndown_revision = 'a'\n"),
            file("x.py", "revision = 'x'\ndown_revision = None\nbranch_labels = ('billing',)\n"),
            file("a.py", "\"\"\"first\n\nRevision ID: a\n\"\"\"\nrevision = 'a'\ndown_revision = None\n"),
        ];
        let migrations = read(&files).unwrap();
        let of = |migration: &Migration| format!("{} <- {}", migration.name, migration.depends.join(" "));
        let lines: Vec<String> = migrations.iter().map(of).collect();
        assert_eq!(lines, ["x <- ", "a first <- ", "c right <- a x", "b <- a", "d merge <- b c"]);
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_refused_with_its_name() {
        for (text, why) in [
            ("revision = make()\n", "`a.py`: `revision` is not a literal"),
            ("revision = 'a'\ndown_revision = PARENT\n", "`a.py`: `down_revision` is not a literal"),
            ("def upgrade(): pass\n", "`a.py`: it does not assign `revision`"),
            ("revision = 'a'\n", "`a.py`: it does not assign `down_revision`"),
            ("revision = 'a'\ndown_revision = 'gone'\n", "`a.py` follows the revision `gone`"),
            ("revision = 'a'\ndown_revision = 'a'\n", "in a circle: a"),
        ] {
            let error = read(&[file("a.py", text)]).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_current_revision_is_read_from_the_log() {
        let line =
            "INFO  [alembic.runtime.migration] Running upgrade 1975ea83b712 -> ae1027a6acf, add a column";
        assert_eq!(read_line(line), Some(Progress::Applying("ae1027a6acf")));
        assert_eq!(
            read_line("INFO  [alembic.runtime.migration] Running upgrade  -> 1, x"),
            Some(Progress::Applying("1"))
        );
        assert_eq!(read_line("INFO  [alembic.runtime.migration] Context impl PostgresqlImpl."), None);
    }
}
