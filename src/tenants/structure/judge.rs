//! Adds the differences in structure to the gate's judgement. Pure.
//!
//! A manifest of SQL files contains the expected structure. A framework's does not, so its tenants are compared with the
//! template or with the largest group of tenants of equal structure.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ObjectKind, Structure,
    difference::{Difference, Names, Reference, compare, digest},
};
use crate::tenants::{
    gate::{Finding, Judgement, Verdict},
    inspection::{Inspection, SchemaSnapshot, SchemaState},
    manifest::Manifest,
};

/// How differences in structure are judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StructureRules {
    /// Differences that matter make a tenant incomplete.
    pub(crate) blocks: bool,
    /// The digest of the template's structure.
    pub(crate) template: Option<String>,
}

impl Judgement {
    /// Compares the schemas whose ledger is the expected one. The migrations of the others explain any difference.
    pub(crate) fn compare_structures(
        &mut self,
        manifest: &Manifest,
        found: &Inspection,
        rules: &StructureRules,
    ) {
        match found.server.as_ref().map(|(engine, version)| (manifest.versions.get(engine), engine, version))
        {
            _ if !manifest.framework.derives_structure() => self.compare_tenants(found, rules),
            Some((Some(derived), _, version)) if derived == version => {
                self.compare_with_manifest(manifest, found, rules);
            }
            Some((_, engine, version)) => {
                let finding = Finding::StructureOfOtherServer {
                    derived: manifest
                        .versions
                        .iter()
                        .map(|(engine, version)| format!("{engine} {version}"))
                        .collect(),
                    found: format!("{engine} {version}"),
                    blocks: rules.blocks,
                };
                for verdict in self.shared.iter_mut().chain(self.tenants.values_mut()) {
                    verdict.findings.extend(comparable(verdict).then(|| finding.clone()));
                }
            }
            None => {}
        }
    }

    /// Whether a difference makes a schema incomplete.
    pub(crate) fn is_blocked_by_structure(&self) -> bool {
        self.verdicts().any(|(_, verdict)| {
            verdict.findings.iter().any(|finding| matches!(finding, Finding::Structure { blocks: true, .. }))
        })
    }

    fn compare_with_manifest(&mut self, manifest: &Manifest, found: &Inspection, rules: &StructureRules) {
        let mut compared: BTreeMap<*const Structure, Findings> = BTreeMap::new();
        for (tenant, verdict) in &mut self.tenants {
            let Some((snapshot, structure)) = found.tenants.get(tenant).and_then(structure_of) else {
                continue;
            };
            let findings = compared.entry(Arc::as_ptr(structure)).or_insert_with(|| {
                let differences = compare(&manifest.tenant.structure, structure, Names::Exact);
                Findings::new(differences, &Reference::Manifest, rules)
            });
            findings.add_to(verdict, snapshot);
        }
        if let (Some(verdict), Some((snapshot, structure))) =
            (&mut self.shared, found.shared.as_ref().and_then(structure_of))
        {
            let mut differences = compare(&manifest.shared.structure, structure, Names::Exact);
            differences.retain(Difference::concerns_expected_objects);
            Findings::new(differences, &Reference::Manifest, rules).add_to(verdict, snapshot);
        }
    }

    fn compare_tenants(&mut self, found: &Inspection, rules: &StructureRules) {
        let mut by_type: BTreeMap<&str, BTreeMap<String, Group<'_>>> = BTreeMap::new();
        let mut digests: BTreeMap<*const Structure, String> = BTreeMap::new();
        for (tenant, verdict) in &self.tenants {
            let Some((_, structure)) = found.tenants.get(tenant).and_then(structure_of) else { continue };
            if comparable(verdict) {
                let digest = digests
                    .entry(Arc::as_ptr(structure))
                    .or_insert_with(|| digest(structure, Names::Ignored));
                let kind = found.types.get(tenant).map_or("", String::as_str);
                let group = by_type
                    .entry(kind)
                    .or_default()
                    .entry(digest.clone())
                    .or_insert_with(|| Group::new(structure));
                group.tenants.push(tenant.clone());
                group.is_template = group.is_template || rules.template.as_ref() == Some(&structure.digest());
            }
        }
        for groups in by_type.values() {
            let Some(reference) =
                groups.values().max_by_key(|group| (group.is_template, group.tenants.len()))
            else {
                continue;
            };
            for group in groups.values().filter(|group| !std::ptr::eq(*group, reference)) {
                let differences = compare(reference.structure, group.structure, Names::Ignored);
                let findings = Findings::new(differences, &reference.describe(), rules);
                for tenant in &group.tenants {
                    if let (Some(verdict), Some(SchemaState::Read(snapshot))) =
                        (self.tenants.get_mut(tenant), found.tenants.get(tenant))
                    {
                        findings.add_to(verdict, snapshot);
                    }
                }
            }
        }
    }
}

/// Tenants of equal structure.
struct Group<'a> {
    structure: &'a Structure,
    tenants: Vec<String>,
    is_template: bool,
}

impl<'a> Group<'a> {
    fn new(structure: &'a Structure) -> Self {
        Self { structure, tenants: Vec::new(), is_template: false }
    }

    fn describe(&self) -> Reference {
        let example = self.tenants.first().cloned().unwrap_or_default();
        if self.is_template {
            Reference::Template { example }
        } else {
            Reference::Majority { tenants: self.tenants.len(), example }
        }
    }
}

/// The findings of all schemas with one structure.
struct Findings {
    differences: Vec<Difference>,
    reference: Reference,
    blocks: bool,
    all: Vec<Finding>,
}

impl Findings {
    fn new(differences: Vec<Difference>, reference: &Reference, rules: &StructureRules) -> Self {
        let all = findings(&differences, reference, rules.blocks);
        Self { differences, reference: reference.clone(), blocks: rules.blocks, all }
    }

    /// Without what other findings report already.
    fn add_to(&self, verdict: &mut Verdict, snapshot: &SchemaSnapshot) {
        if !comparable(verdict) {
            return;
        }
        if snapshot.missing_tables.is_empty()
            && snapshot.missing_columns.is_empty()
            && snapshot.invalid_indexes.is_empty()
        {
            verdict.findings.extend(self.all.iter().cloned());
            return;
        }
        let reported = |one: &&Difference| {
            one.object().is_some_and(|object| match object.kind {
                ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView => {
                    one.actual.is_none() && snapshot.missing_tables.contains(&object.name)
                }
                ObjectKind::Column => {
                    one.actual.is_none()
                        && snapshot
                            .missing_columns
                            .get(&object.table)
                            .is_some_and(|columns| columns.contains(&object.name))
                }
                ObjectKind::Index => snapshot.invalid_indexes.iter().any(|index| index.name == object.name),
                _ => false,
            })
        };
        let rest: Vec<Difference> = self.differences.iter().filter(|one| !reported(one)).cloned().collect();
        verdict.findings.extend(findings(&rest, &self.reference, self.blocks));
    }
}

/// One finding with the differences that matter, and one with the others.
fn findings(differences: &[Difference], reference: &Reference, blocks: bool) -> Vec<Finding> {
    let of = |matters: bool| {
        let differences: Arc<[Difference]> =
            differences.iter().filter(|one| one.matters() == matters).cloned().collect();
        let reference = reference.clone();
        let blocks = blocks && matters;
        (!differences.is_empty()).then_some(Finding::Structure { differences, reference, blocks })
    };
    [of(true), of(false)].into_iter().flatten().collect()
}

fn structure_of(state: &SchemaState) -> Option<(&SchemaSnapshot, &Arc<Structure>)> {
    match state {
        SchemaState::Read(snapshot) => Some((snapshot, snapshot.structure.as_ref()?)),
        _ => None,
    }
}

/// Whether the ledger says that the schema has the expected structure.
fn comparable(verdict: &Verdict) -> bool {
    !verdict.findings.iter().any(|finding| {
        matches!(
            finding,
            Finding::NotRegistered
                | Finding::NotListed { .. }
                | Finding::NoSchema
                | Finding::NoDatabase
                | Finding::NoLedger { .. }
                | Finding::Pending { .. }
                | Finding::Unrecorded { .. }
                | Finding::HalfCreated { .. }
                | Finding::Dirty { .. }
                | Finding::Diverged { .. }
                | Finding::Ahead { .. }
                | Finding::Unreadable { .. }
                | Finding::Vanished
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frameworks::sql,
        tenants::{
            gate::Outcome,
            inspection::LedgerRow,
            ledger::{Comparison, Ledger, LedgerLayout},
            manifest::Expected,
            structure::Object,
        },
    };

    /// A framework whose manifest contains no structure.
    #[derive(Debug)]
    struct Framework;

    impl Ledger for Framework {
        fn name(&self) -> &'static str {
            "framework"
        }

        fn shape(&self) -> LedgerLayout<'static> {
            sql::SHAPE
        }

        fn compare(&self, _: &Expected, _: &[LedgerRow]) -> Comparison {
            Comparison::default()
        }
    }

    fn structure(columns: &[&str]) -> Structure {
        let object = |kind, table: &str, name: &str| Object {
            kind,
            table: table.into(),
            name: name.into(),
            definition: String::new(),
            state: String::new(),
        };
        let columns = columns.iter().map(|name| object(ObjectKind::Column, "item", name));
        Structure::new(columns.chain([object(ObjectKind::Table, "", "item")]).collect())
    }

    /// Tenants with these columns; the names of those that differ, and the reference.
    fn differing(
        manifest: &Manifest,
        tenants: &[(&str, &[&str])],
        prepare: impl Fn(&mut Judgement, &mut Inspection),
        template: Option<String>,
    ) -> Vec<(String, Reference)> {
        let snapshot = |columns: &[&str]| {
            let structure = Some(Arc::new(structure(columns)));
            SchemaState::Read(SchemaSnapshot { structure, ..SchemaSnapshot::default() })
        };
        let states = tenants.iter().map(|(name, columns)| ((*name).to_owned(), snapshot(columns)));
        let mut found = Inspection {
            tenants: states.collect(),
            server: Some(("PostgreSQL".into(), "15".into())),
            ..Inspection::default()
        };
        let verdicts = tenants.iter().map(|(name, _)| ((*name).to_owned(), Verdict::default()));
        let mut judgement = Judgement { tenants: verdicts.collect(), ..Judgement::default() };
        prepare(&mut judgement, &mut found);
        judgement.compare_structures(manifest, &found, &StructureRules { blocks: true, template });
        let of = |(name, verdict): (&String, &Verdict)| {
            verdict.findings.iter().find_map(|finding| match finding {
                Finding::Structure { reference, .. } => Some((name.clone(), reference.clone())),
                _ => None,
            })
        };
        judgement.tenants.iter().filter_map(of).collect()
    }

    fn of_framework() -> Manifest {
        Manifest::new(&Framework, Expected::default(), Expected::default())
    }

    fn of_sql(version: &str) -> Manifest {
        let tenant = Expected { structure: structure(&["id"]), ..Expected::default() };
        let mut manifest = Manifest::new(&sql::LEDGER, Expected::default(), tenant);
        manifest.versions.insert("PostgreSQL".into(), version.into());
        manifest
    }

    fn unchanged(_: &mut Judgement, _: &mut Inspection) {}

    const THREE: [(&str, &[&str]); 3] = [("a", &["id", "extra"]), ("b", &["id"]), ("c", &["id"])];

    #[test]
    fn the_minority_differs_from_the_majority_unless_it_equals_the_template() {
        let majority = Reference::Majority { tenants: 2, example: "b".into() };
        assert_eq!(differing(&of_framework(), &THREE, unchanged, None), [("a".to_owned(), majority)]);
        let template = structure(&["id", "extra"]).digest();
        let reference = Reference::Template { example: "a".into() };
        let expected = ["b", "c"].map(|name| (name.to_owned(), reference.clone()));
        assert_eq!(differing(&of_framework(), &THREE, unchanged, Some(template)), expected);
    }

    #[test]
    fn tenants_of_different_types_are_not_compared() {
        let typed = |_: &mut Judgement, found: &mut Inspection| {
            found.types.insert("a".into(), "other".into());
        };
        assert_eq!(differing(&of_framework(), &THREE, typed, None), []);
    }

    #[test]
    fn a_tenant_with_pending_migrations_is_not_compared() {
        let pending = |judgement: &mut Judgement, _: &mut Inspection| {
            let finding = Finding::Pending { migrations: vec!["2".into()].into() };
            judgement.tenants.insert("a".into(), Verdict { findings: vec![finding] });
        };
        for manifest in [of_framework(), of_sql("15")] {
            assert_eq!(differing(&manifest, &THREE, pending, None), []);
        }
    }

    #[test]
    fn the_manifest_decides_for_sql_files_even_against_the_majority() {
        let most: [(&str, &[&str]); 3] = [("a", &["id"]), ("b", &["id", "extra"]), ("c", &["id", "extra"])];
        let expected = ["b", "c"].map(|name| (name.to_owned(), Reference::Manifest));
        assert_eq!(differing(&of_sql("15"), &most, unchanged, None), expected);
    }

    #[test]
    fn a_structure_of_another_server_version_proves_nothing() {
        let (manifest, state) = (of_sql("16"), SchemaState::Read(SchemaSnapshot::default()));
        let found = Inspection {
            tenants: [("a".to_owned(), state)].into(),
            server: Some(("PostgreSQL".into(), "15".into())),
            ..Inspection::default()
        };
        for (blocks, outcome) in [(true, Outcome::Unproven), (false, Outcome::Complete)] {
            let tenants = [("a".to_owned(), Verdict::default())].into();
            let mut judgement = Judgement { tenants, ..Judgement::default() };
            judgement.compare_structures(&manifest, &found, &StructureRules { blocks, template: None });
            assert_eq!(judgement.outcome(), outcome);
            assert_eq!(judgement.tenants["a"].findings.len(), 1);
        }
    }
}
