//! Everything that PID 1 owes to its children and to the server: taking signals, one reaper, a stub per step, the
//! handover, and staying as init.
//!
//! [`take_over`] comes first in main, [`handover()`] or [`supervise()`] last; what runs in between is a [`Tree`] each.

mod arguments;
mod arrivals;
mod capture;
mod clock;
mod descendants;
mod dispositions;
mod ending;
mod environment;
mod forward;
mod handover;
mod holdings;
mod inherited;
mod launch;
mod offspring;
mod order;
mod program;
mod reaper;
mod record;
mod signal_set;
mod signals;
mod spawn;
mod stub;
mod supervise;
mod terminal;
mod tree;

pub(crate) use arrivals::Signals;
pub(crate) use capture::Stream;
pub(crate) use ending::end_at_once;
pub(crate) use environment::add as add_to_environment;
pub(crate) use handover::handover;
pub(crate) use inherited::{Inherited, take_over};
pub(crate) use reaper::Processes;
pub(crate) use record::How;
pub(crate) use spawn::Child;
pub(crate) use stub::stub_main;
pub(crate) use supervise::{SuperviseOptions, Target, supervise};
pub(crate) use tree::{Ended, Tree};
