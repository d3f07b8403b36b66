//! The server's command that the files of a project declare: a Dockerfile, a Procfile, a package.json.

use std::path::Path;

/// Programs that only start another one, as an entrypoint.
const INITS: [&str; 4] = ["tini", "dumb-init", "catatonit", "portcullis"];

/// The command that a file declares; None if it declares none, or if only a shell can run it.
pub(super) fn command(file: &str, text: &str) -> Option<Vec<String>> {
    match file {
        "Procfile" => shell(text.lines().find_map(|line| line.strip_prefix("web:"))?),
        "Dockerfile" => dockerfile(text),
        "package.json" => {
            let package: serde_json::Value = serde_json::from_str(text).ok()?;
            package["scripts"]["start"].as_str()?;
            Some(vec!["npm".into(), "start".into()])
        }
        _ => None,
    }
}

/// CMD, as the arguments of ENTRYPOINT unless that is a script or an init, which Portcullis replaces.
fn dockerfile(text: &str) -> Option<Vec<String>> {
    let text = text.replace("\\\n", " ");
    // The last stage is the image.
    let stage = text.rfind("\nFROM ").map_or(&*text, |at| &text[at..]);
    let last = |instruction: &str| {
        let mut lines = stage.lines().rev();
        lines.find_map(|line| line.trim().strip_prefix(instruction)?.strip_prefix([' ', '\t']))
    };
    let mut words = Vec::new();
    if let Some(entrypoint) = last("ENTRYPOINT") {
        words = instruction(entrypoint)?;
        let program = words.first().map_or("", |word| file_name(word));
        if INITS.contains(&program)
            || words.iter().any(|word| Path::new(word).extension().is_some_and(|end| end == "sh"))
        {
            words.clear();
        }
    }
    if let Some(cmd) = last("CMD") {
        words.extend(instruction(cmd)?);
    }
    (!words.is_empty()).then_some(words)
}

/// The exec form, or the shell form.
fn instruction(text: &str) -> Option<Vec<String>> {
    let Ok(words) = serde_json::from_str::<Vec<String>>(text.trim()) else { return shell(text) };
    match &words[..] {
        [program, option, script] if file_name(program).ends_with("sh") && option == "-c" => shell(script),
        words => words.iter().all(|word| !word.contains(['$', '"', '\\', '\n'])).then(|| words.to_vec()),
    }
}

/// The last command of a shell's line, without commands before it: the steps replace them.
fn shell(line: &str) -> Option<Vec<String>> {
    let line = line.rsplit_once("&&").map_or(line, |(_, last)| last).trim();
    let line = line.strip_prefix("exec ").unwrap_or(line);
    // A shell would replace variables and quotes.
    let is_plain =
        !line.is_empty() && !line.contains(['$', '"', '\'', '&', '|', ';', '\\', '`', '<', '>', '(']);
    is_plain.then(|| line.split_whitespace().map(str::to_owned).collect())
}

fn file_name(program: &str) -> &str {
    Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_a_dockerfile_is_its_server() {
        for (text, server) in [
            ("FROM a\nCMD [\"gunicorn\", \"app.wsgi\"]\n", "gunicorn app.wsgi"),
            ("CMD gunicorn app.wsgi", "gunicorn app.wsgi"),
            ("CMD [\"sh\", \"-c\", \"./migrate && exec uvicorn a:b --port 80\"]", "uvicorn a:b --port 80"),
            ("ENTRYPOINT [\"python\", \"app.py\"]\nCMD [\"--port\", \"80\"]", "python app.py --port 80"),
            (
                "ENTRYPOINT [\"/docker-entrypoint.sh\"]\nCMD [\"nginx\", \"-g\", \"daemon off;\"]",
                "nginx -g daemon off;",
            ),
            ("ENTRYPOINT [\"/usr/bin/tini\", \"--\"]\nCMD [\"node\", \".\"]", "node ."),
            ("ENTRYPOINT [\"./server\"]", "./server"),
            ("CMD [\"old\"]\nCMD gunicorn \\\n    app.wsgi", "gunicorn app.wsgi"),
            ("FROM a AS build\nCMD [\"make\"]\nFROM b\nENTRYPOINT [\"./server\"]", "./server"),
        ] {
            assert_eq!(command("Dockerfile", text).unwrap_or_default().join(" "), server, "{text}");
        }
    }

    #[test]
    fn a_command_that_needs_a_shell_is_left_to_the_reader() {
        for text in [
            "",
            "FROM a\nRUN make\n",
            "CMD gunicorn --bind $HOST",
            "CMD gunicorn | tee log",
            "CMD [\"gunicorn\", \"${HOST}\"]",
            "CMD [\"sh\", \"-c\", \"gunicorn 'a b'\"]",
            "CMD []",
            "ENTRYPOINT [\"/entrypoint.sh\"]",
            "FROM a AS build\nCMD [\"make\"]\nFROM b\n",
        ] {
            assert_eq!(command("Dockerfile", text), None, "{text}");
        }
    }
}
