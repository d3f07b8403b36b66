//! `-it`: a pseudo-terminal, as from docker and a shell.

use super::namespace::pid_1;
use crate::support::terminal::Session;

/// `argv` as PID 1 and leader of a session; the test holds the other end of its terminal.
fn session(argv: &[&str]) -> Session {
    Session::start(pid_1(&[&["setsid", "--ctty"], argv].concat()))
}

/// Prints pid, group, session and foreground group of the shell.
const PRINT_IDS: &str = "read -r pid name state parent group session tty foreground rest < /proc/$$/stat; echo ids $pid $group $session $foreground.";

/// The four numbers that [`PRINT_IDS`] prints.
fn ids(session: &mut Session) -> Vec<i32> {
    session.until("ids ");
    session.until(".").split(' ').map(|number| number.trim_end_matches('.').parse().unwrap()).collect()
}

#[test]
fn the_program_leads_a_new_session_and_has_the_terminal() {
    let mut session = session(&["portcullis", "init", "--", "bash", "-c", PRINT_IDS]);
    let ids = ids(&mut session);
    assert!(ids[0] != 1 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    session.exits(0);
}

#[test]
fn with_group_the_program_stays_in_the_session_in_the_foreground() {
    let mut session = session(&["portcullis", "init", "--group", "--", "bash", "-c", PRINT_IDS]);
    let ids = ids(&mut session);
    assert!(ids[0] != 1 && ids[1] == ids[0] && ids[2] == 1 && ids[3] == ids[0], "{ids:?}");
    session.exits(0);
}

#[test]
fn ctrl_c_reaches_the_program() {
    for options in [&[][..], &["--group"]] {
        let argv =
            [&["portcullis", "init"], options, &["--", "bash", "-c", "echo up; exec sleep 1000"]].concat();
        let mut session = session(&argv);
        session.until("up");
        session.press("\x03");
        session.exits(130);
    }
}

#[test]
fn ctrl_z_does_not_stop_a_program_without_a_parent_shell() {
    for options in [&[][..], &["--group"]] {
        let script = "echo up; read -r word; echo got $word; exit 3";
        let argv = [&["portcullis", "init"], options, &["--", "bash", "-c", script]].concat();
        let mut session = session(&argv);
        session.until("up");
        session.press("\x1a");
        session.press("hi\n");
        session.until("got hi");
        session.exits(3);
    }
}

#[test]
fn a_shell_as_the_program_has_job_control() {
    let mut session = session(&["portcullis", "init", "--", "bash", "--norc", "-i"]);
    session.press("PS1=ready'>'\n");
    session.until("ready>");
    session
        .press("bash -c 'trap \"echo contin\"\"ued\" CONT; echo run''ning; while :; do sleep 0.01; done'\n");
    session.until("running");
    session.press("\x1a");
    session.until("Stopped");
    session.press("fg\n");
    session.until("continued");
    session.press("\x03");
    session.until("ready>");
    session.press("exit 5\n");
    session.exits(5);
}

#[test]
fn a_shell_suspends_and_resumes_init_with_its_program() {
    for options in ["", "--group"] {
        let mut session = session(&["bash", "--norc", "-i"]);
        session.press("PS1=ready'>'\n");
        session.until("ready>");
        session.press(&format!(
            "$PORTCULLIS init {options} -- bash -c 'echo run''ning; read -r word; echo got $word; exit 4'\n"
        ));
        session.until("running");
        session.press("\x1a");
        session.until("Stopped");
        session.press("fg\n");
        session.until("exit 4");
        session.press("hi\n");
        session.until("got hi");
        session.press("exit $?\n");
        session.exits(4);
    }
}

/// A step, then `cat`, as PID 1 with a terminal.
fn with_step(step: &str) -> (tempfile::NamedTempFile, Session) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!("[[step]]\nname = \"one\"\ncommand.run = [\"bash\", \"-c\", '''{step}''']\n");
    std::fs::write(file.path(), text).unwrap();
    let argv = ["portcullis", "run", "--config", file.path().to_str().unwrap(), "--", "cat"];
    let session = session(&argv);
    (file, session)
}

#[test]
fn ctrl_c_ends_a_step() {
    let (_file, mut session) = with_step("echo run''ning; sleep 1000");
    session.until("running");
    session.press("\x03");
    session.exits(130);
}

#[test]
fn a_step_is_not_stopped_by_the_terminal_and_does_not_read_the_servers_input() {
    let (_file, mut session) =
        with_step("cat < /dev/tty; echo x > /dev/tty; echo run''ning; read -r word; sleep 0.2; exit 0");
    session.until("running");
    session.press("\x1afor the server\n\x04");
    session.until("for the server");
    session.exits(0);
}
