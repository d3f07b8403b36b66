//! Restricts a judgement to one app.

use std::collections::BTreeSet;

use super::{
    gate::{Finding, Judgement, Verdict},
    manifest::Manifest,
    replay::is_of,
    structure::difference::Difference,
};

use crate::ordered::Ordered;

impl Manifest {
    /// The apps that have migrations or models; empty if the framework has no apps.
    pub(crate) fn apps(&self) -> BTreeSet<&str> {
        let migrations = self.shared.migrations.iter().chain(&self.tenant.migrations);
        let apps = migrations.map(|migration| migration.app.as_str()).filter(|app| !app.is_empty());
        apps.chain(self.owners.values().map(|owner| owner.app.as_str())).into_set()
    }
}

impl Judgement {
    /// Removes the findings of other apps. Findings about an entire schema stay, as do tables without a known app.
    pub(crate) fn only(&mut self, app: &str, manifest: &Manifest) {
        for Verdict { findings } in self.shared.iter_mut().chain(self.tenants.values_mut()) {
            findings.retain_mut(|finding| concerns(app, manifest, finding));
        }
    }
}

fn concerns(app: &str, manifest: &Manifest, finding: &mut Finding) -> bool {
    let owns = |table: &str| manifest.app_of_table(table).is_none_or(|of| of == app);
    match finding {
        Finding::Pending { migrations }
        | Finding::Unrecorded { migrations }
        | Finding::Dirty { migrations }
        | Finding::Altered { migrations, .. }
        | Finding::Diverged { unknown: migrations }
        | Finding::Ahead { unknown: migrations, .. }
        | Finding::Retired { migrations }
        | Finding::Duplicate { migrations } => {
            *migrations = migrations.iter().filter(|migration| is_of(app, migration)).cloned().collect();
            !migrations.is_empty()
        }
        Finding::MissingTables { tables, .. } | Finding::Shadowed { tables } => {
            tables.retain(|table| owns(table));
            !tables.is_empty()
        }
        Finding::OtherKind { table, .. }
        | Finding::MissingColumns { table, .. }
        | Finding::InvalidIndex { table, .. } => owns(table),
        Finding::Structure { differences, .. } => {
            let of_app = |one: &&Difference| {
                one.object().is_some_and(|object| {
                    owns(if object.table.is_empty() { &object.name } else { &object.table })
                })
            };
            *differences = differences.iter().filter(of_app).cloned().collect();
            !differences.is_empty()
        }
        Finding::Models { app: of, .. } => of == app,
        Finding::Accepted { finding, .. } => concerns(app, manifest, finding),
        Finding::NotRegistered
        | Finding::NotListed { .. }
        | Finding::HalfCreated { .. }
        | Finding::NoSchema
        | Finding::NoDatabase
        | Finding::NoLedger { .. }
        | Finding::Unreadable { .. }
        | Finding::StructureOfOtherServer { .. }
        | Finding::Vanished => true,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use super::*;
    use crate::{
        frameworks::sql::LEDGER,
        tenants::manifest::{Expected, Migration, Owner},
    };

    #[test]
    fn only_findings_of_the_app_and_of_entire_schemas_stay() {
        let mut manifest = Manifest::new(&LEDGER, Expected::default(), Expected::default());
        manifest.tenant.migrations.push(Migration {
            id: "finance.0001_initial".into(),
            app: "finance".into(),
            ..Migration::default()
        });
        for (table, app, model) in
            [("finance_invoice", "finance", "Invoice"), ("contacts_contact", "contacts", "Contact")]
        {
            manifest.owners.insert(table.into(), Owner { app: app.into(), model: model.into() });
        }
        assert_eq!(manifest.apps().into_iter().collect::<Vec<_>>(), ["contacts", "finance"]);
        let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let of = |finance: bool| {
            let (app, table) =
                if finance { ("finance", "finance_invoice") } else { ("contacts", "contacts_contact") };
            let migrations: Arc<[String]> = strings(&[&format!("{app}.0001_initial")]).into();
            let pending = Finding::Pending { migrations: migrations.clone() };
            let reason = "known".to_owned();
            vec![
                Finding::Duplicate { migrations },
                Finding::MissingColumns {
                    table: table.into(),
                    columns: strings(&["total"]),
                    dropped_by_newer: false,
                },
                Finding::Models { app: app.into(), models: Vec::new(), all_tables: false, after: Vec::new() },
                Finding::Accepted {
                    finding: Box::new(pending),
                    until: "2030-01-31".parse().unwrap(),
                    reason,
                },
            ]
        };
        let mixed = Finding::MissingTables {
            tables: strings(&["contacts_contact", "finance_invoice", "unowned"]),
            dropped_by_newer: false,
        };
        let of_app = Finding::MissingTables {
            tables: strings(&["finance_invoice", "unowned"]),
            dropped_by_newer: false,
        };
        let findings = [of(true), of(false), vec![mixed, Finding::NoSchema]].concat();
        let mut judgement = Judgement {
            shared: Some(Verdict { findings: of(false) }),
            tenants: [("demo".to_owned(), Verdict { findings })].into(),
            ..Judgement::default()
        };
        judgement.only("finance", &manifest);
        assert_eq!(judgement.shared, Some(Verdict::default()));
        assert_eq!(judgement.tenants["demo"].findings, [of(true), vec![of_app, Finding::NoSchema]].concat());
    }
}
