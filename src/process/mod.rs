//! Implements the duties of PID 1 to its children and to the server: reading signals, reaping, a stub per step, the
//! handover, and staying as init. [`take_over`] comes first in main, [`handover()`] or [`supervise()`] last; every
//! program in between runs as a process tree.

mod arguments;
mod capture;
mod descendant_tree;
mod descendants;
mod dispositions;
mod environment;
mod escalation;
mod exit_handler;
mod exit_reason;
mod exported;
mod fatal_signals;
mod finished;
mod forward;
mod handover;
mod identity;
mod inherited;
mod inherited_fds;
mod launch;
mod memory;
mod output_limit;
mod privileges;
mod program;
mod reaper;
mod server_environment;
mod shutdown;
mod signal_set;
mod signal_stream;
mod signals;
mod spawn;
mod stub;
mod stub_protocol;
mod stub_report;
mod supervise;
mod terminal;
mod tree;

pub(crate) use capture::Stream;
pub(crate) use exit_handler::{end_at_once, interruptible};
pub(crate) use exit_reason::ExitReason;
pub(crate) use exported::with_exported;
pub(crate) use finished::{Finished, StopReason};
pub(crate) use handover::handover;
pub(crate) use inherited::{Inherited, take_over};
pub(crate) use privileges::Privileges;
pub(crate) use reaper::Processes;
pub(crate) use server_environment::{ServerEnvironment, server_environment};
pub(crate) use signal_stream::Signals;
pub(crate) use spawn::Child;
pub(crate) use stub::stub_main;
pub(crate) use supervise::{CRASH_GRACE, SuperviseOptions, Target, supervise};
