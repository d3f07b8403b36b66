//! Finds the programs of the configuration that do not exist on this machine, before anything is changed.

use std::path::{Path, PathBuf};

use nix::unistd::AccessFlags;

use crate::{
    config::{Action, Config, Database, Password, Source, environment::Environment},
    files,
    outcome::command::MissingProgram,
    plan::{Decision, Plan},
    process::Privileges,
};

/// The places of a program that is not a step's.
pub(super) const SERVER: &str = "[server] command";
pub(super) const PASSTHROUGH: &str = "[server] passthrough";

/// The folders in which a program without a slash is searched.
pub(super) fn search_path(env: &Environment) -> &str {
    env.get("PATH").unwrap_or("/usr/local/bin:/bin:/usr/bin")
}

/// The programs that cannot run, or not with their user and privileges: of steps that are not skipped, of `[notify]`, of the server, and of `passthrough`.
pub(crate) fn missing(plan: &Plan, config: &Config, env: &Environment) -> Vec<MissingProgram> {
    let path = search_path(env);
    let project = config.migrations.as_ref().and_then(|migrations| match &migrations.source {
        Source::External(project) => Some(project),
        Source::Sql { .. } => None,
    });
    let mut used: Vec<(&str, String)> = Vec::new();
    for planned in plan.steps.iter().filter(|step| !matches!(step.decision, Decision::Skip { .. })) {
        let program = match &planned.step.action {
            // Its own PATH and folder apply.
            Action::Command(command) if command.cwd.is_some() || command.env.contains_key("PATH") => None,
            Action::Command(command) => command.run.first(),
            Action::Bootstrap(bootstrap) if !bootstrap.run.is_empty() => bootstrap.run.first(),
            Action::Bootstrap(_) | Action::Migrate(_) => {
                project.map(|project| project.run.first().unwrap_or(&project.interpreter))
            }
            Action::Wait(_) | Action::Sql { .. } | Action::Verify(_) => None,
        };
        used.extend(program.map(|program| (program.as_str(), format!("the step `{}`", planned.step.name))));
    }
    if let Some(Database::Postgres(database)) = &config.database {
        let others = [&database.direct, &database.reader].into_iter().flatten().map(|other| &**other);
        for one in others.chain([&**database]) {
            if let Password::Command { argv, .. } = &one.password {
                used.extend(argv.first().map(|program| (program.as_str(), "[database] password".to_owned())));
            }
        }
    }
    let notify = config.notify.as_ref().and_then(|notify| notify.command.first());
    used.extend(notify.map(|program| (program.as_str(), "[notify] command".to_owned())));
    used.extend(config.server.command.first().map(|program| (program.as_str(), SERVER.to_owned())));
    let listed = config.server.passthrough.iter().filter_map(|argv| argv.first());
    used.extend(listed.map(|program| (program.as_str(), PASSTHROUGH.to_owned())));
    let missing = used.into_iter().filter_map(|(program, used_by)| {
        // This program is here, whatever its path.
        let why = if program == "portcullis" { None } else { runnable(program, path).err() };
        why.map(|why| MissingProgram { program: program.to_owned(), used_by, why })
    });
    missing.chain(without_privileges(plan, config)).collect()
}

/// The programs whose user does not exist here, or which this process may not start as that user.
fn without_privileges(plan: &Plan, config: &Config) -> Vec<MissingProgram> {
    let server = config
        .server
        .command
        .first()
        .map(|program| (program, "[server]".to_owned(), &config.server.privileges));
    let steps = plan.steps.iter().filter(|step| !matches!(step.decision, Decision::Skip { .. }));
    let commands = steps.filter_map(|planned| match &planned.step.action {
        Action::Command(command) => {
            Some((command.run.first()?, format!("the step `{}`", planned.step.name), &command.privileges))
        }
        _ => None,
    });
    let project = config.migrations.as_ref().and_then(|migrations| match &migrations.source {
        Source::External(project) => {
            Some((&project.interpreter, "[migrations] apply".to_owned(), &project.privileges))
        }
        Source::Sql { .. } => None,
    });
    let unavailable = |(program, used_by, wanted): (&String, String, &_)| {
        let why = Privileges::resolve(wanted).err()?;
        Some(MissingProgram { program: program.clone(), used_by, why })
    };
    server.into_iter().chain(commands).chain(project).filter_map(unavailable).collect()
}

/// The path that execvp would use, or why execvp would fail.
pub(super) fn runnable(program: &str, path: &str) -> Result<PathBuf, String> {
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![program.into()]
    } else {
        path.split(':').map(|folder| Path::new(folder).join(program)).collect()
    };
    let is_file = |path: &&PathBuf| files::metadata_now(path).is_ok_and(|found| found.is_file());
    let mut found = candidates.iter().filter(is_file).peekable();
    let Some(first) = found.peek().copied() else {
        return Err(format!("cannot find `{program}`"));
    };
    let Some(found) = found.find(|path| files::access_now(path, AccessFlags::X_OK).is_ok()) else {
        return Err(format!("`{}` is not executable", first.display()));
    };
    match interpreter(found) {
        Some(interpreter) if files::metadata_now(Path::new(&interpreter)).is_err() => {
            Err(format!("`{}` needs `{interpreter}`, which does not exist", found.display()))
        }
        _ => Ok(found.clone()),
    }
}

/// The interpreter that the first line of a script names.
fn interpreter(script: &Path) -> Option<String> {
    let start = files::beginning_now(script, 256).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    String::from_utf8_lossy(line).split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn only_a_program_that_the_kernel_can_execute_is_runnable() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        write("good", "#!/bin/sh\n", 0o755);
        write("orphan", "#!/nonexistent/python\n", 0o755);
        write("plain", "#!/bin/sh\n", 0o644);
        let path = format!("/nonexistent:{}", folder.path().display());
        assert_eq!(runnable("good", &path).unwrap(), folder.path().join("good"));
        assert!(runnable("orphan", &path).unwrap_err().contains("needs `/nonexistent/python`"));
        assert!(runnable("plain", &path).unwrap_err().contains("not executable"));
        assert!(runnable("missing", &path).unwrap_err().contains("cannot find"));
        assert!(runnable("/nonexistent/good", &path).is_err());
    }
}
