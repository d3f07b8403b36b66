//! Everything that PID 1 owes to its children and to the server: taking signals, one reaper, a stub per step, the
//! handover, and staying as init.
//!
//! [`take_over`] comes first in main, [`handover`] or [`supervise`] last; what runs in between is a [`Tree`] each.

mod capture;
mod clock;
mod descendants;
mod dispositions;
mod environment;
mod handover;
mod holdings;
mod inherited;
mod launch;
mod reaper;
mod record;
mod signals;
mod stub;
mod supervise;
mod terminal;
mod tree;

pub(crate) use handover::handover;
pub(crate) use inherited::{Inherited, take_over};
pub(crate) use reaper::{Processes, Signals};
pub(crate) use stub::stub_main;
pub(crate) use supervise::{SuperviseOptions, Target, supervise};
pub(crate) use tree::{Child, Ended, How, Tree};
