//! Passwords from commands.

use std::fs;

use super::{Login, WAIT, around, server};
use crate::support::{http::free_port, proxy::Proxy, time_limits::until_true};

#[test]
fn a_command_prints_the_password_at_each_login_and_its_output_is_never_shown() {
    let script = "echo a-secret-on-stderr >&2; cat password; echo x >> runs";
    let source = format!("{{ command = [\"sh\", \"-c\", \"{script}\"] }}");
    let login = Login::new(&source, "printed-by-a-command").file("password", "printed-by-a-command\n");
    let login = login.steps(&around("echo leaks printed-by-a-command"));
    let outcome = login.portcullis.run(["run"]).exits(0).prints("leaks ********");
    outcome.prints_not("printed-by").prints_not("a-secret-on-stderr");
    let runs = fs::read_to_string(login.portcullis.path("runs")).unwrap();
    // Two logins, and the password file of programs.
    assert_eq!(runs.lines().count(), 3);
    login.portcullis.run(["plan", "--format", "json"]).exits(0).prints_not("printed-by");
    let checked = login.portcullis.run(["check"]).exits(0).prints("the password is from the command `sh`");
    checked.prints_not("printed-by");
    let examined =
        login.portcullis.run(["doctor"]).prints("logged in; the password is from the command `sh`");
    examined.prints_not("printed-by").prints_not("a-secret-on-stderr");
}

#[test]
fn a_command_that_fails_is_a_temporary_failure_that_shows_its_program_and_its_code() {
    for (argv, code, text) in [
        ("\"sh\", \"-c\", \"echo hidden-text; echo hidden-text >&2; exit 5\"", 69, "`sh` exited with 5"),
        ("\"sh\", \"-c\", \"sleep 60\"", 69, "`sh` ran longer than 200 ms"),
        ("\"sh\", \"-c\", \"true\"", 77, "the command of the password, `sh`, printed nothing"),
        ("\"sh\", \"-c\", \"echo hidden-text; echo hidden-text\"", 77, "`sh`, printed more than one line"),
        ("\"sh\", \"-c\", \"head -c 20000 /dev/zero | tr '\\\\0' x\"", 77, "a line of 16 KiB or more"),
        ("\"sh\", \"-c\", \"printf '\\\\377'\"", 77, "text that is not UTF-8"),
        ("\"no-such-program\"", 77, "cannot start `no-such-program`"),
    ] {
        let source = format!("{{ command = [{argv}], timeout = \"200ms\" }}");
        let login = Login::new(&source, "unused").steps(WAIT);
        login.portcullis.run(["run"]).exits(code).prints(text).prints_not("hidden-text");
    }
}

#[test]
fn a_password_that_was_rotated_during_a_login_is_read_once_more() {
    for rotates in [true, false] {
        let script = "if [ -e used ]; then cat password; else echo old-of-two; touch used; fi";
        let source = format!("{{ command = [\"sh\", \"-c\", \"{script}\"] }}");
        let login = Login::new(&source, "new-of-two").steps(WAIT);
        let login = login.file("password", if rotates { "new-of-two" } else { "wrong-again" });
        let outcome = login.portcullis.run(["run"]);
        outcome.exits(if rotates { 0 } else { 77 }).prints_not("of-two");
    }
}

/// `runs` has a line for each run of the command.
const COUNTED: &str = "{ command = [\"sh\", \"-c\", \"echo x >> runs; echo of-a-command\"] }";

fn runs(login: &Login) -> usize {
    fs::read_to_string(login.portcullis.path("runs")).unwrap_or_default().lines().count()
}

#[test]
fn a_command_runs_once_for_a_server_that_has_no_free_connection() {
    let login = Login::new(COUNTED, "of-a-command").steps(&around("true"));
    let proxy = Proxy::to(server(&login.role.database).1.parse().unwrap());
    let login = login.port(proxy.port());
    let limit = |limit: &str| {
        login.role.database.execute(&format!("ALTER ROLE {} CONNECTION LIMIT {limit}", login.role.name));
    };
    limit("0");
    let running = login.portcullis.spawn(["run"]);
    // The command has one for itself, to see whether the server can be reached.
    until_true("the login is tried again", || proxy.connections() >= 4);
    assert_eq!(runs(&login), 2, "for the password file, and for the first login");
    limit("-1");
    running.wait().exits(0).prints("after: ok");
}

#[test]
fn a_command_does_not_run_for_a_server_that_cannot_be_reached() {
    let login = Login::new(COUNTED, "of-a-command").steps(WAIT);
    let login = login.port(free_port());
    login.portcullis.run(["run"]).exits(69);
    assert_eq!(runs(&login), 1, "for the password file");
}
