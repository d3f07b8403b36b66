//! `portcullis init`: a plain init for one program, like tini, dumb-init and catatonit.

use std::time::Duration;

use crate::{
    cli,
    failure::Failure,
    process::{CRASH_GRACE, Inherited, Privileges, SuperviseOptions, Target, supervise},
    report::output::{NOT_PID_1, ORPHANS_LOST, Output},
};

/// How long descendants may outlive a program that ended normally.
const GRACE: Duration = Duration::from_secs(8);

/// Returns the program's exit code.
pub(crate) fn init(inherited: &Inherited, arguments: &cli::Init) -> Result<u8, Failure> {
    let options = SuperviseOptions {
        rewrites: arguments.rewrites.clone(),
        target: if arguments.signal_group { Target::Group } else { Target::Main },
        own_session: !arguments.group,
        parent_death: arguments.parent_death_signal,
        remap: arguments.remap_exit.clone(),
        grace: arguments.grace.unwrap_or(GRACE),
        crash_grace: arguments.grace.unwrap_or(CRASH_GRACE),
        main_grace: None,
        after_steps: false,
        variables: Vec::new(),
        privileges: Privileges::default(),
    };
    if !inherited.is_pid_1() {
        Output::note(NOT_PID_1);
    }
    if inherited.loses_orphans() {
        Output::note(ORPHANS_LOST);
    }
    supervise(inherited, &options, &arguments.argv)
}
