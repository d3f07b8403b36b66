//! `portcullis init-config`: writes a first configuration from the files of the folder. It overwrites nothing.

use std::{collections::BTreeSet, path::Path};

use crate::{
    failure::Failure,
    files,
    frameworks::{self, Draft, TenantsDraft, draft},
    outcome::command::ConfigWritten,
};

/// Files that name the project's variables.
const VARIABLES: [&str; 9] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    ".env",
    ".env.example",
    ".env.sample",
    "Procfile",
    "Dockerfile",
];
/// The variables of a database that is given in parts: the prefix, and the ends of host, port, name, user, password.
const PARTS: [(&str, [&str; 5]); 4] = [
    ("DB_", ["HOST", "PORT", "NAME", "USER", "PASSWORD"]),
    ("POSTGRES_", ["HOST", "PORT", "DB", "USER", "PASSWORD"]),
    ("DATABASE_", ["HOST", "PORT", "NAME", "USER", "PASSWORD"]),
    ("PG", ["HOST", "PORT", "DATABASE", "USER", "PASSWORD"]),
];

pub(crate) fn run(path: &Path) -> Result<ConfigWritten, Failure> {
    if files::metadata_now(path).is_ok() {
        let message = format!("{} exists; --config FILE writes another file", path.display());
        return Err(Failure::Usage { message });
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (framework, mut project) = frameworks::draft_of(folder);
    for name in VARIABLES {
        let text = draft::read(&folder.join(name));
        if !text.is_empty() {
            project.found.push(name.to_owned());
            project.server = project.server.or_else(|| procfile(name, &text));
            project.texts += &text;
        }
    }
    project.server = project.server.or_else(|| package_json(folder, &mut project.found));
    let text = config(&project);
    let written = files::replace_now(path, text.as_bytes());
    written
        .map_err(|error| Failure::Usage { message: format!("cannot write {}: {error}", path.display()) })?;
    let manifest = framework.filter(|_| project.tenants.is_some()).map(frameworks::Framework::make);
    Ok(ConfigWritten { path: path.to_owned(), found: project.found, manifest })
}

/// The command of the process `web`.
fn procfile(name: &str, text: &str) -> Option<Vec<String>> {
    let line = text.lines().find_map(|line| line.strip_prefix("web:")).filter(|_| name == "Procfile")?;
    // A shell would replace variables and quotes.
    let is_plain = !line.contains(['$', '"', '\'', '&', '|', ';', '\\']);
    is_plain.then(|| line.split_whitespace().map(str::to_owned).collect())
}

/// `npm start`, if the package has that script.
fn package_json(folder: &Path, found: &mut Vec<String>) -> Option<Vec<String>> {
    let package: serde_json::Value = serde_json::from_str(&draft::read(&folder.join("package.json"))).ok()?;
    package["scripts"]["start"].as_str()?;
    found.push("package.json".into());
    Some(vec!["npm".into(), "start".into()])
}

/// The text of the configuration.
fn config(project: &Draft) -> String {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let variables: BTreeSet<&str> = project.texts.split(|c: char| !is_part(c)).collect();
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
    if project.tenants.is_some() || project.migrate.is_some() || has_database(&variables) {
        text += &database(&variables);
    }
    if let Some(tenants) = &project.tenants {
        text += &of_tenants(tenants);
    }
    text += &steps(project, &variables);
    text += "\n[server]\n";
    text += &match &project.server {
        Some(command) => format!("command = {}\n", list(command)),
        None => "# The server; `portcullis run -- ARGV` replaces it.\n# command = [\"my-server\", \"--port\", \"8000\"]\n"
            .to_owned(),
    };
    text + "# These run no step: docker run -it IMAGE sh\npassthrough = [[\"sh\"]]\n"
}

fn has_database(variables: &BTreeSet<&str>) -> bool {
    variables.contains("DATABASE_URL") || parts(variables).is_some()
}

fn parts<'p>(variables: &BTreeSet<&str>) -> Option<&'p (&'static str, [&'static str; 5])> {
    PARTS.iter().find(|(prefix, ends)| variables.contains(&*format!("{prefix}{}", ends[0])))
}

fn database(variables: &BTreeSet<&str>) -> String {
    let mut text = "\n[database]\n# The defaults are for a database on this machine. `${NAME:?}` makes a missing variable an error.\n"
        .to_owned();
    match parts(variables).filter(|_| !variables.contains("DATABASE_URL")) {
        None => text += "url = \"${DATABASE_URL:-postgres://postgres@localhost/postgres}\"\n",
        Some((prefix, ends)) => {
            let defaults = ["localhost", "5432", "postgres", "postgres", ""];
            for ((key, end), default) in
                ["host", "port", "name", "user", "password"].iter().zip(ends).zip(defaults)
            {
                text += &format!("{key} = \"${{{prefix}{end}:-{default}}}\"\n");
            }
            text += "# A password in a file: password = { file = \"/run/secrets/db_password\" }\n";
        }
    }
    text
}

fn of_tenants(tenants: &TenantsDraft) -> String {
    let TenantsDraft { migrations, table, schema_column, condition } = tenants;
    let condition = condition.map(|condition| format!(", where = \"{condition}\"")).unwrap_or_default();
    format!(
        "
[tenants]
# The table with a row for each tenant, and the column with the name of its schema.
# Add `min_rows = 1` once the first tenant exists: an empty table then blocks the start.
registry = {{ table = \"{table}\", schema_column = \"{schema_column}\"{condition} }}

[migrations]
{migrations}# Lists what the code expects. Write it when the image is built.
manifest = {{ file = \"portcullis.manifest.json\" }}
"
    )
}

fn steps(project: &Draft, variables: &BTreeSet<&str>) -> String {
    let mut steps: Vec<(&str, String)> = Vec::new();
    if project.tenants.is_some() || project.migrate.is_some() || has_database(variables) {
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
    if project.tenants.is_some() {
        steps.push(("shared schema", "migrate.shared = {}".into()));
        steps.push(("tenant schemas", "migrate.tenants = {}".into()));
        steps.push(("every tenant is complete", "verify = { tenants = \"all\" }".into()));
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
