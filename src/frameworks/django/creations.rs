//! Finds the places in a Django project's Python code that create tenants.
//!
//! It searches text and does not parse Python: it misses a model behind a variable, `globals()` or another package's
//! function, and it finds words inside strings. A person must check the places.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use crate::{files, frameworks::framework::Creation, ordered::Ordered};

/// Folders without application code or with code that does not run in production.
const EXCLUDED: [&str; 7] =
    ["migrations", "node_modules", "site-packages", "static", "tests", "venv", "__pycache__"];

/// The methods of a model's manager that create a tenant.
const CREATE_METHODS: [&str; 5] = ["create", "get_or_create", "update_or_create", "bulk_create", "acreate"];

/// Every place below the folder. `commands` are the words of the configured commands that create tenants.
pub(super) fn creations(folder: &Path, commands: &[String]) -> Result<Vec<Creation>, String> {
    let mut files = Vec::new();
    python(folder, &mut files)
        .map_err(|error| format!("cannot read the folder `{}`: {error}", folder.display()))?;
    files.sort_unstable();
    let models: BTreeSet<String> = files.iter().flat_map(|(_, text)| models(text)).into_set();
    let mut found = Vec::new();
    for (file, text) in files {
        let called = file.file_stem().is_some_and(|stem| commands.iter().any(|word| stem == word.as_str()));
        let migrates = called || migrates(&text);
        let lines = text.lines().enumerate().filter(|(_, line)| creates(code(line), &models));
        found.extend(lines.map(|(index, _)| Creation { file: file.clone(), line: index + 1, migrates }));
    }
    Ok(found)
}

fn python(folder: &Path, files: &mut Vec<(PathBuf, String)>) -> io::Result<()> {
    for entry in files::list_now(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // Links are not followed: they may lead out of the folder or form a cycle.
        if entry.file_type()?.is_dir() {
            let is_venv = files::metadata_now(&path.join("pyvenv.cfg")).is_ok();
            if !name.starts_with('.') && !is_venv && !EXCLUDED.contains(&name.as_str()) {
                python(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "py") && !is_test(&name) {
            let text = String::from_utf8_lossy(&files::read_now(&path, u64::MAX)?).into_owned();
            files.push((path.strip_prefix(".").map(Path::to_owned).unwrap_or(path), text));
        }
    }
    Ok(())
}

fn is_test(name: &str) -> bool {
    name.starts_with("test") || name.ends_with("_test.py") || name == "conftest.py"
}

/// The tenant models: the classes derived from django-tenants's mixin.
fn models(text: &str) -> Vec<String> {
    let class = |line: &str| {
        let (name, bases) = code(line).trim().strip_prefix("class ")?.split_once('(')?;
        bases.contains("TenantMixin").then(|| name.trim().to_owned())
    };
    text.lines().filter_map(class).collect()
}

fn creates(line: &str, models: &BTreeSet<String>) -> bool {
    if ["call_command(\"create_tenant", "call_command('create_tenant", ".create_schema("]
        .iter()
        .any(|word| line.contains(word))
    {
        return true;
    }
    let by_manager =
        |name: &str| CREATE_METHODS.iter().any(|method| line.contains(&format!("{name}.objects.{method}(")));
    let by_model = |name: &str| {
        let call = format!("{name}(");
        // A class definition is not a call, and a longer name is another class.
        line.match_indices(&call).any(|(at, _)| {
            let before = line.get(..at).unwrap_or_default();
            !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                && !before.trim_start().starts_with("class ")
        })
    };
    by_manager("get_tenant_model()") || models.iter().any(|name| by_manager(name) || by_model(name))
}

/// Whether the file itself runs the migrations: through Portcullis or with the framework's own commands.
fn migrates(text: &str) -> bool {
    let is_code = |line: &&str| !code(line).trim().is_empty();
    let lines: Vec<&str> = text.lines().filter(is_code).map(code).collect();
    let contains_word = |word: &str| lines.iter().any(|line| line.contains(word));
    (contains_word("portcullis") && contains_word("tenant") && contains_word("create"))
        || contains_word("migrate_schemas")
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split('#').next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::*;

    const MODELS: &str = "class Client(TenantMixin):\n    pass\n\nclass Clientele(models.Model):\n    pass\n";

    fn found(views: &str) -> Vec<(usize, bool)> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("customers/models.py", MODELS);
        write("customers/views.py", views);
        write("customers/test_views.py", "Client.objects.create()");
        write("customers/migrations/0001_initial.py", "Client(schema_name='x').save()");
        write("env/pyvenv.cfg", "");
        write("env/customers.py", "Client.objects.create()");
        let found = creations(folder.path(), &["bootstrap".into()]).unwrap();
        found.into_iter().map(|creation| (creation.line, creation.migrates)).collect()
    }

    #[test]
    fn each_way_to_create_a_tenant_is_found() {
        for line in [
            "Client.objects.create(schema_name='x')",
            "tenant, _ = Client.objects.get_or_create(schema_name='x')",
            "tenant = Client(schema_name='x', name='X')",
            "get_tenant_model().objects.create(schema_name='x')",
            "call_command('create_tenant', schema_name='x')",
            "tenant.create_schema(check_if_exists=True)",
        ] {
            assert_eq!(found(&format!("# views\n{line}\n")), [(2, false)], "{line}");
        }
    }

    #[test]
    fn code_that_creates_no_tenant_is_not_reported() {
        for line in
            ["Clientele(name='x')", "# Client.objects.create()", "Client.objects.filter(x=1)", "MyClient()"]
        {
            assert!(found(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn a_file_that_calls_portcullis_or_migrates_counts_as_migrating() {
        let call = "subprocess.run(['portcullis', 'tenant', 'create', name])\nClient(schema_name=name)\n";
        assert_eq!(found(call), [(2, true)]);
        assert_eq!(found("Client(schema_name=n).save()\ncall_command('migrate_schemas')\n"), [(1, true)]);
        assert_eq!(found("# portcullis tenant create\nClient(schema_name=n)\n"), [(2, false)]);
    }
}
