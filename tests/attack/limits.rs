//! A start with little memory, few processes and few open files: it ends well or with a failure, never with an unproven server.

use std::process::Command;

use super::{
    control_group::{self, ControlGroup},
    oracle::{is_true, leaves_nothing, problems},
    project::{STARTED, behind, data},
    tries::attack,
};
use crate::support::{cluster::Database, process::Running};

const CODES: [i32; 5] = [1, 69, 70, 74, 75];

#[derive(Debug)]
enum Limit {
    /// An option of `prlimit`.
    Resource(String),
    Group(control_group::Limit),
}

/// The program and its arguments follow.
fn resource(limit: &str) -> Command {
    let mut command = Command::new("prlimit");
    command.args([limit, "--"]);
    command
}

#[test]
fn a_start_with_few_resources_proves_or_fails() {
    let base = Database::fresh();
    let project = behind(&base.url());
    base.execute(&data());
    let mut tries = Vec::new();
    for step in 0..40 {
        for (name, limit) in [
            ("address space", format!("--as={}", (24 + step * 8) << 20)),
            ("open files", format!("--nofile={}", 3 + step)),
            ("file size", format!("--fsize={}", step * 512)),
        ] {
            tries.push((format!("limit: {name}"), Limit::Resource(limit)));
        }
        // Both are enough in the end.
        for (name, limit) in [
            ("memory", control_group::Limit::Memory((2 + step) << 19)),
            ("processes", control_group::Limit::Tasks(1 + step / 2)),
        ] {
            tries.push((format!("limit: {name}"), Limit::Group(limit)));
        }
    }
    attack("limits", 4, tries, |_, limit, _| {
        let database = base.copy();
        let project = project.copy();
        let (group, mut command) = match limit {
            Limit::Resource(limit) => (None, resource(limit)),
            Limit::Group(limit) => {
                let group = ControlGroup::new(*limit);
                let command = group.command();
                (Some(group), command)
            }
        };
        command.args([env!("CARGO_BIN_EXE_portcullis"), "run"]).current_dir(project.folder());
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("DATABASE_URL", database.url());
        let outcome = Running::start(command, false).wait();
        let serves = outcome.stdout.contains(STARTED);
        let found = problems(&database.url());
        assert!(!serves || found.is_empty(), "{limit:?}: the server started with {found:?}: {outcome}");
        assert_eq!(serves, outcome.code == Some(0), "{limit:?}: {outcome}");
        drop(group);
        leaves_nothing(&database.url(), &outcome);
        // Without memory the program aborts or is killed; every other limit has a message.
        let aborts = matches!(outcome.signal, Some(6 | 9)) || matches!(outcome.code, Some(134 | 137));
        if !serves && !aborts {
            is_true(&outcome, &CODES);
        }
        let second = project.env("DATABASE_URL", &database.url()).run(["run"]);
        assert!(is_true(&second, &[0]), "{limit:?}: {outcome}\n{second}");
        leaves_nothing(&database.url(), &second);
        assert_eq!(problems(&database.url()), Vec::<String>::new(), "{limit:?}: {outcome}");
    });
}
