//! A control group, which limits a program's memory or its number of processes and threads.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::support::time_limits::until_true;

const ROOT: &str = "/sys/fs/cgroup";

static NUMBER: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// In bytes; more is killed.
    Memory(usize),
    /// Of processes and threads; more cannot be started.
    Tasks(usize),
}

/// The group ends when it is dropped.
pub struct ControlGroup(PathBuf);

impl ControlGroup {
    pub fn new(limit: Limit) -> Self {
        let name = format!("portcullis-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let is_second_version = Path::new(ROOT).join("cgroup.controllers").exists();
        let (controller, file, value) = match (limit, is_second_version) {
            (Limit::Memory(bytes), true) => ("", "memory.max", bytes),
            (Limit::Memory(bytes), false) => ("memory", "memory.limit_in_bytes", bytes),
            (Limit::Tasks(number), true) => ("", "pids.max", number),
            (Limit::Tasks(number), false) => ("pids", "pids.max", number),
        };
        if is_second_version {
            fs::write(Path::new(ROOT).join("cgroup.subtree_control"), "+memory +pids").unwrap();
        }
        let group = Self(Path::new(ROOT).join(controller).join(name));
        fs::create_dir(&group.0).unwrap();
        fs::write(group.0.join(file), value.to_string()).unwrap();
        group
    }

    /// The program and its arguments follow.
    pub fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        command
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Killed processes leave it a moment later.
        until_true("the control group is empty", || fs::remove_dir(&self.0).is_ok());
    }
}
