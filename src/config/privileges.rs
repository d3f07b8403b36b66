//! Reads the keys that give a program another user or fewer privileges.

use super::{
    Privileges,
    fields::Table,
    interpolate::{Node, Value},
    keys::Kind,
    problem::{Problem, nearest},
    reading::Reading,
    values::{self, Read},
};

/// The capabilities by their numbers, as in `linux/capability.h`.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

pub(super) fn capability_names() -> Vec<&'static str> {
    CAPABILITIES.to_vec()
}

/// The names of the capabilities in a set, for a message.
pub(crate) fn listed(set: u64) -> String {
    let names = (0..).zip(CAPABILITIES).filter(|(number, _)| set & (1 << number) != 0);
    names.map(|(_, name)| name).collect::<Vec<_>>().join(", ")
}

pub(super) fn privileges(table: &mut Table<'_>) -> Privileges {
    let capabilities: Option<Vec<Capability>> = table.get("capabilities");
    Privileges {
        user: table.get("user"),
        group: table.get("group"),
        capabilities: capabilities.map(|list| list.iter().fold(0, |set, Capability(bit)| set | bit)),
        no_new_privileges: table.value("no_new_privileges"),
    }
}

/// The bit of a capability.
struct Capability(u64);

impl Read for Capability {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        let wrong = || values::wrong(node, "a capability, as in \"NET_BIND_SERVICE\"");
        let Value::Text(text) = &node.value else { return Err(wrong()) };
        let number = (0..).zip(CAPABILITIES).find(|(_, name)| name == text).map(|(number, _)| number);
        number.map(|number: u32| Self(1 << number)).ok_or_else(|| {
            let short = text.to_ascii_uppercase();
            match nearest(short.strip_prefix("CAP_").unwrap_or(&short), &CAPABILITIES) {
                Some(near) if node.filled_by.is_empty() => wrong().help(format!("did you mean `{near}`?")),
                _ => wrong(),
            }
        })
    }
}
