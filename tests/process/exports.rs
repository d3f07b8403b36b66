//! Variables that a step exports, and `portcullis exec`.

use assert_cmd::assert::{Assert, OutputAssertExt};

use super::namespace::{script, stdout};

/// Steps with a name, options and a bash script, one after the other.
fn configuration(steps: &[(&str, &str, &str)], rest: &str) -> tempfile::NamedTempFile {
    let step = |(name, options, script): &(&str, &str, &str)| {
        format!("[[step]]\nname = \"{name}\"\n{options}\ncommand.run = [\"bash\", \"-c\", '''{script}''']\n")
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), steps.iter().map(step).collect::<String>() + rest).unwrap();
    file
}

/// Runs the steps and then the server, a bash script, as PID 1 with `before` in front.
fn run_behind(before: &str, steps: &[(&str, &str, &str)], rest: &str, server: &str) -> Assert {
    let file = configuration(steps, rest);
    let server = server.replace('\'', r"'\''");
    let path = file.path().display();
    script(&format!("exec {before} $PORTCULLIS run --config {path} -- bash -c '{server}'")).assert()
}

fn run(steps: &[(&str, &str, &str)], server: &str) -> Assert {
    run_behind("", steps, "", server)
}

/// Without line breaks, which a box inserts.
fn stderr(ran: &Assert) -> String {
    let text = String::from_utf8(ran.get_output().stderr.clone()).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const EXPORTS: &str = "command.exports = true";

#[test]
fn later_steps_and_the_server_get_the_exported_variables() {
    let ran = run(
        &[
            (
                "vault",
                EXPORTS,
                "echo 'A = \"first-value\"\nB = \"second-value\"' >&3; echo 'C = \"\"\"x\ny\"\"\"' > /dev/fd/3",
            ),
            (
                "next",
                "command.exports = true\ncommand.env.B = \"own\"",
                "echo \"next: $A $B\"; echo 'A = \"third-value\"' >&3",
            ),
        ],
        "echo \"server: $A $B ${C//$'\\n'/+}\"; [ -e /proc/$$/fd/3 ] && echo open",
    );
    let ran = ran.code(1);
    assert_eq!(stdout(&ran), "server: third-value second-value x+y\n");
    let log = stderr(&ran);
    assert!(log.contains("exited with 0; exported `A`, `B`, `C`"), "{log}");
    // The values are masked in the output of a step, and not in its environment.
    assert!(log.contains("next: ******** own"), "{log}");
}

#[test]
fn a_step_gets_the_variables_of_the_steps_that_it_waits_for_and_of_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done").display().to_string();
    let ran = run(
        &[
            ("vault", EXPORTS, "echo 'A = \"exported\"' >&3"),
            ("waits", "after = [\"vault\"]", &format!("touch {done}")),
            ("indirect", "after = [\"waits\"]", "echo \"indirect $${A:+set}\""),
            // Its second attempt starts after the export.
            (
                "parallel",
                "after = \"start\"\ncommand.retries = 100\ncommand.backoff = \"50ms\"",
                &format!("[ -e {done} ] && echo \"parallel $${{A-unset}}\""),
            ),
        ],
        "true",
    );
    let log = stderr(&ran.code(0));
    assert!(log.contains("indirect set") && log.contains("parallel unset"), "{log}");
}

#[test]
fn invalid_variables_fail_the_step_and_none_of_them_is_exported() {
    let wrong = "echo 'GOOD = \"s3cret-1\"\nPORT = 8000' >&3";
    let log = stderr(&run(&[("vault", EXPORTS, wrong)], "echo served").code(79));
    assert!(log.contains("`bash` exported invalid variables: line 2, column 8"), "{log}");
    assert!(log.contains("exports-invalid") && !log.contains("s3cret-1"), "{log}");
    let warned = [("vault", "on_failure = \"warn\"\ncommand.exports = true", wrong)];
    assert_eq!(stdout(&run(&warned, "echo \"${GOOD-unset}\"").code(0)), "unset\n");
    let failed = [("vault", "on_failure = \"warn\"\ncommand.exports = true", "echo 'A = \"x\"' >&3; exit 1")];
    assert_eq!(stdout(&run(&failed, "echo \"${A-unset}\"").code(0)), "unset\n");
}

#[test]
fn two_parallel_steps_cannot_export_the_same_variable() {
    let options = "after = \"start\"\ncommand.exports = true";
    let steps = [("one", options, "echo 'A = \"x\"' >&3"), ("two", options, "echo 'A = \"x\"' >&3")];
    let log = stderr(&run(&steps, "true").code(79));
    assert!(log.contains("also exports `A`, and neither waits for the other"), "{log}");
}

#[test]
fn a_program_that_writes_too_much_or_keeps_the_descriptor_open_does_not_hang() {
    let endless = "head -c 3000000 /dev/zero | tr '\\0' x >&3";
    let log = stderr(&run(&[("vault", EXPORTS, endless)], "true").code(79));
    assert!(log.contains("the text is longer than 64 KiB"), "{log}");
    let held = "(setsid bash -c 'trap \"\" TERM; sleep 1000' &); echo 'A = \"x\"' >&3; exit 0";
    let options = "command.exports = true\ncommand.grace = \"100ms\"";
    assert_eq!(stdout(&run(&[("vault", options, held)], "echo $A").code(0)), "x\n");
    let closed = "exec 3>&-; sleep 0.2";
    assert_eq!(stdout(&run(&[("vault", EXPORTS, closed)], "echo ${A-unset}").code(0)), "unset\n");
}

#[test]
fn an_exported_path_finds_the_server_and_a_step_of_another_user_can_export() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/bash", folder.path().join("served")).unwrap();
    let path = format!("echo \"PATH = '{}:$PATH'\" > /dev/fd/3", folder.path().display());
    for mode in ["exec", "supervise"] {
        let rest = format!("[server]\nmode = \"{mode}\"\ncommand = [\"served\", \"-c\", \"echo served\"]\n");
        let options = "command.exports = true\ncommand.user = \"65534\"\ncommand.group = \"65534\"";
        let file = configuration(&[("path", options, &path)], &rest);
        let ran = script(&format!("exec $PORTCULLIS run --config {}", file.path().display())).assert();
        assert_eq!(stdout(&ran.code(0)), "served\n", "{mode}");
    }
}

/// Prints the variable in a session without any variable of the server.
const SESSION: &str = "env -i $PORTCULLIS exec -- bash -c 'echo session: $A'";
const VAULT: (&str, &str, &str) = ("vault", EXPORTS, "echo 'A = \"exported\"' >&3");

#[test]
fn a_session_gets_the_environment_of_the_server() {
    for (before, rest) in [
        ("", ""),
        ("", "[server]\nmode = \"supervise\"\ngrace = \"200ms\"\n"),
        ("$PORTCULLIS init --grace 200ms --", ""),
        // Its program is older than the server, and an orphan of the server is a child of PID 1 too.
        (
            "",
            "[[step]]\nname = \"proxy\"\ncommand = { run = [\"sleep\", \"1000\"], background = true, grace = \"200ms\" }\n[server]\nmode = \"supervise\"\ngrace = \"200ms\"\n",
        ),
    ] {
        let server = format!("(setsid sleep 1000 &); {SESSION}; echo code $?");
        let ran = run_behind(before, &[VAULT], rest, &server).code(0);
        assert_eq!(stdout(&ran), "session: exported\ncode 0\n", "{before} {rest}");
    }
}

#[test]
fn a_session_is_refused_without_the_servers_environment() {
    let step = format!("{SESSION}; echo code $?");
    let log = stderr(&run(&[VAULT, ("early", "", &step)], "true").code(0));
    assert!(log.contains("environment: the server has not started") && log.contains("code 74"), "{log}");
    let title = "exec perl -e '$0 = \"title\"; system(\"env -i $ENV{PORTCULLIS} exec -- true\"); print $? >> 8, \"\\n\"'";
    let ran = run(&[VAULT], title).code(0);
    assert_eq!(stdout(&ran), "74\n");
    assert!(stderr(&ran).contains("process 1 has overwritten it"), "{}", stderr(&ran));
    let other = "setpriv --reuid 65534 --regid 65534 --clear-groups $PORTCULLIS exec -- true; echo $?";
    let ran = run(&[VAULT], other).code(0);
    assert_eq!(stdout(&ran), "74\n");
    assert!(stderr(&ran).contains("permission denied: the server is process 1, and it belongs to user 0"));
    let missing =
        run(&[VAULT], "$PORTCULLIS exec --pid 77777 -- true; $PORTCULLIS exec -- no-such-program; echo $?");
    assert_eq!(stdout(&missing.code(0)), "127\n");
}
