//! `portcullis init`: a plain init in front of one program, as tini, dumb-init and catatonit are.

use crate::{
    cli,
    failure::Failure,
    process::{Inherited, SuperviseOptions, Target, supervise},
    report::output::{NOT_PID_1, Output},
};

/// Returns the program's exit code.
pub(crate) fn init(inherited: &Inherited, arguments: &cli::Init, out: &Output) -> Result<u8, Failure> {
    let options = SuperviseOptions {
        rewrites: arguments.rewrites.clone(),
        target: if arguments.signal_group { Target::Group } else { Target::Main },
        own_session: !arguments.group,
        parent_death: arguments.parent_death_signal,
        remap: arguments.remap_exit.clone(),
        grace: arguments.grace,
        main_grace: None,
    };
    if !inherited.is_pid_1() {
        out.note(NOT_PID_1);
    }
    supervise(inherited, &options, &arguments.argv)
}
