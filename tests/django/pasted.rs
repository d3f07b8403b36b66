//! The command lines of the box for findings that only Django's tenants have, pasted into a shell, open the gate.

use nix::sys::signal::Signal;

use super::bootstrap::{SEEDING, with_command};
use crate::support::django::Project;

#[test]
fn the_box_replays_a_lost_app() {
    let project = Project::complete();
    project.database.execute("DROP TABLE demo.finance_invoice");
    let blocked = project.portcullis.run(["doctor"]).exits(1);
    blocked.prints("portcullis repair demo --replay finance");
    let blocked = project.portcullis.run(["verify"]).exits(1);
    assert_eq!(blocked.commands(), ["portcullis repair demo --replay finance"], "{blocked}");
    project.portcullis.paste(blocked.commands()[0]).exits(0);
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_shadowed_table() {
    let project = Project::complete();
    project.database.execute(
        "DROP TABLE demo.finance_invoice; CREATE TABLE public.finance_invoice (id bigint); INSERT INTO public.finance_invoice VALUES (1)",
    );
    let blocked = project.portcullis.run(["verify"]).exits(1).prints("shadowed");
    assert_eq!(blocked.commands(), ["portcullis repair demo --replay finance"], "{blocked}");
    project.portcullis.paste(blocked.commands()[0]).exits(0).prints("public.finance_invoice contains 1 row");
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_half_created_tenant() {
    let project = with_command(r#"["demo"]"#, r#"["python", "seeding.py", "sleep"]"#);
    std::fs::write(project.portcullis.path("seeding.py"), SEEDING).unwrap();
    let running = project.portcullis.spawn(["tenant", "bootstrap"]);
    project.database.until_sleeping();
    running.signal(Signal::SIGKILL);
    running.wait();
    let blocked = project.portcullis.run(["verify"]).exits(1).prints("half created");
    assert_eq!(blocked.commands()[0], "portcullis tenant delete demo", "{blocked}");
    project.portcullis.paste(&format!("{} --yes", blocked.commands()[0])).exits(0);
    project.portcullis.run(["verify"]).exits(0);
}
