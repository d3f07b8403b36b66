//! Valid and invalid names of tenants.

use super::{empty, json, tenants, with};

#[test]
fn legal_names_create_tenants_and_other_names_are_rejected_with_a_reason() {
    use proptest::{
        strategy::{Strategy, ValueTree},
        test_runner::{Config, TestRunner},
    };
    let project = with(empty(""), "tenant/2_more.sql", "SELECT 1;\n");
    let fixed = [
        "Acme",
        "a\"b",
        "a'; DROP TABLE tenants; --",
        "a.b",
        "a-b c",
        "select",
        "ä€",
        "a\\b",
        "$$",
        "{a,b}",
        "%s",
        "a\nb\t",
        "\u{1}\u{7f}",
        " a ",
        "--help",
        "👩\u{200d}🚀",
        "pg_temp",
        "information_schema",
        "portcullis",
        "public",
    ];
    let mut names: Vec<String> = fixed.iter().map(|name| (*name).to_owned()).collect();
    names.extend([String::new(), "x".repeat(63), "x".repeat(64), "ä".repeat(31) + "x", "ä".repeat(32)]);
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let strategy = "[-a-zA-Z0-9_.,:@/\"'\\\\;$ äß€%(){}\n\t\r]{1,63}";
    names.extend((0..24).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
    names.sort();
    names.dedup();
    for name in names {
        let outcome = project.portcullis.run(["tenant", "create", "--json", "--", &name]);
        let legal = !name.is_empty()
            && name.len() <= 63
            && !name.starts_with("pg_")
            && !["information_schema", "portcullis", "public"].contains(&name.as_str());
        let found = project.database.column("SELECT nspname::text FROM pg_namespace");
        let rows = tenants(&project);
        if legal {
            let outcome = outcome.exits(0);
            assert!(found.contains(&name) && rows.contains(&name), "{name:?}: {outcome}");
            project.portcullis.run(["tenant", "show", "--", &name]).exits(0).prints(": complete");
            project.portcullis.run(["tenant", "delete", "--yes", "--", &name]).exits(0);
        } else {
            let outcome = outcome.exits(73);
            assert_eq!(json(&outcome)["failure"]["left"], "as it was", "{name:?}: {outcome}");
        }
        assert_eq!(tenants(&project), Vec::<String>::new(), "{name:?}");
    }
    project.portcullis.run(["verify"]).exits(0);
}
