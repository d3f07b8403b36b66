//! Finds a user and its groups in `/etc/passwd` and `/etc/group`. Other sources need modules of the C library, which a
//! static program cannot load.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use crate::files;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const MAX_BYTES: u64 = 16 << 20;

/// The user and the groups of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) home: Option<String>,
}

impl Identity {
    /// The identity of names or numbers; `own` is this process's user and group. With a group, the user has no other.
    pub(super) fn find(user: Option<&str>, group: Option<&str>, own: (u32, u32)) -> Result<Self, String> {
        let read = |path: &str| match files::read_now(Path::new(path), MAX_BYTES) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(format!("cannot read `{path}`: {error}")),
        };
        Self::of(&read(PASSWD)?, &read(GROUP)?, user, group, own)
    }

    fn of(
        passwd: &str,
        groups: &str,
        user: Option<&str>,
        group: Option<&str>,
        own: (u32, u32),
    ) -> Result<Self, String> {
        let entry = user.and_then(|user| entry(passwd, user));
        let uid = match (user, &entry) {
            (None, _) => own.0,
            (Some(_), Some(entry)) => number(entry, 2)?,
            (Some(user), None) => {
                user.parse().map_err(|_| format!("the user `{user}` is not in {PASSWD}"))?
            }
        };
        let gid = match (group, user, &entry) {
            (Some(group), ..) => match self::entry(groups, group) {
                Some(entry) => number(&entry, 2)?,
                None => group.parse().map_err(|_| format!("the group `{group}` is not in {GROUP}"))?,
            },
            (None, None, _) => own.1,
            (None, Some(_), Some(entry)) => number(entry, 3)?,
            (None, Some(user), None) => {
                return Err(format!(
                    "the user `{user}` is not in {PASSWD}, so its group is unknown: set `group`"
                ));
            }
        };
        let name = entry.as_ref().and_then(|entry| entry.first()).filter(|_| group.is_none());
        let mut all = vec![gid];
        for line in groups.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let (Some(name), Some(members)) = (name, fields.get(3))
                && members.split(',').any(|member| member == *name)
            {
                all.push(number(&fields, 2)?);
            }
        }
        all.sort_unstable();
        all.dedup();
        let home = entry.as_ref().and_then(|entry| entry.get(5)).filter(|home| !home.is_empty());
        Ok(Self { uid, gid, groups: all, home: home.map(|home| (*home).to_owned()) })
    }
}

/// The line of a name, or of a number.
fn entry<'a>(text: &'a str, wanted: &str) -> Option<Vec<&'a str>> {
    let lines = || text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines().find(|fields| fields.first() == Some(&wanted)).or_else(|| {
        let number: u32 = wanted.parse().ok()?;
        lines().find(|fields| fields.get(2).is_some_and(|field| field.parse() == Ok(number)))
    })
}

fn number(fields: &[&str], at: usize) -> Result<u32, String> {
    let field = fields.get(at).and_then(|field| field.parse().ok());
    field.ok_or_else(|| format!("the entry `{}` is invalid", fields.join(":")))
}

/// The effective user and group of this process.
pub(super) fn own() -> (u32, u32) {
    // SAFETY: both only read.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// The supplementary groups of this process.
pub(super) fn own_groups() -> io::Result<Vec<u32>> {
    let groups = nix::unistd::getgroups()?;
    Ok(groups.into_iter().map(nix::unistd::Gid::as_raw).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App,,,:/srv/app:/bin/false\n";
    const GROUPS: &str = "root:x:0:\nweb:x:33:nobody,app\napp:x:1001:\nlog:x:4:app\n";

    fn find(user: Option<&str>, group: Option<&str>) -> Result<Identity, String> {
        Identity::of(USERS, GROUPS, user, group, (7, 8))
    }

    #[test]
    fn a_user_has_its_groups_and_its_home() {
        let app = Identity { uid: 1000, gid: 1001, groups: vec![4, 33, 1001], home: Some("/srv/app".into()) };
        assert_eq!(find(Some("app"), None), Ok(app.clone()));
        assert_eq!(find(Some("1000"), None), Ok(app));
    }

    #[test]
    fn a_given_group_is_the_only_one() {
        let found = find(Some("app"), Some("web"));
        assert_eq!(found.map(|found| (found.uid, found.gid, found.groups)), Ok((1000, 33, vec![33])));
        let found = find(Some("4711"), Some("42"));
        assert_eq!(found.map(|found| (found.uid, found.gid, found.home)), Ok((4711, 42, None)));
        let found = find(None, Some("web"));
        assert_eq!(found.map(|found| (found.uid, found.gid)), Ok((7, 33)));
    }

    #[test]
    fn an_unknown_name_and_a_number_without_a_group_are_errors() {
        assert_eq!(find(Some("ap"), None), Err("the user `ap` is not in /etc/passwd".into()));
        assert_eq!(find(Some("app"), Some("ap")), Err("the group `ap` is not in /etc/group".into()));
        let unknown = "the user `4711` is not in /etc/passwd, so its group is unknown: set `group`";
        assert_eq!(find(Some("4711"), None), Err(unknown.into()));
        assert!(Identity::of("app:x::1", "", Some("app"), None, (0, 0)).is_err());
    }
}
