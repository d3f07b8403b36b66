//! Finds the processes below this one. Results may be outdated immediately; only ECHILD proves that none is left.
//! `/proc/PID/task/*/children` also works with hidepid=2 for this process's children. If the kernel lacks it, every
//! `stat` is searched for its parent. If /proc is missing or shows another namespace, ids are tried one by one.

#![expect(clippy::disallowed_methods, reason = "/proc and cgroup files never block")]

use std::{fs, io, mem};

/// The number of ids that are tried without /proc; a new namespace counts from 1.
const TRIED_IDS: u32 = 65_536;

/// Whether this process has children, dead or alive.
pub(crate) fn have_children() -> bool {
    // SAFETY: a siginfo consists of plain numbers, for which zero is valid.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    // SAFETY: the pointer is to a complete siginfo; nothing is reaped.
    let result =
        unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) };
    result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ECHILD)
}

/// This process's children, including dead ones.
pub(crate) fn children() -> Vec<i32> {
    let me = std::process::id().cast_signed();
    if shows_own_namespace(me) { children_of(me) } else { tried_children() }
}

/// Every process below this one, parents before their children.
pub(crate) fn descendants() -> Vec<i32> {
    below(children())
}

/// These processes and every process below them, parents before their children.
pub(crate) fn below(mut found: Vec<i32>) -> Vec<i32> {
    if shows_own_namespace(std::process::id().cast_signed()) {
        let mut next = 0;
        while next < found.len() {
            let more = children_of(found[next]);
            found.extend(more);
            next += 1;
        }
    }
    found
}

/// Whether the process has not ended yet. A process that cannot be examined counts as alive. A process whose first
/// thread has ended has the state `Z`, but its other threads may still run.
pub(crate) fn is_alive(pid: i32) -> bool {
    let Some(stat) = stat(pid) else { return true };
    let mut fields = after_name(&stat);
    let dead = matches!(fields.next(), Some("Z" | "X"));
    // The number of threads is 17 fields after the state.
    !dead || fields.nth(16).and_then(|count| count.parse::<u32>().ok()).is_some_and(|threads| threads > 1)
}

/// Whether the process is stopped, so that it handles no signal until it is continued.
pub(crate) fn is_stopped(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| after_name(&stat).next() == Some("T"))
}

pub(super) fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// A /proc of another PID namespace would show unrelated processes.
fn shows_own_namespace(me: i32) -> bool {
    fs::read_link("/proc/self").is_ok_and(|link| link.to_str() == Some(&me.to_string()))
}

pub(super) fn children_of(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(list) => found.extend(list.split_whitespace().filter_map(|id| id.parse::<i32>().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound && task.path().exists() => {
                return searched_children(pid);
            }
            Err(_) => {}
        }
    }
    found
}

fn searched_children(parent: i32) -> Vec<i32> {
    let parent = parent.to_string();
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id: &i32| stat(*id).is_some_and(|stat| after_name(&stat).nth(1) == Some(&parent)))
        .collect()
}

/// The fields of a `stat` line after the program's name, which may contain spaces and parentheses.
pub(super) fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

fn tried_children() -> Vec<i32> {
    // SAFETY: a siginfo consists of plain numbers, for which zero is valid.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    let mut is_child = |id| {
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: the pointer is to a complete siginfo; nothing is reaped.
        unsafe { libc::waitid(libc::P_PID, id, &raw mut info, options) == 0 }
    };
    (1..TRIED_IDS).filter(|id| is_child(*id)).map(u32::cast_signed).collect()
}
