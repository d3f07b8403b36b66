//! `portcullis init-config`: writes a first configuration from the files of the working directory and, if the
//! environment gives a database, from its ledgers. It overwrites nothing.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    database_variables::{self, has_database},
    declared_server,
};
use crate::{
    actions::detect,
    config::{Config, environment::Environment},
    database::Database,
    failure::{Failure, chain},
    files,
    frameworks::{self, Draft, Framework, draft},
    outcome::{command::ConfigWritten, detect::Detected},
    words::count,
};

/// Files that name the project's variables, or its server.
const FILES: [&str; 10] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    ".env",
    ".env.example",
    ".env.sample",
    "Procfile",
    "Dockerfile",
    "package.json",
];

/// The draft of one file.
pub(crate) struct FileDraft {
    path: PathBuf,
    project: Draft,
    framework: Option<&'static str>,
    /// `[tenants]` and `[migrations]`.
    tenants: Option<String>,
    /// The configuration of the database that the environment gives.
    pub(crate) database: Option<Config>,
}

/// Reads the files of the working directory, to which the paths of a configuration are relative.
pub(crate) fn read(path: &Path, env: &Environment) -> Result<FileDraft, Failure> {
    if files::metadata_now(path).is_ok() {
        let message = format!("{} exists; --config FILE writes another file", path.display());
        return Err(Failure::Usage { message });
    }
    let folder = Path::new(".");
    let (framework, mut project) = frameworks::draft_of(folder);
    let mut declared = None;
    for name in FILES {
        let text = draft::read(&folder.join(name));
        if !text.is_empty() {
            project.found.push(name.to_owned());
            declared = declared.or_else(|| declared_server::command(name, &text));
            project.texts += &text;
        }
    }
    // A declared server is better than the one that the framework suggests.
    project.server = declared.or(project.server);
    let database = database_variables::of_environment(env)?.map(|(name, config)| {
        project.texts += &format!("\n{name}\n");
        config
    });
    let tenants = project.tenants.as_ref().map(ToString::to_string);
    let framework = framework.map(Framework::name);
    Ok(FileDraft { path: path.to_owned(), project, framework, tenants, database })
}

impl FileDraft {
    /// Adds the ledger and the registry of the database. It must be readable if it is `required`.
    pub(crate) async fn add_database(&mut self, required: bool) -> Result<(), Failure> {
        let Some(config) = self.database.as_ref().and_then(|config| config.database.as_ref()) else {
            return Ok(());
        };
        match detect::detect(&Database::new(config, None, ""), config).await {
            Ok(Detected { failure: Some(failure), .. }) | Err(failure) if required => return Err(failure),
            Ok(detected) => self.add(detected),
            Err(failure) => self.project.found.push(format!("no database, because {}", chain(&failure))),
        }
        Ok(())
    }

    fn add(&mut self, detected: Detected) {
        let found = &mut self.project.found;
        let Some(ledger) = detected.ledgers.into_iter().next() else {
            found.push("no known ledger in the database".into());
            return;
        };
        let place = match ledger.schemas.len() {
            0 => "the shared schema".to_owned(),
            schemas => count(schemas, "schema"),
        };
        found.push(format!("{}'s ledger `{}` in {place} of the database", ledger.tool, ledger.table));
        let is_drafted = self.tenants.is_some() && self.framework == Some(ledger.framework);
        let Some(config) = ledger.config.filter(|_| !is_drafted) else { return };
        if !ledger.schemas.is_empty() {
            found.push(match ledger.registry {
                Some(table) => format!("the tenants in the table `{table}`"),
                None => "no table that lists these schemas: correct `registry`".into(),
            });
        }
        self.project.migrate = None;
        (self.framework, self.tenants) = (Some(ledger.framework), Some(config));
    }

    pub(crate) fn write(self) -> Result<ConfigWritten, Failure> {
        let Self { path, project, framework, tenants, .. } = self;
        let text = config(&project, tenants.as_deref());
        files::replace_now(&path, text.as_bytes()).map_err(|error| Failure::Usage {
            message: format!("cannot write {}: {error}", path.display()),
        })?;
        let manifest = framework.filter(|_| tenants.is_some()).and_then(frameworks::make_of);
        Ok(ConfigWritten { path, found: project.found, manifest })
    }
}

/// The text of the configuration.
fn config(project: &Draft, tenants: Option<&str>) -> String {
    let variables = database_variables::of_text(&project.texts);
    let from = match &project.found[..] {
        [] => "no file that it knows".to_owned(),
        found => found.join(", "),
    };
    let mut text = format!(
        "#:schema ./portcullis.schema.json
# Written by `portcullis init-config` from {from}.
# `portcullis check` validates this file, and `portcullis plan` shows what a start does.
# `portcullis schema > portcullis.schema.json` makes editors complete and explain the keys.

# The roles of this image; a step with `when = {{ role = \"web\" }}` runs in these containers only.
roles = [\"web\", \"worker\"]
role = \"${{ROLE:-web}}\"
"
    );
    if tenants.is_some() || project.migrate.is_some() || has_database(&variables) {
        text += &database_variables::table(&variables);
    }
    text += tenants.unwrap_or_default();
    text += &steps(project, tenants, &variables);
    text += "\n[server]\n";
    text += &match &project.server {
        Some(command) => format!("command = {}\n", list(command)),
        None => "# The server; `portcullis run -- ARGV` replaces it.\n# command = [\"my-server\", \"--port\", \"8000\"]\n"
            .to_owned(),
    };
    text + "# These run no step: docker run -it IMAGE sh\npassthrough = [[\"sh\"]]\n"
}

fn steps(project: &Draft, tenants: Option<&str>, variables: &BTreeSet<&str>) -> String {
    let mut steps: Vec<(&str, String)> = Vec::new();
    if tenants.is_some() || project.migrate.is_some() || has_database(variables) {
        steps.push(("database", "wait.database = { timeout = \"2m\" }".into()));
    }
    let named = |end: &str| variables.iter().find(|name| name.ends_with(end));
    if let Some(name) = named("REDIS_URL") {
        steps.push((
            "redis",
            format!("wait.redis = {{ url = \"${{{name}:-redis://localhost}}\", timeout = \"1m\" }}"),
        ));
    }
    if let Some(name) = named("AMQP_URL").or_else(|| named("RABBITMQ_URL")) {
        steps.push((
            "broker",
            format!("wait.amqp = {{ url = \"${{{name}:-amqp://localhost}}\", timeout = \"1m\" }}"),
        ));
    }
    if let Some(tables) = tenants {
        steps.push(("shared schema", "migrate.shared = {}".into()));
        let has_registry = tables.contains("[tenants]");
        if has_registry {
            steps.push(("tenant schemas", "migrate.tenants = {}".into()));
        }
        let gate = if has_registry { "every tenant is complete" } else { "the shared schema is complete" };
        steps.push((gate, "verify = { tenants = \"all\" }".into()));
    }
    if let Some(command) = &project.migrate {
        let command = format!("when = {{ role = \"web\" }}\ncommand = {{ run = {} }}", list(command));
        steps.push(("migrations", command));
    }
    if steps.is_empty() {
        return "
# Steps run in order before the server starts. This one waits for a service:
# [[step]]
# name = \"api\"
# wait.http = { url = \"http://api:8080/health\", timeout = \"1m\" }
"
        .to_owned();
    }
    steps.iter().fold(String::new(), |text, (name, action)| {
        text + &format!("\n[[step]]\nname = \"{name}\"\n{action}\n")
    })
}

fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
}
