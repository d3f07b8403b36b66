//! What the program teaches: the configuration's schema to editors, its command line to shells and to readers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    portcullis::Portcullis,
    process::{Outcome, Running},
};

const SHIPPED: [&str; 4] = [
    "config.toml",
    "docker/kubernetes/base/config.toml",
    "docker/replicas/config.toml",
    "examples/django/config.toml",
];

/// Whoever wrote this knows nothing of ours.
const VALIDATE: &str = "import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.validators.validator_for(schema).check_schema(schema)
jsonschema.validate(tomllib.load(open(sys.argv[2], 'rb')), schema, jsonschema.validators.validator_for(schema))";

#[test]
fn the_printed_schema_accepts_the_shipped_files_and_rejects_mistakes() {
    let schema = Portcullis::new().run(["schema"]).exits(0).stdout;
    for file in SHIPPED {
        let path = root().join(file);
        let text = fs::read_to_string(&path).unwrap();
        // Made by `portcullis schema > portcullis.schema.json`.
        assert_eq!(text.lines().next(), Some("#:schema ./portcullis.schema.json"), "{file}");
        validated(&schema, &text).exits(0);
        for wrong in ["unheard_of = 1\n", "role = 1\n", "role = \"x\"\nstatus = \"on\"\n"] {
            let rest: Vec<_> = text.lines().filter(|line| !line.starts_with("role")).collect();
            validated(&schema, &format!("{wrong}{}", rest.join("\n"))).exits(1);
        }
    }
}

fn validated(schema: &str, config: &str) -> Outcome {
    let python = root().join("target/kubernetes/bin/python");
    assert!(python.exists(), "{} is not there: run scripts/kubernetes", python.display());
    let folder = Portcullis::new().file("schema.json", schema).config(config);
    let mut command = Command::new(python);
    command.args(["-c", VALIDATE]).args([folder.path("schema.json"), folder.path("config.toml")]);
    Running::start(command, false).wait()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[test]
fn bash_completes_subcommands_and_options() {
    let completions = Portcullis::new().run(["completions", "bash"]).exits(0).stdout;
    let folder = Portcullis::new().file("completions", &completions);
    for (words, expected) in [
        ("portcullis ver", "verify"),
        ("portcullis tenant cr", "create"),
        ("portcullis run --no-", "--no-server"),
        ("portcullis run --log-format j", "json"),
    ] {
        let script = format!(
            "source completions; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _portcullis portcullis \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &script]).current_dir(folder.folder());
        Running::start(bash, false).wait().exits(0).prints(expected);
    }
}

#[test]
fn every_shell_gets_completions_and_every_subcommand_has_a_manual_page() {
    let portcullis = Portcullis::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        portcullis.run(["completions", shell]).exits(0).prints("tenant");
    }
    portcullis.run(["man"]).exits(0).prints(".TH portcullis 1").prints("portcullis\\-verify(1)");
    portcullis.run(["man", "run"]).exits(0).prints(".TH portcullis-run 1").prints("\\-\\-no\\-server");
    portcullis
        .run(["man", "tenant", "create"])
        .exits(0)
        .prints(".TH portcullis-tenant-create 1")
        .prints("\\-\\-domain");
    portcullis.run(["man", "tenant", "nonsense"]).exits(64).prints("no subcommand `nonsense`");
}
