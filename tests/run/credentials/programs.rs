//! The passwords of programs: their file, and `portcullis token`.

use std::fs;

use super::{Clouds, Login, server};
use crate::support::portcullis::Portcullis;

#[test]
fn the_token_command_prints_the_password_to_a_program_only() {
    let login = Login::new("{ file = \"password\" }", "from-a-file").file("password", "from-a-file\n");
    assert_eq!(login.portcullis.run(["token"]).exits(0).stdout, "from-a-file\n");
    assert_eq!(login.token()["source"], "the file `password`");
    let outcome = login.portcullis.on_a_terminal(["token"]).wait().exits(64);
    outcome.prints("standard output is a terminal").prints_not("from-a-file");
    let none = Portcullis::new().config("[database]\nhost = \"h\"\nname = \"n\"\nuser = \"u\"\n");
    none.run(["token"]).exits(78).prints("`portcullis token` needs `[database] password`");
}

/// Logs in with psql and without a password, and prints the mode of the password file.
fn psql(login: &Login) -> String {
    let (host, port) = server(&login.role.database);
    let (user, name) = (&login.role.name, login.role.database.name());
    format!(
        "psql -w -h {host} -p {port} -U {user} -d {name} -Atc 'SELECT 40 + 2' && stat -c 'mode %a of %u' $PGPASSFILE \
         && echo $PGPASSFILE > path"
    )
}

#[test]
fn programs_get_a_password_file_that_is_renewed_and_removed() {
    let clouds = Clouds::start();
    let login = Login::new("{ gcp_cloudsql = {} }", "first-token-of-the-cloud")
        .env("GCE_METADATA_HOST", &clouds.authority());
    let psql = psql(&login);
    let step = |name: &str, script: &str| {
        format!("[[step]]\nname = \"{name}\"\ncommand.run = [\"sh\", \"-c\", \"{script}\"]\n")
    };
    let steps = step("first", &psql)
        + &step("rotation", "until [ -e go ]; do sleep 0.05; done")
        + "[[step]]\nname = \"login\"\nsql.run = \"SELECT 1\"\n"
        + &step("second", &psql)
        + "[server]\ncommand = [\"sh\", \"-c\", \"echo server has ${PGPASSFILE:-no file}\"]\n";
    let login = login.steps(&steps.replace("${", "$${"));
    let running = login.portcullis.spawn(["run"]);
    running.wait_for_line("rotation: started");
    login.change_password("second:token\\of-the-cloud");
    clouds.set("token", "second:token\\of-the-cloud");
    fs::write(login.portcullis.path("go"), "").unwrap();
    let outcome = running.wait().exits(0).prints("server has no file").prints_not("of-the-cloud");
    assert_eq!(outcome.stderr.matches("| 42").count(), 2, "{outcome}");
    assert!(outcome.stderr.contains("mode 600 of "), "{outcome}");
    let path = fs::read_to_string(login.portcullis.path("path")).unwrap();
    assert!(path.starts_with("/dev/shm/portcullis-"), "{path}");
    assert!(!std::path::Path::new(path.trim()).exists());
}

#[test]
fn a_program_of_another_user_has_its_own_password_file() {
    let script = "echo printed-by-a-command";
    let login =
        Login::new(&format!("{{ command = [\"sh\", \"-c\", \"{script}\"] }}"), "printed-by-a-command");
    let psql = psql(&login).replace(" && echo $PGPASSFILE > path", "");
    let step = format!(
        "[[step]]\nname = \"psql\"\ncommand = {{ run = [\"sh\", \"-c\", \"{psql}\"], user = \"nobody\" }}\n"
    );
    let login = login.steps(&step);
    let outcome = login.portcullis.run(["run"]).exits(0).prints("| 42").prints("mode 600 of 65534");
    outcome.prints_not("printed-by-a");
    let given = login.env("PGPASSFILE", "/nonexistent");
    given.portcullis.run(["run"]).exits(79).prints("no password supplied");
}

#[test]
fn a_notification_and_a_password_command_get_no_password_file() {
    let password =
        "{ command = [\"sh\", \"-c\", \"echo password:$PGPASSFILE >> given; echo of-a-command\"] }";
    let steps = "[[step]]\nname = \"step\"\ncommand.run = [\"sh\", \"-c\", \"echo step:$PGPASSFILE >> given\"]\n\
                 [[step]]\nname = \"login\"\nsql.run = \"SELECT 1\"\n\
                 [[step]]\nname = \"failure\"\ncommand.run = [\"false\"]\n\
                 [notify]\ncommand = [\"sh\", \"-c\", \"echo notify:$PGPASSFILE >> given\"]\n";
    let login = Login::new(password, "of-a-command").steps(steps);
    login.portcullis.run(["run"]).exits(79);
    let given = fs::read_to_string(login.portcullis.path("given")).unwrap();
    let (with, without): (Vec<&str>, Vec<&str>) = given.lines().partition(|line| line.contains('/'));
    assert!(matches!(with[..], [line] if line.starts_with("step:/")), "{given}");
    assert_eq!(without.first(), Some(&"password:"), "{given}");
    assert_eq!(without.last(), Some(&"notify:"), "{given}");
}
