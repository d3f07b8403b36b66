//! The output, and that no result depends on its being read.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::fd::{AsRawFd, OwnedFd},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{
    portcullis::Portcullis,
    sample::{Engine, Sample},
    time_limits::{until_true, was_prompt},
};

/// Valid, with a warning: nothing verifies every tenant.
const WARNED: &str = "[database]\nurl = \"sqlite://var\"\n[tenants]\nregistry = { table = \"tenants\", \
                      schema_column = \"schema_name\" }\n[server]\ncommand = [\"true\"]\n";

#[test]
fn a_full_standard_error_changes_no_exit_code() {
    let warned = Portcullis::new().config(WARNED);
    assert_eq!(with_full_error(&warned, &["run"]), Some(0));
    let sample = Sample::complete_on(Engine::Sqlite);
    sample.drop_schema("acme");
    for command in ["verify", "migrate"] {
        assert_eq!(with_full_error(&sample.portcullis, &[command]), Some(1), "{command}");
    }
}

#[test]
fn a_warning_ends_with_its_line() {
    let portcullis = Portcullis::new().config(WARNED);
    let printed = portcullis.run(["check"]).exits(0).stdout;
    assert!(printed.lines().any(|line| line == "config.toml: valid, 0 steps"), "{printed}");
    let step = "\n[[step]]\nname = \"a\"\ncommand = { run = [\"true\"] }\n";
    let printed = portcullis.config(&(WARNED.to_owned() + step)).run(["run"]).exits(0).stderr;
    assert!(printed.lines().any(|line| line.starts_with("portcullis: version")), "{printed}");
}

#[test]
fn without_a_server_no_start_is_reported() {
    let config =
        "[[step]]\nname = \"a\"\ncommand = { run = [\"true\"] }\n[server]\ncommand = [\"sleep\", \"60\"]\n";
    Portcullis::new().config(config).run(["run", "--no-server"]).exits(0).prints_not("starting");
}

#[test]
fn diagnostics_show_no_argument_of_a_step() {
    let config = "[[step]]\nname = \"a\"\ncommand = { run = [\"true\", \"${TOKEN}\"] }\n[server]\ncommand = [\"true\"]\n";
    let portcullis = Portcullis::new().config(config).env("TOKEN", "hunter2");
    portcullis.env("PORTCULLIS_LOG", "trace").run(["run"]).exits(0).prints_not("hunter2");
}

#[test]
fn an_argv_that_passes_through_is_reported() {
    let config = "[server]\ncommand = [\"false\"]\npassthrough = [[\"sh\"]]\n";
    let outcome = Portcullis::new().config(config).run(["run", "--", "sh", "-c", "echo alone"]).exits(0);
    assert_eq!(outcome.stdout, "alone\n");
    outcome.prints("no step runs and nothing is proved");
}

#[test]
fn an_invalid_configuration_lets_a_shell_pass_through() {
    let good =
        "[server]\ncommand = [\"false\"]\npassthrough = [[\"sh\"], [\"python\", \"manage.py\", \"shell\"]]\n";
    let shell = ["run", "--", "sh", "-c", "echo alone"];
    for wrong in ["rol = 1\n", "role = \"${UNSET:?}\"\n", "[tenants]\n"] {
        let config = if wrong.starts_with('[') { format!("{good}{wrong}") } else { format!("{wrong}{good}") };
        let portcullis = Portcullis::new().config(&config);
        let outcome =
            portcullis.run(shell).exits(0).prints("no step runs and nothing is proved").prints("1 problem");
        assert_eq!(outcome.stdout, "alone\n", "{config}");
        portcullis.run(["run", "--", "echo", "served"]).exits(78).prints_not("served\n");
        portcullis.run(["run"]).exits(78);
    }
}

#[test]
fn an_unreadable_pass_through_list_lets_no_program_through() {
    for doubtful in [
        "passthrough = [[\"sh\"], []]",
        "passthrough = [[\"sh\"], [\"${UNSET:?}\"]]",
        "passthrough = [[\"sh\"]]\npassthrough = [[\"bash\"]]",
        "passthrough = [[\"sh\"], [\"bash\"",
        "passthrough = \"sh\"",
    ] {
        let portcullis = Portcullis::new().config(&format!("rol = 1\n[server]\n{doubtful}\n"));
        portcullis.run(["run", "--", "sh", "-c", "echo alone"]).exits(78).prints_not("alone\n");
    }
}

/// An unread pipe of one page simulates a blocked terminal.
fn unread() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4_096)).unwrap();
    (reader, writer)
}

#[test]
fn a_blocked_terminal_does_not_prevent_a_command_from_ending() {
    // More problems than fit into the pipe.
    let config = (0..200).map(|number| format!("unknown_{number} = 1\n")).collect::<Vec<_>>().concat();
    let portcullis = Portcullis::new().config(&config);
    let (reader, writer) = unread();
    let mut child = command(&portcullis, &["check"]).stderr(writer).spawn().unwrap();
    // A write to the full pipe blocks without a reader.
    until_true("a full pipe", || {
        let mut written: libc::c_int = 0;
        // SAFETY: the call writes one number.
        unsafe { libc::ioctl(reader.as_raw_fd(), libc::FIONREAD, &raw mut written) };
        written >= 4_096
    });
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn unread_diagnostics_do_not_block_the_start() {
    let steps = (0..60)
        .map(|number| {
            format!("[[step]]\nname = \"step {number}\"\nafter = \"start\"\ncommand.run = [\"true\"]\n")
        })
        .collect::<Vec<_>>()
        .concat();
    let config = format!("{steps}[server]\ncommand = [\"touch\", \"reached\"]\n");
    let portcullis = Portcullis::new().config(&config);
    let (_reader, writer) = unread();
    let mut child =
        command(&portcullis, &["run"]).env("PORTCULLIS_LOG", "trace").stderr(writer).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(portcullis.path("reached").exists());
}

#[test]
fn a_slow_reader_gets_the_complete_box_and_the_right_exit_code() {
    let config =
        "[[step]]\nname = \"talk\"\ncommand.run = [\"sh\", \"-c\", \"seq -f 'line %.0f' 200000; exit 3\"]\n";
    let portcullis = Portcullis::new().config(config);
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut child = command(&portcullis, &["run"]).stderr(writer).spawn().unwrap();
    let (mut reader, mut log, mut piece) = (File::from(reader), String::new(), [0; 4_096]);
    // The reader takes 200 kB per second.
    while let Ok(length @ 1..) = reader.read(&mut piece) {
        log += std::str::from_utf8(&piece[..length]).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(79));
    let rule = "=".repeat(80);
    assert_eq!(log.matches(&rule).count(), 3, "{}", &log[log.len() - 2_000..]);
    assert!(log.trim_end().ends_with(&rule) && log.contains("`sh` exited with 3"));
    assert!(log.contains(" lines dropped"), "none was counted");
}

#[test]
fn output_beyond_the_limit_is_dropped_and_counted_and_the_last_lines_are_kept() {
    let numbers = 100_000;
    let script = format!("seq -f '%.0f{}' {numbers}; exit 3", " and so on".repeat(40));
    let config = format!("[[step]]\nname = \"talk\"\ncommand.run = [\"sh\", \"-c\", \"{script}\"]\n");
    let failed = Portcullis::new().config(&config).run(["run"]).exits(79);
    let warning = "[1/1] talk: warning: `sh` printed faster than its output can be logged: ";
    let dropped = failed.stderr.lines().find_map(|line| line.strip_prefix(warning)).unwrap();
    let dropped: usize = dropped.strip_suffix(" lines dropped").unwrap().parse().unwrap();
    let shown: Vec<_> = failed.stderr.lines().filter(|line| line.starts_with("[1/1] talk: | ")).collect();
    assert!(shown[0].starts_with("[1/1] talk: | 1 and"), "{}", shown[0]);
    let last = shown[shown.len() - 1];
    assert!(last.starts_with(&format!("[1/1] talk: | {numbers} and")), "{last}");
    let unread = failed.stderr.lines().filter_map(|line| {
        line.strip_prefix("portcullis: ")?.strip_suffix(" lines dropped: the log was not read in time")
    });
    let unread: usize = unread.map(|lines| lines.parse::<usize>().unwrap()).sum();
    assert_eq!(shown.len() + dropped + unread, numbers, "{dropped} dropped, {unread} not read");
}

#[test]
fn a_blocked_reader_does_not_prevent_the_end_of_the_start() {
    let config = "[[step]]\nname = \"talk\"\ncommand.run = [\"sh\", \"-c\", \"seq 60000; exit 3\"]\n";
    let portcullis = Portcullis::new().config(config);
    let (_reader, writer) = unread();
    let started = Instant::now();
    let mut child = command(&portcullis, &["run"]).stderr(writer).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(79));
    was_prompt(started);
}

#[test]
fn control_characters_are_escaped_and_colours_of_children_are_removed() {
    let script =
        r"printf 'a\033[31mred\033[0m \033]0;title\007 \302\2332J \342\200\256rtl \010\rover\n'; exit 3";
    let config = format!("[[step]]\nname = \"talk\"\ncommand.run = [\"sh\", \"-c\", '''{script}''']\n")
        .replace("printf 'a", "printf \"a")
        .replace("over\\n'", "over\\n\"");
    let portcullis = Portcullis::new().config(&config).env("PORTCULLIS_TERMINATION_LOG", "termination");
    let shown = r"ared \x1b]0;title\x07 \x9b2J \u{202e}rtl \x08\rover";
    let text = portcullis.run(["run", "--color", "always"]).exits(79);
    assert_eq!(text.stderr.matches(shown).count(), 2, "{text}");
    let json = portcullis.run(["run", "--log-format", "json"]).exits(79);
    for line in json.stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    let termination = std::fs::read_to_string(portcullis.path("termination")).unwrap();
    // Portcullis' own colours start with ESC [ and end with m.
    let own = regex_lite::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    for written in [own.replace_all(&text.stderr, "").into_owned(), json.stderr, termination] {
        let raw = |c: char| c != '\n' && c.is_control() || matches!(c, '\u{202a}'..='\u{202e}');
        assert!(!written.contains(raw), "{written:?}");
    }
}

#[test]
fn a_tenants_name_cannot_forge_a_line() {
    let name = "acme\nportcullis: ready after 1 ms; starting gunicorn\n::error::forged\u{1b}[31m\u{202e}";
    let sample = Sample::complete_on(Engine::Postgres);
    sample.execute(None, &format!("INSERT INTO tenants (schema_name) VALUES ('{name}')"));
    let portcullis = sample.portcullis.env("GITHUB_ACTIONS", "true");
    for outcome in [
        portcullis.run(["run"]),
        portcullis.run(["verify"]),
        portcullis.run(["verify", "--format", "github"]),
        portcullis.run(["verify", "--format", "junit"]),
        portcullis.run(["tenant", "list"]),
        portcullis.run(["doctor"]),
        portcullis.run(["migrate", "--dry-run"]),
        portcullis.run(["repair", name]),
        portcullis.run(["tenant", "show", name]),
        portcullis.run(["history"]),
    ] {
        for written in [&outcome.stdout, &outcome.stderr] {
            let begins = |line: &str| line.starts_with("portcullis: ready") || line.starts_with("::error::");
            let forged = written.lines().any(begins) || written.contains(['\u{1b}', '\u{202e}']);
            assert!(!forged, "{outcome}");
        }
    }
}

#[test]
fn only_the_output_module_writes_to_the_streams() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs")
                && !path.ends_with("report/streams.rs")
                // A fixed sentence, from the handler of a signal.
                && !path.ends_with("process/exit_handler.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                for call in [
                    "io::stdout(",
                    "io::stderr(",
                    "print!(",
                    "println!",
                    "dbg!",
                    "unistd::write",
                    "libc::write",
                    "/dev/stderr",
                    "/dev/stdout",
                ] {
                    let found =
                        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(call));
                    assert!(!found, "{}: {call}", path.display());
                }
            }
        }
    }
}

fn command(portcullis: &Portcullis, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).current_dir(portcullis.folder()).env_remove("DATABASE_URL");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn with_full_error(portcullis: &Portcullis, arguments: &[&str]) -> Option<i32> {
    let full: File = OpenOptions::new().write(true).open("/dev/full").unwrap();
    command(portcullis, arguments).stderr(full).status().unwrap().code()
}
