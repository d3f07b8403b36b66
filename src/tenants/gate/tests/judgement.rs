//! Tests what a judgement of several schemas contains and allows.

use super::*;

fn verdict(findings: &[Finding]) -> Verdict {
    Verdict { findings: findings.to_vec() }
}

fn judgement(shared: Option<Verdict>, tenants: &[(&str, Verdict)]) -> Judgement {
    let tenants = tenants.iter().map(|(name, verdict)| ((*name).to_owned(), verdict.clone())).collect();
    Judgement { shared, tenants, ..Judgement::default() }
}

#[test]
fn a_run_may_resolve_only_what_a_migration_or_a_creation_resolves() {
    let complete = Verdict::default();
    let pending = || Finding::Pending { migrations: vec!["1 migration".into()].into() };
    let diverged = Finding::Diverged { unknown: vec!["9 migration".into()].into() };
    let half_created = Finding::HalfCreated { run: "r".into() };
    for (findings, expected) in [
        (vec![pending()], true),
        (vec![Finding::NoSchema], true),
        (vec![Finding::NotRegistered], true),
        (vec![half_created.clone()], true),
        (vec![half_created, pending()], true),
        (vec![pending(), diverged], false),
        (vec![Finding::Vanished], false),
        (vec![Finding::MissingTables { tables: vec![], dropped_by_newer: false }], false),
    ] {
        let bad = verdict(&findings);
        for judgement in [
            judgement(Some(complete.clone()), &[("acme", bad.clone())]),
            judgement(Some(complete.clone()), &[("acme", complete.clone()), ("demo", bad.clone())]),
            judgement(Some(bad), &[("acme", complete.clone())]),
        ] {
            assert_eq!(judgement.is_only_pending(), expected, "{judgement:?}");
        }
    }
    assert!(!judgement(Some(complete.clone()), &[("acme", complete)]).is_only_pending());
}

#[test]
fn a_first_start_has_no_ledger_no_tenant_and_no_schema_of_one() {
    let fresh = || Some(verdict(&[Finding::NoLedger { tables: vec![] }]));
    let absent = verdict(&[Finding::NotRegistered]);
    let orphan = |judgement: Judgement| Judgement { orphans: vec!["old".into()], ..judgement };
    for (judgement, expected, why) in [
        (judgement(fresh(), &[]), true, "nothing exists"),
        (judgement(fresh(), &[("demo", absent.clone())]), true, "the demo tenant is not registered"),
        (judgement(fresh(), &[("demo", absent), ("acme", Verdict::default())]), false, "a tenant exists"),
        (orphan(judgement(fresh(), &[])), false, "a schema is a tenant's"),
        (judgement(Some(Verdict::default()), &[]), false, "the shared schema is complete"),
        (judgement(None, &[]), false, "the shared schema was not inspected"),
    ] {
        assert_eq!(judgement.is_first_start(), expected, "{why}");
    }
}

#[test]
fn a_judgement_is_of_the_shared_schema_and_of_each_tenant() {
    let (shared, acme) = (verdict(&[Finding::Vanished]), verdict(&[Finding::NoSchema]));
    let whole = Judgement {
        has_sql_files: true,
        ..judgement(Some(shared.clone()), &[("acme", acme.clone()), ("demo", Verdict::default())])
    };
    assert_eq!(whole.verdict(None), Some(&shared));
    assert_eq!(whole.verdict(Some("acme")), Some(&acme));
    assert_eq!(whole.verdict(Some("other")), None);
    let listed: Vec<_> = whole.verdicts().map(|(tenant, _)| tenant).collect();
    assert_eq!(listed, [None, Some("acme"), Some("demo")]);
    let part = whole.of_tenants(BTreeMap::from([("acme".to_owned(), acme.clone())]));
    assert_eq!(part, Judgement { has_sql_files: true, ..judgement(None, &[("acme", acme)]) });
}

#[test]
fn schemas_whose_missing_objects_nothing_shows_are_noted() {
    let with = |tables: &[&str]| {
        let missing_tables = tables.iter().map(|name| (*name).to_owned()).collect();
        SchemaState::Read(SchemaSnapshot { missing_tables, ..snapshot(&[1, 2, 3]) })
    };
    let (complete, lacks) = (|| with(&[]), || with(&["finance_invoice"]));
    let pending = || SchemaState::Read(snapshot(&[1, 2]));
    let of_type = |kind: &str, name: &str| (name.to_owned(), kind.to_owned());
    let two_types = [of_type("small", "a"), of_type("large", "b")];
    let one_type = [of_type("small", "a"), of_type("small", "b")];
    let other = Some(("postgresql".to_owned(), "17".to_owned()));
    let noted = |shared, tenants: &[(&str, SchemaState)], more, types: &[(String, String)], server| {
        let found = found(tenants);
        let registered = found.registered + more;
        let types = types.iter().cloned().collect();
        let found = Inspection { shared: Some(shared), registered, types, server, ..found };
        judge(&manifest(), &found, RULES).without_example.into_iter().collect::<Vec<_>>()
    };
    let names = |names: &[&str]| names.iter().map(|name| Some((*name).to_owned())).collect::<Vec<_>>();
    for (shared, tenants, more, types, expected, why) in [
        (complete(), vec![("a", lacks()), ("b", complete())], 0, vec![], names(&[]), "b shows them"),
        (complete(), vec![("a", lacks()), ("b", pending())], 0, vec![], names(&[]), "b will show them"),
        (complete(), vec![("a", lacks()), ("b", lacks())], 0, vec![], names(&["a", "b"]), "both lack them"),
        (complete(), vec![("a", lacks())], 0, vec![], names(&["a"]), "it is the only one"),
        (complete(), vec![("a", lacks())], 1, vec![], names(&[]), "another one may show them"),
        (
            complete(),
            vec![("a", lacks()), ("b", complete())],
            0,
            two_types.to_vec(),
            names(&["a"]),
            "b has another type",
        ),
        (
            complete(),
            vec![("a", lacks()), ("b", complete())],
            0,
            one_type.to_vec(),
            names(&[]),
            "b has the same type",
        ),
        (lacks(), vec![("a", complete())], 1, vec![], vec![None], "there is one shared schema"),
    ] {
        assert_eq!(noted(shared.clone(), &tenants, more, &types, other.clone()), expected, "{why}");
        let derived_here = noted(shared, &tenants, more, &types, None);
        assert!(derived_here.is_empty(), "the manifest shows them, {why}: {derived_here:?}");
    }
}

#[test]
fn a_missing_table_is_shadowed_unless_a_pending_migration_may_create_it() {
    let judged = |recorded: &[u32], missing: &[&str]| {
        let missing_tables = missing.iter().map(|name| (*name).to_owned()).collect();
        let state = SchemaState::Read(SchemaSnapshot { missing_tables, ..snapshot(recorded) });
        let shadows = BTreeSet::from(["finance_invoice".to_owned()]);
        let judgement = judge(&manifest(), &Inspection { shadows, ..found(&[("acme", state)]) }, RULES);
        judgement.tenants["acme"].findings.iter().any(|finding| matches!(finding, Finding::Shadowed { .. }))
    };
    assert!(judged(&[1, 2, 3], &["finance_invoice"]));
    assert!(!judged(&[1, 2], &["finance_invoice"]));
    assert!(!judged(&[1, 2, 3], &["finance_line"]));
}

#[test]
fn whatever_an_inspection_finds_is_in_the_judgement() {
    let name = |name: &str| BTreeSet::from([name.to_owned()]);
    let with = |registry_kind| Inspection {
        orphans: name("old"),
        registry_kind,
        excluded: name("closed"),
        duplicates: name("twice"),
        unfinished: name("half"),
        half_created: BTreeMap::from([
            ("acme".to_owned(), "run".to_owned()),
            ("gone".to_owned(), "run".to_owned()),
        ]),
        server: Some(("postgresql".into(), "17".into())),
        ..found(&[("acme", SchemaState::Read(snapshot(&[1, 2, 3])))])
    };
    let manifest = Manifest { other_databases: name("archive"), ..manifest() };
    let judgement = judge(&manifest, &with(Kind::Table), RULES);
    assert_eq!(judgement.tenants["acme"].findings, [Finding::HalfCreated { run: "run".into() }]);
    assert_eq!(judgement.tenants.len(), 1);
    assert_eq!(judgement.orphans, ["old"]);
    assert_eq!(judgement.unfinished, ["half"]);
    let Unjudged { other_databases, excluded, duplicates } = *judgement.unjudged;
    assert_eq!(
        (&*other_databases, &*excluded, &*duplicates),
        (&["archive".to_owned()][..], &["closed".to_owned()][..], &["twice".to_owned()][..])
    );
    assert!(judgement.is_derived_elsewhere && judgement.has_sql_files);
    // A view may hide a row that the orphan has.
    let judgement = judge(&manifest, &with(Kind::View), RULES);
    assert_eq!(judgement.tenants["old"].findings, [Finding::NotListed { registry: Kind::View }]);
    assert_eq!(judgement.orphans, [""; 0]);
}
