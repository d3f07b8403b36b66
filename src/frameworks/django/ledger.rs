//! Django's ledger `django_migrations`: one row per migration, identified by app and name. A squash has two valid ledgers.
//!
//! Source: Django 5.2 and 6.0, `django/db/migrations/loader.py` (`build_graph`, `replace_migration`) and
//! `executor.py` (`migration_plan` of all leaves, which is every node of the graph that is not applied).

use std::collections::{BTreeMap, BTreeSet};

use crate::ordered::Ordered;
use crate::tenants::{
    inspection::LedgerRow,
    ledger::{Commands, Comparison, Ledger, LedgerLayout},
    manifest::{Expected, Migration},
};

/// Until 5.2: a squash replaces the listed migrations.
pub(crate) const DJANGO_5: Rules = Rules { name: "django-5.2", squashes: Squashes::Flat };

/// Since 6.0, where squashes may be squashed again.
pub(crate) const DJANGO_6: Rules = Rules { name: "django-6.0", squashes: Squashes::Nested };

pub(super) const COMMANDS: Commands =
    Commands { record: Some("python manage.py migrate_schemas {app} {migration} --fake --schema={tenant}") };

/// The rules of a range of Django releases.
#[derive(Debug)]
pub(crate) struct Rules {
    name: &'static str,
    squashes: Squashes,
}

impl Ledger for Rules {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self) -> LedgerLayout<'static> {
        LedgerLayout {
            table: "django_migrations",
            app: Some("app"),
            id: "name",
            numbered: false,
            name: None,
            checksum: None,
            succeeded: None,
            rows: None,
        }
    }

    fn compare(&self, expected: &Expected, recorded: &[LedgerRow]) -> Comparison {
        compare(expected, recorded, self.squashes)
    }
}

/// The handling of squashes of squashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Squashes {
    /// Until 5.2: a squash replaces the listed migrations.
    Flat,
    /// Since 6.0: listed squashes are resolved recursively, innermost first.
    Nested,
}

fn compare(expected: &Expected, recorded: &[LedgerRow], squashes: Squashes) -> Comparison {
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for row in recorded {
        *rows.entry(&row.id).or_default() += 1;
    }
    let graph = Graph::of(expected, rows.keys().copied().into_set(), squashes);
    let apps: BTreeSet<&str> = expected.migrations.iter().map(|migration| migration.app.as_str()).into_set();
    let replaced: BTreeSet<&str> =
        graph.squashes().flat_map(|squash| &squash.replaces).map(String::as_str).into_set();
    let mut comparison = Comparison { pending: graph.pending(), ..Comparison::default() };
    comparison.pending.extend(graph.stranded());
    for (id, count) in rows {
        if !graph.disk.contains_key(id) && !replaced.contains(id) {
            let app = id.split_once('.').map_or(id, |(app, _)| app);
            let list = if apps.contains(app) { &mut comparison.unknown } else { &mut comparison.retired };
            list.push(id.to_owned());
        } else if count > 1 {
            comparison.duplicates.push(id.to_owned());
        }
    }
    comparison
}

/// Django's migration graph for one ledger, without edges: the remaining nodes and the applied ones.
struct Graph<'a> {
    expected: &'a [Migration],
    disk: BTreeMap<&'a str, &'a Migration>,
    nodes: BTreeSet<&'a str>,
    applied: BTreeSet<&'a str>,
    /// Squashes that are decided.
    decided: BTreeSet<&'a str>,
    /// Squashes that cannot be used because they are partly applied.
    partial: Vec<&'a Migration>,
}

impl<'a> Graph<'a> {
    fn of(expected: &'a Expected, applied: BTreeSet<&'a str>, squashes: Squashes) -> Self {
        let expected = &expected.migrations;
        let disk: BTreeMap<_, _> =
            expected.iter().map(|migration| (migration.id.as_str(), migration)).into_map();
        let nodes = disk.keys().copied().into_set();
        let mut graph =
            Self { expected, disk, nodes, applied, decided: BTreeSet::new(), partial: Vec::new() };
        for squash in expected.iter().filter(|migration| !migration.replaces.is_empty()) {
            graph.decide(squash, squashes);
        }
        graph
    }

    fn squashes(&self) -> impl Iterator<Item = &'a Migration> {
        self.expected.iter().filter(|migration| !migration.replaces.is_empty())
    }

    /// The nodes that are not applied, in the manifest's order.
    fn pending(&self) -> Vec<String> {
        let pending = |id: &str| self.nodes.contains(id) && !self.applied.contains(id);
        self.expected.iter().map(|migration| &migration.id).filter(|id| pending(id)).cloned().collect()
    }

    /// Partly applied squashes whose other migrations no longer exist on disk. Django ignores them silently, and
    /// nothing can apply the rest.
    fn stranded(&self) -> impl Iterator<Item = String> {
        let lost = |id: &&String| !self.applied.contains(id.as_str()) && !self.disk.contains_key(id.as_str());
        self.partial
            .iter()
            .filter(move |squash| squash.replaces.iter().any(|id| lost(&id)))
            .map(|squash| format!("{} (partly applied; the rest no longer exists on disk)", squash.id))
    }

    fn decide(&mut self, squash: &'a Migration, squashes: Squashes) {
        if !self.decided.insert(&squash.id) {
            return;
        }
        let targets = match squashes {
            Squashes::Flat => squash.replaces.iter().map(String::as_str).into_set(),
            Squashes::Nested => {
                for inner in self.inner(squash) {
                    self.decide(inner, squashes);
                }
                let mut targets = BTreeSet::new();
                self.resolve(squash, &mut targets, &mut BTreeSet::new());
                targets
            }
        };
        let applied_count = targets.iter().filter(|target| self.applied.contains(*target)).count();
        if applied_count == targets.len() {
            self.applied.insert(&squash.id);
        } else {
            self.applied.remove(squash.id.as_str());
        }
        if applied_count == 0 || applied_count == targets.len() {
            for replaced in &squash.replaces {
                self.nodes.remove(replaced.as_str());
            }
        } else {
            self.nodes.remove(squash.id.as_str());
            self.partial.push(squash);
        }
    }

    /// The squashes that this one replaces.
    fn inner(&self, squash: &'a Migration) -> Vec<&'a Migration> {
        let of = |id: &String| self.disk.get(id.as_str()).copied();
        squash.replaces.iter().filter_map(of).filter(|inner| !inner.replaces.is_empty()).collect()
    }

    /// The migrations that a squash replaces after recursive resolution. A cycle, which Django refuses to load, is
    /// visited once.
    fn resolve(
        &self,
        squash: &'a Migration,
        targets: &mut BTreeSet<&'a str>,
        visited: &mut BTreeSet<&'a str>,
    ) {
        if !visited.insert(&squash.id) {
            return;
        }
        for id in &squash.replaces {
            match self.disk.get(id.as_str()) {
                Some(inner) if !inner.replaces.is_empty() => self.resolve(inner, targets, visited),
                _ => drop(targets.insert(id)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
