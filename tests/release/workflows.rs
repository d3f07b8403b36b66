//! The workflow files satisfy the forge's schema and a linter of their security.

use super::{root, run};

fn linter(name: &str) -> std::path::PathBuf {
    let path = root().join("target/workflows/bin").join(name);
    assert!(path.exists(), "{} is missing: run scripts/workflow-lint", path.display());
    path
}

#[test]
fn the_workflows_satisfy_the_linters() {
    for name in ["night.yml", "release.yml", "test.yml"] {
        let path = root().join(".github/workflows").join(name);
        let path = path.to_str().unwrap();
        run(linter("check-jsonschema"), &["--builtin-schema", "vendor.github-workflows", path]).exits(0);
        run(linter("zizmor"), &["--offline", "--quiet", path]).exits(0);
    }
}

#[test]
fn a_workflow_that_breaks_a_rule_is_reported() {
    let text = std::fs::read_to_string(root().join(".github/workflows/release.yml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("release.yml");
    let with = |right: &str, wrong: &str| {
        assert!(text.contains(right), "{right}");
        std::fs::write(&path, text.replace(right, wrong)).unwrap();
    };
    with("runs-on:", "run-on:");
    run(linter("check-jsonschema"), &["--builtin-schema", "vendor.github-workflows", path.to_str().unwrap()])
        .exits(1);
    with("@11bd71901bbe5b1630ceea73d27597364c9af683", "@v4");
    let unpinned = run(linter("zizmor"), &["--offline", "--quiet", path.to_str().unwrap()]);
    assert_ne!(unpinned.code, Some(0), "{unpinned}");
}
