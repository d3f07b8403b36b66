//! Detects whether the kernel has killed a process of this memory cgroup because memory was exhausted.

#![expect(clippy::disallowed_methods, reason = "/proc and cgroup files never block")]

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

/// The kernel's counter, and the value that was last read.
pub(super) struct OomKills {
    file: Option<File>,
    last: u64,
}

impl OomKills {
    /// Starts counting. Without a readable counter, no kill is ever detected.
    pub(super) fn start() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let file = candidates(&groups).iter().find_map(|path| {
            let file = File::open(path).ok()?;
            count(&file).is_some().then_some(file)
        });
        let last = file.as_ref().and_then(count).unwrap_or(0);
        Self { file, last }
    }

    /// Whether the counter has grown since the last call.
    pub(super) fn any_new(&mut self) -> bool {
        let now = self.file.as_ref().and_then(count).unwrap_or(self.last);
        now > std::mem::replace(&mut self.last, now)
    }
}

/// The files that may contain the counter, inside and outside of a container.
fn candidates(groups: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in groups.lines() {
        // The hierarchy's number, its controllers, and this process's group in it.
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let group = group.trim_end_matches('/');
        if controllers.split(',').any(|controller| controller == "memory") {
            found.push(format!("/sys/fs/cgroup/memory{group}/memory.oom_control"));
            found.push("/sys/fs/cgroup/memory/memory.oom_control".into());
        } else if number == "0" {
            found.push(format!("/sys/fs/cgroup{group}/memory.events"));
            found.push("/sys/fs/cgroup/memory.events".into());
        }
    }
    found
}

/// Both versions of cgroups have a line `oom_kill N`.
fn count(file: &File) -> Option<u64> {
    let mut text = [0; 1024];
    let length = file.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..length]).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use super::*;

    #[test]
    fn the_counter_is_found_with_both_versions_of_cgroups() {
        assert_eq!(candidates("0::/\n"), ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory.events"]);
        let old = candidates("9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n");
        assert_eq!(old[0], "/sys/fs/cgroup/memory/docker/abc/memory.oom_control");
        assert_eq!(old[1], "/sys/fs/cgroup/memory/memory.oom_control");
    }

    #[test]
    fn only_new_kills_are_counted() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"low 0\noom 3\noom_kill 2\noom_group_kill 1\n").unwrap();
        let mut kills = OomKills { file: Some(file.try_clone().unwrap()), last: 2 };
        assert!(!kills.any_new());
        file.write_all_at(b"low 0\noom 5\noom_kill 4\noom_group_kill 1\n", 0).unwrap();
        assert!(kills.any_new() && !kills.any_new());
    }
}
