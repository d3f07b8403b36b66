//! Checks without a database: the file, the plan, the server's command, the manifest.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::check::{Check, failed, no_configuration, some};
use crate::{
    actions::{context::RunContext, programs},
    config::{self, Action, Config, Overrides, Selection, When, environment::Environment},
    failure::Failure,
    files,
    outcome::{command::MissingProgram, doctor::Verdict},
    plan,
    words::count,
};

pub(super) const CHECKS: [Check<Loaded>; 5] = [
    Check { id: "configuration-valid", name: "configuration is valid", run: valid },
    Check { id: "gate-blocks", name: "the start-up is gated", run: gated },
    Check { id: "server-command", name: "server command can run", run: server },
    Check { id: "step-programs", name: "programs of steps exist", run: step_programs },
    Check { id: "secret-files", name: "secret files are private", run: secret_files },
];

/// The configuration file, read before the runtime starts: a file system that hangs must not block signals.
pub(crate) struct Loaded {
    result: Result<(Config, String), Rc<Failure>>,
    /// The path of the server's program, or why it cannot run. None if the file names no program.
    program: Option<Result<PathBuf, String>>,
    /// The programs of steps and of `passthrough` that do not exist.
    missing: Vec<MissingProgram>,
    /// The secret files that every user may read.
    public: Vec<String>,
}

impl Loaded {
    pub(crate) fn read(path: &Path, env: &Environment, overrides: &Overrides) -> Self {
        let result = config::load::load_with_warnings(path, env, overrides, false);
        let result = result.map_err(|refused| Rc::new(refused.failure));
        let named = result.as_ref().ok().and_then(|(config, _)| config.server.command.first());
        let program = named.map(|program| programs::runnable(program, programs::search_path(env)));
        let plan = result.as_ref().ok().and_then(|(config, _)| Some((config, plan::plan(config).ok()?)));
        let missing = plan.map_or_else(Vec::new, |(config, plan)| programs::missing(&plan, config, env));
        let missing = missing.into_iter().filter(|missing| missing.used_by != programs::SERVER).collect();
        let files =
            result.as_ref().map_or_else(|_| Vec::new(), |(config, _)| config.secret_files.iter().collect());
        let is_public =
            |path: &&&PathBuf| files::metadata_now(path).is_ok_and(|found| found.mode() & 0o004 != 0);
        let public = files.iter().filter(is_public).map(|path| path.display().to_string()).collect();
        Self { result, program, missing, public }
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

fn step_programs(loaded: &Loaded) -> Verdict {
    let remedy = "install the programs in the image, or correct the configuration";
    let (of_steps, of_passthrough): (Vec<_>, Vec<_>) =
        loaded.missing.iter().partition(|missing| missing.used_by != programs::PASSTHROUGH);
    let list = |missing: &[&MissingProgram]| {
        some(
            &missing
                .iter()
                .map(|missing| format!("{}: {}", missing.used_by, missing.why))
                .collect::<Vec<_>>(),
        )
    };
    match (&of_steps[..], &of_passthrough[..]) {
        _ if loaded.config().is_none() => no_configuration(),
        ([], []) => Verdict::passed("all of them"),
        ([], shells) => Verdict::warned(list(shells), remedy),
        (steps, _) => Verdict::failed(list(steps), remedy),
    }
}

fn secret_files(loaded: &Loaded) -> Verdict {
    match (loaded.config(), &loaded.public[..]) {
        (None, _) => no_configuration(),
        (Some(config), _) if config.secret_files.is_empty() => {
            Verdict::not_applicable("no secret is read from a file")
        }
        (Some(config), []) => Verdict::passed(count(config.secret_files.len(), "file")),
        (_, public) => Verdict::warned(
            format!("every user may read {}", some(public)),
            "let only the container's user read them: mode 0400, or 0440 for its group (`defaultMode` in Kubernetes)",
        ),
    }
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
