//! Checks the application's code and image. Reads files next to the configuration and starts nothing.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::check::{Check, some};
use crate::{
    actions::context::RunContext,
    config::{Action, Source},
    files,
    frameworks::{self, AppInfo, Creation},
    ordered::Ordered,
    outcome::doctor::Verdict,
    plan,
    tenants::manifest::Manifest,
    words::count,
};

pub(super) const CHECKS: [Check<Code>; 4] = [
    Check { id: "tenant-apps", name: "the project's apps are tenants'", run: tenant_apps },
    Check { id: "other-databases", name: "the project's databases", run: other_databases },
    Check { id: "entrypoint", name: "the image's entrypoint", run: entrypoint },
    Check { id: "tenant-creation", name: "code that creates tenants", run: tenant_creations },
];

const DOCKERFILES: [&str; 3] = ["Dockerfile", "Containerfile", "docker/Dockerfile"];

/// The files of the project's folder.
pub(super) struct Code {
    /// None if Portcullis applies the migrations itself, or the manifest is unreadable.
    apps: Option<Apps>,
    dockerfile: Option<(PathBuf, String)>,
    passthrough: Vec<Vec<String>>,
    /// None if Portcullis applies the migrations itself.
    tenant_creations: Option<Result<Vec<Creation>, String>>,
}

/// The project's own apps that have tables, grouped by the schema that contains these.
struct Apps {
    about: AppInfo,
    make: &'static str,
    of_tenants: BTreeSet<String>,
    only_shared: BTreeSet<String>,
    other_databases: BTreeSet<String>,
}

impl Code {
    pub(super) async fn of(config: &Path, context: Option<&RunContext>) -> Self {
        let folder =
            config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut dockerfile = None;
        for name in DOCKERFILES {
            let path = folder.join(name);
            if let Ok(text) = files::read(&path, files::TIMEOUT).await {
                dockerfile = Some((path, text));
                break;
            }
        }
        let (mut apps, mut tenant_creations) = (None, None);
        if let Some(context) = context
            && let Some(migrations) = &context.config.migrations
            && let Source::External(project) = &migrations.source
            && let framework = frameworks::of(migrations)
            && let Some(external) = framework.external()
            && let Some(about) = external.about().apps
        {
            let expectation = context.expectation().await.ok();
            apps = expectation.map(|known| Apps::of(&known.manifest, about, framework.make()));
            let commands = context.config.steps.iter().flat_map(|step| match &step.action {
                Action::Bootstrap(bootstrap) => bootstrap.run.clone(),
                _ => Vec::new(),
            });
            let (folder, commands) = (project.folder().to_owned(), commands.collect::<Vec<_>>());
            let found =
                files::within(files::TIMEOUT, move || Ok(external.creations(&folder, &commands))).await;
            tenant_creations = Some(found.unwrap_or_else(|error| Err(error.to_string())));
        }
        let passthrough = context.map_or_else(Vec::new, |context| context.config.server.passthrough.clone());
        Self { apps, dockerfile, passthrough, tenant_creations }
    }
}

impl Apps {
    fn of(manifest: &Manifest, about: AppInfo, make: &'static str) -> Self {
        let (mut of_tenants, mut only_shared) = (BTreeSet::new(), BTreeSet::new());
        let is_own_app =
            |app: &str| manifest.sources.get(app).is_some_and(|sources| sources.folder.is_relative());
        let registers =
            manifest.registry.as_ref().and_then(|registry| manifest.app_of_table(&registry.table));
        let every_tenant = manifest.types.values().chain([&manifest.tenant.tables]);
        let in_tenants: BTreeSet<&String> = every_tenant.flat_map(|tables| tables.keys()).into_set();
        for (table, owner) in manifest.owners.iter().filter(|(_, owner)| is_own_app(&owner.app)) {
            if in_tenants.contains(table) {
                of_tenants.insert(owner.app.clone());
            } else if Some(owner.app.as_str()) != registers {
                only_shared.insert(owner.app.clone());
            }
        }
        only_shared.retain(|app| !of_tenants.contains(app));
        let other_databases = manifest.other_databases.clone();
        Self { about, make, of_tenants, only_shared, other_databases }
    }
}

fn tenant_apps(code: &Code) -> Verdict {
    let Some(apps) = &code.apps else {
        return Verdict::not_applicable("no manifest of a project with apps");
    };
    let list = |apps: &BTreeSet<String>| apps.iter().cloned().collect::<Vec<_>>().join(", ");
    let (of_tenants, shared) = (list(&apps.of_tenants), list(&apps.only_shared));
    let (remedy, make) = (apps.about.tenant_apps, apps.make);
    match (of_tenants.is_empty(), shared.is_empty()) {
        (true, true) => Verdict::not_applicable("the project has no app with tables"),
        (false, true) => Verdict::passed(of_tenants),
        (true, false) => Verdict::failed(
            format!("none of the project's apps has tables in a tenant's schema: {shared}"),
            format!("{remedy}, then build the manifest again: {make}"),
        ),
        (false, false) => Verdict::warned(
            format!("only in the shared schema: {shared}"),
            format!("if their rows belong to tenants, {remedy}; then: {make}"),
        ),
    }
}

fn other_databases(code: &Code) -> Verdict {
    let Some(apps) = &code.apps else {
        return Verdict::not_applicable("no manifest of a project with apps");
    };
    if apps.other_databases.is_empty() {
        return Verdict::passed("one");
    }
    let names: Vec<&str> = apps.other_databases.iter().map(String::as_str).collect();
    Verdict::warned(
        format!("Portcullis neither migrates nor judges these: {}", names.join(", ")),
        "migrate each of them in a `command` step with the framework's own command before the server starts",
    )
}

fn entrypoint(code: &Code) -> Verdict {
    let Some((path, text)) = &code.dockerfile else {
        return Verdict::not_applicable(format!("none of {} exists", DOCKERFILES.join(", ")));
    };
    let path = path.display();
    let remedy = "write ENTRYPOINT [\"portcullis\", \"run\", \"--\"] into the last stage";
    if let Some((line, command)) = ungated_command(text, &code.passthrough) {
        return Verdict::failed(
            format!(
                "{path}:{line}: `CMD {command}` runs a shell, which `[server] passthrough` starts without the gate"
            ),
            "write CMD as a JSON array of the server's arguments, or remove the shell from `passthrough`",
        );
    }
    match last(text, "ENTRYPOINT") {
        None => Verdict::warned(format!("{path}: the last stage has no ENTRYPOINT"), remedy),
        Some((line, words)) => match serde_json::from_str::<Vec<String>>(&words) {
            Err(_) => {
                Verdict::failed(format!("{path}:{line}: a shell is PID 1 and forwards no signals"), remedy)
            }
            Ok(argv) if runs_the_gate(&argv) => Verdict::passed(format!("{path}:{line}")),
            Ok(argv) => Verdict::failed(
                format!("{path}:{line}: `{}` starts without the gate", argv.join(" ")),
                remedy,
            ),
        },
    }
}

/// Whether this argv runs the gate: `portcullis run`, possibly behind an init.
fn runs_the_gate(argv: &[String]) -> bool {
    let program =
        argv.iter().position(|word| Path::new(word).file_name().is_some_and(|name| name == "portcullis"));
    program.is_some_and(|at| argv.iter().skip(at).any(|word| word == "run"))
}

/// An instruction's line number, from 1, and its text.
type Instruction = (usize, String);

/// The image's CMD, if it starts without any step. Docker runs the shell form with `/bin/sh -c`.
fn ungated_command(dockerfile: &str, passthrough: &[Vec<String>]) -> Option<Instruction> {
    let (line, command) = last(dockerfile, "CMD")?;
    let argv = serde_json::from_str::<Vec<String>>(&command)
        .unwrap_or_else(|_| vec!["/bin/sh".into(), "-c".into(), command.clone()]);
    plan::passes_through(passthrough, &argv).then_some((line, command))
}

/// The arguments of the last stage's instruction, with continued lines joined.
fn last(dockerfile: &str, instruction: &str) -> Option<Instruction> {
    let (mut found, mut current): (Option<Instruction>, Option<Instruction>) = (None, None);
    for (number, line) in (1..).zip(dockerfile.lines()) {
        let line = line.trim();
        if line.starts_with('#') || (line.is_empty() && current.is_none()) {
            continue;
        }
        let (at, mut text) = current.take().unwrap_or((number, String::new()));
        text += line.trim_end_matches('\\');
        if line.ends_with('\\') {
            current = Some((at, text));
            continue;
        }
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
        match word.to_ascii_uppercase().as_str() {
            "FROM" => found = None,
            name if name == instruction => found = Some((at, rest.trim().to_owned())),
            _ => {}
        }
    }
    found
}

fn tenant_creations(code: &Code) -> Verdict {
    let found = match &code.tenant_creations {
        None => return Verdict::not_applicable("no project of a framework"),
        Some(Err(why)) => return Verdict::failed(why.clone(), "make the project's folder readable"),
        Some(Ok(found)) => found,
    };
    let unguarded: Vec<String> = found
        .iter()
        .filter(|creation| !creation.migrates)
        .map(|creation| format!("{}:{}", creation.file.display(), creation.line))
        .collect();
    if !unguarded.is_empty() {
        return Verdict::warned(
            format!("code creates tenants without a rollback at {}", some(&unguarded)),
            "let that code call `portcullis tenant create`, which creates a complete tenant or nothing",
        );
    }
    match found.len() {
        0 => Verdict::passed("none was found"),
        places => Verdict::passed(format!(
            "{}, through Portcullis or with its own migrate call",
            count(places, "place")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dockerfile: &str) -> Verdict {
        let dockerfile = Some((PathBuf::from("Dockerfile"), dockerfile.to_owned()));
        entrypoint(&Code { apps: None, dockerfile, passthrough: Vec::new(), tenant_creations: None })
    }

    #[test]
    fn the_entrypoint_of_the_last_stage_must_run_the_gate() {
        for good in [
            "FROM a AS b\nENTRYPOINT [\"sh\"]\nFROM c\nENTRYPOINT [\"/portcullis\", \"run\", \"--\"]\n",
            "FROM a\nentrypoint [\"tini\", \"--\", \\\n  # a comment\n  \"/usr/local/bin/portcullis\", \"run\"]\nCMD []",
        ] {
            assert!(matches!(of(good), Verdict::Passed(_)), "{good}: {:?}", of(good));
        }
        for bad in [
            "FROM a\nENTRYPOINT portcullis run --\n",
            "FROM a\nENTRYPOINT [\"gunicorn\", \"app.wsgi\"]\n",
            "FROM a\nENTRYPOINT [\"portcullis\", \"init\", \"--\"]\n",
        ] {
            assert!(matches!(of(bad), Verdict::Failed(..)), "{bad}: {:?}", of(bad));
        }
        assert!(matches!(of("FROM a\nENTRYPOINT [\"portcullis\", \"run\"]\nFROM b\n"), Verdict::Warned(..)));
    }

    #[test]
    fn a_shell_form_cmd_must_not_bypass_the_gate() {
        let of = |command: &str, words: &[&str]| {
            let text = format!("FROM a\nENTRYPOINT [\"portcullis\", \"run\", \"--\"]\nCMD {command}\n");
            entrypoint(&Code {
                apps: None,
                dockerfile: Some((PathBuf::from("Dockerfile"), text)),
                passthrough: words.iter().map(|word| vec![(*word).to_owned()]).collect(),
                tenant_creations: None,
            })
        };
        assert!(matches!(of("gunicorn app.wsgi", &["bash", "sh"]), Verdict::Failed(..)));
        assert!(matches!(of("[\"/bin/sh\", \"-c\", \"gunicorn\"]", &["sh"]), Verdict::Failed(..)));
        assert!(matches!(of("[\"gunicorn\", \"app.wsgi\"]", &["sh"]), Verdict::Passed(..)));
        assert!(matches!(of("gunicorn app.wsgi", &[]), Verdict::Passed(..)));
    }
}
