//! Checks without a database: the file, the plan, the server's command, the manifest.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use nix::unistd::AccessFlags;

use super::check::{Check, failed, no_configuration};
use crate::{
    actions::context::RunContext,
    config::{self, Action, Config, Overrides, Selection, When, environment::Environment},
    failure::Failure,
    files,
    outcome::doctor::Verdict,
    plan,
    words::count,
};

pub(super) const CHECKS: [Check<Loaded>; 3] = [
    Check { id: "configuration-valid", name: "configuration is valid", run: valid },
    Check { id: "gate-blocks", name: "the start-up is gated", run: gated },
    Check { id: "server-command", name: "server command can run", run: server },
];

/// The configuration file, read before the runtime starts: a file system that hangs must not block signals.
pub(crate) struct Loaded {
    result: Result<(Config, String), Rc<Failure>>,
    /// The path of the server's program, or why it cannot run. None if the file names no program.
    program: Option<Result<PathBuf, String>>,
}

impl Loaded {
    pub(crate) fn read(path: &Path, env: &Environment, overrides: &Overrides) -> Self {
        let result = config::load::load_with_warnings(path, env, overrides, false);
        let result = result.map_err(|refused| Rc::new(refused.failure));
        let named = result.as_ref().ok().and_then(|(config, _)| config.server.command.first());
        let path = env.get("PATH").unwrap_or("/usr/local/bin:/bin:/usr/bin");
        let program = named.map(|program| runnable(program, path));
        Self { result, program }
    }

    pub(super) fn config(&self) -> Option<&Config> {
        self.result.as_ref().ok().map(|(config, _)| config)
    }
}

fn valid(loaded: &Loaded) -> Verdict {
    let (config, warnings) = match &loaded.result {
        Ok(read) => read,
        Err(failure) => return failed(failure.clone()),
    };
    if let Err(failure) = plan::plan(config) {
        return failed(failure.into());
    }
    if warnings.is_empty() {
        return Verdict::passed(count(config.steps.len(), "step"));
    }
    let first = warnings.lines().next().unwrap_or_default().trim_start_matches("warning: ");
    Verdict::warned(first, "show every warning with its position: portcullis check")
}

/// Checks that a step verifies every tenant, unconditionally.
fn gated(loaded: &Loaded) -> Verdict {
    let Some(config) = loaded.config() else { return no_configuration() };
    if config.migrations.is_none() {
        return Verdict::not_applicable("`[migrations]` is not configured");
    }
    let last = "let the last step be `verify = { tenants = \"all\" }`, without `when`";
    let judges_all = |step: &&config::Step| matches!(&step.action, Action::Verify(verify) if verify.tenants == Selection::All);
    let mut gates = config.steps.iter().filter(judges_all).peekable();
    if gates.peek().is_none() {
        return Verdict::failed("no step verifies every tenant before the server starts", last);
    }
    match gates.find(|step| step.when == When::default()) {
        Some(step) => Verdict::passed(format!("by the step `{}`, always", step.name)),
        None => Verdict::warned("every step that verifies all tenants has a condition", last),
    }
}

fn server(loaded: &Loaded) -> Verdict {
    match &loaded.program {
        _ if loaded.config().is_none() => no_configuration(),
        None => Verdict::not_applicable("the file has no command; `run -- ARGV` provides it"),
        Some(Ok(path)) => Verdict::passed(path.display().to_string()),
        Some(Err(why)) => {
            Verdict::failed(why, "install the program in the image, or correct `[server] command`")
        }
    }
}

/// The path that execvp would use, or why execvp would fail.
fn runnable(program: &str, path: &str) -> Result<PathBuf, String> {
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

/// Reads the expectation, which every inspection of a tenant needs.
pub(super) async fn manifest(context: Option<&RunContext>) -> Verdict {
    let Some(context) = context else { return no_configuration() };
    let Some(migrations) = &context.config.migrations else {
        return Verdict::not_applicable("`[migrations]` is not configured");
    };
    if migrations.auto_manifest {
        let make = crate::actions::expectation::make_command(migrations);
        return Verdict::warned(
            "`manifest = { auto = true }` builds the manifest at every start",
            format!("for production, build it together with the image: {make}"),
        );
    }
    match context.expectation().await {
        Ok(expectation) => Verdict::passed(format!("release {}", expectation.manifest.release())),
        Err(failure) => failed(failure.into()),
    }
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
