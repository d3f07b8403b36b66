//! A program runs with the configured user, groups and capabilities, and Portcullis keeps its own.

use std::os::unix::fs::PermissionsExt;

use super::namespace::{script, stdout};
use assert_cmd::assert::{Assert, OutputAssertExt};

/// Prints the user, the groups, HOME, and the capability sets of the shell.
const SHOW: &str = "echo $(id -u) $(id -g) $(id -G) $HOME $(sed -n 's/^Cap\\(Eff\\|Bnd\\|Amb\\):\\s*0*/\\1=/p; s/^NoNewPrivs:\\s*/NNP=/p' /proc/self/status)";
const AS_DAEMON: &str =
    "setpriv --reuid 1 --regid 1 --clear-groups --inh-caps=-all --bounding-set=-all $PORTCULLIS";

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o644)).unwrap();
    file
}

/// Runs a command of `portcullis`, for which `around` contains `PORTCULLIS`, as PID 1.
fn command(around: &str, arguments: &str, configuration: &str) -> Assert {
    let file = file(configuration);
    script(&format!("{} {} --config {}", around, arguments, file.path().display())).assert()
}

/// A text without the line breaks of a box.
fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn start(configuration: &str) -> Assert {
    command("exec $PORTCULLIS", "run", configuration)
}

fn server(keys: &str) -> String {
    format!("[server]\ncommand = [\"sh\", \"-c\", '''{SHOW}''']\n{keys}\n")
}

fn step(keys: &str) -> String {
    format!("[[step]]\nname = \"show\"\ncommand = {{ run = [\"sh\", \"-c\", '''{SHOW}'''], {keys} }}\n")
}

/// The keys, and what the program shows.
const SHOWN: [(&str, &str); 5] = [
    ("user = \"daemon\"", "1 1 1 /usr/sbin Eff= "),
    ("user = \"1\", group = \"games\"", "1 60 60 /usr/sbin Eff= "),
    ("user = \"64501\", group = \"64502\"", "64501 64502 64502 / Eff= "),
    (
        "user = \"daemon\", capabilities = [\"NET_BIND_SERVICE\", \"CHOWN\"]",
        "1 1 1 /usr/sbin Eff=401 Bnd=401 Amb=401 NNP=0",
    ),
    ("capabilities = [], no_new_privileges = true", "0 0 0 /root Eff= Bnd= Amb= NNP=1"),
];

#[test]
fn a_server_has_the_configured_user_and_capabilities() {
    for (keys, shown) in SHOWN {
        for mode in ["exec", "supervise"] {
            let keys = format!(
                "{}\nmode = \"{mode}\"",
                keys.replace(", ", "\n").replace("\"\n\"CHOWN", "\", \"CHOWN")
            );
            let ran = command("HOME=/root exec $PORTCULLIS", "run", &server(&keys)).code(0);
            assert!(stdout(&ran).contains(shown), "{keys}: {}", stdout(&ran));
        }
    }
}

#[test]
fn a_step_has_the_configured_user_and_capabilities_and_the_next_one_does_not() {
    for (keys, shown) in SHOWN {
        let both = format!("{}\n{}", step(keys), step("").replace("show\"", "next\""));
        let ran = command("HOME=/root exec $PORTCULLIS", "run", &both).code(0);
        let errors = String::from_utf8_lossy(&ran.get_output().stderr).into_owned();
        let all = stdout(&ran) + &errors;
        assert!(all.contains(shown), "{keys}: {all}");
        assert!(
            all.lines().any(|line| line.contains("0 0 0 /root Eff=") && !line.contains("Eff= ")),
            "{keys}: {all}"
        );
    }
}

#[test]
fn a_supervised_server_of_another_user_receives_term() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let up = folder.path().join("up");
    let server = format!(
        "[server]\nmode = \"supervise\"\nuser = \"daemon\"\ncommand = [\"bash\", \"-c\", '''trap 'exit 3' TERM; touch {}; while :; do sleep 0.01; done''']",
        up.display()
    );
    let file = file(&server);
    let around = format!(
        "$PORTCULLIS run --config {} & until [ -e {} ]; do sleep 0.01; done; kill -TERM $!; wait $!; echo code $?",
        file.path().display(),
        up.display()
    );
    let ran = script(&around).assert();
    assert!(stdout(&ran).contains("code 3"), "{}", stdout(&ran));
}

#[test]
fn an_unknown_user_stops_the_start_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("ran");
    let first = format!("[[step]]\nname = \"first\"\ncommand.run = [\"touch\", \"{}\"]\n", marker.display());
    let unknown = "the user `ap` is not in /etc/passwd";
    for (keys, why) in [
        ("user = \"ap\"", unknown),
        ("group = \"ap\"", "the group `ap` is not in /etc/group"),
        ("user = \"64501\"", "set `group`"),
    ] {
        let ran = start(&format!("{}{first}", server(keys))).code(78);
        let errors = one_line(&ran.get_output().stderr);
        assert!(errors.contains(why) && errors.contains("privileges-unavailable"), "{keys}: {errors}");
        assert!(!marker.exists(), "{keys}");
    }
    let configuration = format!("{}{first}", server("user = \"ap\""));
    for arguments in ["check", "plan", "doctor"] {
        let ran = command("$PORTCULLIS", arguments, &configuration);
        let output = ran.get_output();
        let all = one_line(&output.stdout) + &one_line(&output.stderr);
        assert!(all.contains(unknown), "{arguments}: {all}");
    }
    let failed = start(&step("user = \"ap\"")).code(79);
    assert!(one_line(&failed.get_output().stderr).contains(unknown));
}

#[test]
fn a_container_without_root_keeps_its_user_and_cannot_take_another() {
    let run = format!("exec {AS_DAEMON}");
    for keys in ["user = \"daemon\"", "user = \"1\", group = \"1\"", "capabilities = []"] {
        let both = format!("{}{}", server(&keys.replace(", ", "\n")), step(keys));
        let ran = command(&run, "run", &both).code(0);
        let errors = String::from_utf8_lossy(&ran.get_output().stderr).into_owned();
        for (program, shown) in [("server", stdout(&ran)), ("step", errors)] {
            assert!(shown.contains("1 1 1 "), "{program}, {keys}: {shown}");
        }
    }
    let bounded = command(&run, "run", &server("capabilities = []")).code(0);
    assert!(stdout(&bounded).contains("NNP=1"), "{}", stdout(&bounded));
    for (keys, why) in [
        ("user = \"games\"", "the change to uid 5 and gid 60 needs the capabilities KILL, SETGID, SETUID"),
        ("capabilities = [\"NET_ADMIN\"]", "does not have the capabilities NET_ADMIN"),
    ] {
        let ran = command(&run, "run", &server(keys)).code(78);
        let errors = one_line(&ran.get_output().stderr);
        assert!(errors.contains(why), "{keys}: {errors}");
        let ran = command(&run, "run", &step(keys)).code(79);
        let errors = one_line(&ran.get_output().stderr);
        assert!(errors.contains(why), "step, {keys}: {errors}");
    }
    // Without a server, nothing changes its user.
    command(&run, "run --no-server", &server("user = \"games\"")).code(0);
}

#[test]
fn an_unknown_capability_is_an_error_with_a_suggestion() {
    let ran =
        command("exec $PORTCULLIS", "check", &server("capabilities = [\"CAP_NET_BIND_SERVIC\"]")).code(78);
    let errors = String::from_utf8_lossy(&ran.get_output().stderr).into_owned();
    assert!(errors.contains("did you mean `NET_BIND_SERVICE`?"), "{errors}");
}
