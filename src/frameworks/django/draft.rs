//! The draft of a configuration from a Django project's files; it runs no Python.

use std::path::Path;

use crate::frameworks::draft::{Draft, TenantsDraft, folders, names, read};

/// Folders without settings.
const SKIPPED: [&str; 4] = ["migrations", "tests", "static", "templates"];
/// The depth at which settings are searched.
const DEPTH: usize = 3;

pub(super) fn draft(folder: &Path) -> Option<Draft> {
    read(&folder.join("manage.py")).contains("execute_from_command_line").then_some(())?;
    let mut draft = Draft { found: vec!["manage.py".into()], ..Draft::default() };
    let mut settings = Vec::new();
    collect(folder, "", DEPTH, &mut settings);
    for (file, text) in settings {
        if let Some(model) = setting(&text, "TENANT_MODEL") {
            draft.found.push(format!("TENANT_MODEL in {file}"));
            draft.tenants = Some(TenantsDraft {
                migrations: "framework = \"django\"\nmanage = \"manage.py\"\n".into(),
                // The default name of a model's table.
                table: model.replacen('.', "_", 1).to_lowercase(),
                schema_column: "schema_name".into(),
                condition: Some("schema_name <> 'public'"),
            });
        }
        if let Some(application) = setting(&text, "WSGI_APPLICATION") {
            draft.found.push(format!("WSGI_APPLICATION in {file}"));
            let module = application.rsplit_once('.').map_or(&*application, |(module, _)| module);
            draft.server = Some(words(&["gunicorn", module, "--bind", "0.0.0.0:${PORT:-8000}"]));
        } else if let Some(application) = setting(&text, "ASGI_APPLICATION") {
            draft.found.push(format!("ASGI_APPLICATION in {file}"));
            let application = application
                .rsplit_once('.')
                .map_or(application.clone(), |(module, name)| format!("{module}:{name}"));
            draft.server =
                Some(words(&["uvicorn", &application, "--host", "0.0.0.0", "--port", "${PORT:-8000}"]));
        }
        draft.texts += &text;
    }
    if draft.tenants.is_none() {
        draft.migrate = Some(words(&["python", "manage.py", "migrate", "--noinput"]));
    }
    Some(draft)
}

fn words(command: &[&str]) -> Vec<String> {
    command.iter().copied().map(str::to_owned).collect()
}

/// The settings below a folder: `settings.py`, and every module of a folder `settings`.
fn collect(folder: &Path, prefix: &str, depth: usize, settings: &mut Vec<(String, String)>) {
    for name in names(folder) {
        let path = folder.join(&name);
        let is_python = path.extension().is_some_and(|extension| extension == "py");
        if is_python && (name.starts_with("settings") || prefix.ends_with("settings/")) {
            settings.push((format!("{prefix}{name}"), read(&path)));
        }
    }
    for name in folders(folder).into_iter().filter(|name| depth > 0 && !SKIPPED.contains(&&**name)) {
        collect(&folder.join(&name), &format!("{prefix}{name}/"), depth - 1, settings);
    }
}

/// The text that a line assigns to the setting.
fn setting(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let value = value[1..].split(quote).next()?;
        let is_path = value
            .split('.')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'));
        is_path.then(|| value.to_owned())
    })
}
