//! The creation of tenants and its rollback.

use std::fs;

use super::{super::cleanup::staging_path, Project, limits, run, snapshot};
use crate::{
    config::Selection,
    database::{Creation, ProvisionState, Schema},
    tenants::inspection::SchemaState,
};

#[test]
fn a_provisioned_tenant_is_complete() {
    run(async {
        let project = Project::new();
        project.database().ping().await.unwrap();
        assert_eq!(project.inspect(&Selection::All).await.shared, Some(SchemaState::NoSchema));
        assert!(!project.at("var").exists(), "an inspection creates nothing");
        project.shared().await;
        project.database().ping().await.unwrap();
        for name in ["demo", "a'b.c \"D\""] {
            project.provision(name).await.unwrap();
        }
        let found = project.inspect(&Selection::All).await;
        assert_eq!((found.registered, found.tenants.len(), found.orphans.len()), (2, 2, 0));
        for state in found.tenants.values().chain(&found.shared) {
            let snapshot = snapshot(state);
            assert!(
                snapshot.missing_tables.is_empty() && snapshot.missing_columns.is_empty(),
                "{snapshot:?}"
            );
            assert!(snapshot.ledger.iter().all(|row| row.succeeded && row.checksum.is_some()));
        }
        assert_eq!(project.tenants().len(), 2, "no staging file is left");
        assert_eq!(project.manifest().await.tenant.tables["finance_invoice"].len(), 3);
    });
}

#[test]
fn a_tenant_that_fails_verification_is_removed_completely() {
    run(async {
        let project = Project::new();
        project.shared().await;
        let database = project.database();
        let refuse = |state: &SchemaState| {
            assert_eq!(snapshot(state).ledger.len(), 2);
            Err("no".to_owned())
        };
        let new = Creation::of("demo", "test");
        let error = project.provision_as(&new, &refuse).await.unwrap_err();
        assert_eq!((error.why.text.as_str(), error.left), ("no", None));
        assert_eq!(database.roll_back(&new, &limits()).await.unwrap(), ProvisionState::Absent);
        assert!(project.tenants().is_empty());
        assert!(project.inspect(&Selection::All).await.tenants.is_empty());
        project.write("var/tenants/squatter.sqlite", "");
        let error = project.provision("squatter").await.unwrap_err();
        assert!(error.why.text.contains("does not contain"), "{error:?}");
        assert!(project.at("var/tenants/squatter.sqlite").exists(), "an existing file is not removed");
    });
}

#[test]
fn only_the_last_transaction_of_an_attempt_proves_its_outcome() {
    run(async {
        let project = Project::new();
        project.shared().await;
        let database = project.database();
        let new = Creation::of("demo", "test");
        project.provision_as(&new, &|_| Ok(())).await.unwrap();
        assert_eq!(project.tenants(), ["demo.sqlite"]);
        assert_eq!(database.roll_back(&new, &limits()).await.unwrap(), ProvisionState::Complete);
        // Another attempt with the same name did not create the existing file.
        let other = Creation::of("demo", "test");
        assert_eq!(database.roll_back(&other, &limits()).await.unwrap(), ProvisionState::Absent);
        assert_eq!(project.tenants(), ["demo.sqlite"]);
        assert_eq!(snapshot(&project.inspect(&Selection::All).await.tenants["demo"]).ledger.len(), 2);
    });
}

#[test]
fn an_attempt_that_stops_between_its_file_and_its_row_leaves_neither() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        let new = Creation::of("demo", "test");
        let staging = staging_path(&project.at("var/tenants/demo.sqlite"), &new.nonce);
        fs::hard_link(project.at("var/tenants/demo.sqlite"), &staging).unwrap();
        // The row was committed: only the staging name is removed.
        assert_eq!(project.database().roll_back(&new, &limits()).await.unwrap(), ProvisionState::Absent);
        assert_eq!(project.tenants(), ["demo.sqlite"]);
        fs::hard_link(project.at("var/tenants/demo.sqlite"), &staging).unwrap();
        project.sql("shared.sqlite", "DELETE FROM tenants").await;
        assert_eq!(project.database().roll_back(&new, &limits()).await.unwrap(), ProvisionState::Absent);
        assert!(project.tenants().is_empty());
    });
}

#[test]
fn a_tenant_that_lost_its_file_is_not_created_again() {
    run(async {
        let project = Project::new();
        project.shared().await;
        project.provision("demo").await.unwrap();
        assert!(project.provision("demo").await.unwrap_err().why.text.contains("already exists"));
        fs::remove_file(project.at("var/tenants/demo.sqlite")).unwrap();
        let schema = Schema::Tenant("demo".into());
        let error = project.database().apply(&schema, &project.files("tenant"), &limits()).await.unwrap_err();
        assert!(error.why.text.contains("does not create it again"), "{error:?}");
        assert!(project.provision("demo").await.unwrap_err().why.text.contains("already contains `demo`"));
    });
}
