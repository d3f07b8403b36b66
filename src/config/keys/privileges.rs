//! Declares the keys that give a program another user or fewer privileges.

use super::{
    super::privileges::capability_names,
    Key,
    Kind::{Boolean, OneOrMany, Text, Word},
};

pub(super) const USER: Key = key!(user: Text, ? "the user of Portcullis",
    "The user of the program, a name or a number. Without `group`, the program has the user's groups in `/etc/passwd` and `/etc/group`. `HOME` is the user's folder. See [privileges](privileges.md).");
pub(super) const GROUP: Key =
    key!(group: Text, ? "the user's groups", "The only group of the program, a name or a number.");
pub(super) const CAPABILITIES: Key = key!(capabilities: OneOrMany(&Word(capability_names)), ? "the user's",
    "The only capabilities that the program and its children can have: `[]`, `[\"NET_BIND_SERVICE\"]`.");
pub(super) const NO_NEW_PRIVILEGES: Key = key!(no_new_privileges: Boolean, = "false",
    "Whether a setuid program or a file's capabilities give the program and its children no privileges.");
