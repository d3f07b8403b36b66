//! The commands and configurations in the documents about Django, on the shipped project.

use std::fs;

use super::blocks::{all, block, run};
use crate::support::django::Project;

#[test]
fn the_quick_start_of_django_starts_the_project() {
    let project = Project::new();
    fs::remove_file(project.portcullis.path("config.toml")).unwrap();
    let commands = block("docs/quick-start.md", "$ portcullis init-config      # reads manage.py");
    run(&project.portcullis, &commands);
    let written = fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    let shown = shown_configuration("framework = \"django\"");
    for line in shown.lines().filter(|line| !line.is_empty()) {
        assert!(written.contains(line), "init-config does not write {line:?}: {written}");
    }
    fs::write(project.portcullis.path("config.toml"), shown).unwrap();
    let dockerfile =
        block("docs/quick-start.md", "COPY --from=portcullis /portcullis /usr/local/bin/\nRUN portcullis");
    let make = dockerfile.lines().find_map(|line| line.strip_prefix("RUN ")).unwrap();
    project.portcullis.paste(make).exits(0);
    project
        .portcullis
        .run(["run", "--", "echo", "the server starts"])
        .exits(0)
        .prints("every tenant is complete: ok")
        .prints("the server starts");
}

/// The configuration of the quick start with this line.
pub fn shown_configuration(line: &str) -> String {
    let mut found = all();
    found.retain(|block| {
        block.document == "docs/quick-start.md" && block.language == "toml" && block.text.contains(line)
    });
    assert_eq!(found.len(), 1, "{line}");
    found.remove(0).text
}

#[test]
fn tenants_are_created_copied_repaired_and_deleted_as_the_documents_say() {
    let project = Project::complete();
    let portcullis = &project.portcullis;
    project.configure(
        "[[step]]\nname = \"demo tenants\"\nwhen = { role = [\"web\"], env = \"CREATE_DEMO_TENANT\" }\n",
        "[[step]]\nname = \"demo tenants\"\n",
    );
    for line in block("docs/tenants.md", "portcullis tenant create acme").lines() {
        // The second line creates the schema of the first one again.
        if line.contains("--schema acme") {
            portcullis.run(["tenant", "delete", "acme", "--yes"]).exits(0);
        }
        portcullis.paste(line).exits(0);
    }
    let create = block("docs/tenants.md", "portcullis tenant create --format json");
    portcullis.paste(&create).exits(0).prints("\"created\": true");
    let failed =
        portcullis.paste(&create.replace("acme", "demo").replace("demo.example", "acme.example")).exits(73);
    let real: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&block("docs/tenants.md", "{")).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&real), keys(&shown), "{failed}");
    assert_eq!(keys(&real["failure"]), keys(&shown["failure"]), "{failed}");
    assert_eq!(real["failure"]["id"], shown["failure"]["id"], "{failed}");

    let tables = project.database.column(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'acme' AND tablename LIKE 'finance%'",
    );
    assert!(!tables.is_empty());
    let names: Vec<String> = tables.iter().map(|table| format!("acme.{table}")).collect();
    project.database.execute(&format!("DROP TABLE {} CASCADE", names.join(", ")));
    portcullis.run(["verify", "acme"]).exits(1);
    run(portcullis, &block("docs/repair.md", "$ portcullis repair acme --replay"));
    portcullis.run(["verify", "acme"]).exits(0);

    project.configure(
        "framework = \"django\"\n",
        "framework = \"django\"\ntemplate = { file = \"portcullis.template.sql\" }\n",
    );
    run(portcullis, &block("docs/template.md", "$ portcullis migrate"));
    assert!(portcullis.path("portcullis.template.sql").is_file());
}
