//! Changes the user, the groups and the capabilities of a process before it executes its program. Uses system calls
//! only: the C library's functions would change every thread of the parent.

use std::{ffi::c_int, io};

use super::identity::{self, Identity};
use crate::config::{self, privileges::listed};

const KILL: u64 = 1 << 5;
const SETGID: u64 = 1 << 6;
const SETUID: u64 = 1 << 7;
const SETPCAP: u64 = 1 << 8;
/// `_LINUX_CAPABILITY_VERSION_3`: two words for each set.
const VERSION: u32 = 0x2008_0522;
const BITS: u32 = u64::BITS;

/// The changes to make; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the name that the kernel and Kubernetes use")]
pub(crate) struct Privileges {
    identity: Option<Identity>,
    capabilities: Option<u64>,
    no_new_privileges: bool,
}

/// No changes.
pub(super) static UNCHANGED: Privileges =
    Privileges { identity: None, capabilities: None, no_new_privileges: false };

/// The header and the sets of the system calls `capget` and `capset`.
#[repr(C)]
struct Header {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

impl Privileges {
    /// Finds the user and the groups. The error says why this process cannot start a program like this.
    pub(crate) fn resolve(wanted: &config::Privileges) -> Result<Self, String> {
        if *wanted == config::Privileges::default() {
            return Ok(Self::default());
        }
        let held = held().map_err(|error| format!("cannot read the capabilities: {error}"))?;
        let own = identity::own();
        let mut identity = None;
        if wanted.user.is_some() || wanted.group.is_some() {
            let found = Identity::find(wanted.user.as_deref(), wanted.group.as_deref(), own)?;
            let groups =
                identity::own_groups().map_err(|error| format!("cannot read the groups: {error}"))?;
            let is_own = (found.uid, found.gid) == own
                && found.groups.iter().all(|group| *group == own.1 || groups.contains(group));
            let of_user = if found.uid == own.0 { 0 } else { SETUID | KILL };
            let lacking = (SETGID | of_user) & !held;
            if !is_own && lacking != 0 {
                return Err(format!(
                    "Portcullis runs as uid {}, and the change to uid {} and gid {} needs the capabilities {}",
                    own.0,
                    found.uid,
                    found.gid,
                    listed(lacking)
                ));
            }
            identity = Some(found).filter(|_| !is_own);
        }
        let lacking = wanted.capabilities.unwrap_or(0) & !held;
        if lacking != 0 {
            return Err(format!("Portcullis does not have the capabilities {}", listed(lacking)));
        }
        // Without SETPCAP, a program could get further capabilities from the file that it executes.
        let is_bounded = wanted.capabilities.is_none() || held & SETPCAP != 0;
        Ok(Self {
            identity,
            capabilities: wanted.capabilities,
            no_new_privileges: wanted.no_new_privileges || !is_bounded,
        })
    }

    /// The user, if it is another one than this process's.
    pub(super) fn uid(&self) -> Option<u32> {
        self.identity.as_ref().map(|identity| identity.uid)
    }

    /// The variables that belong to the user.
    pub(crate) fn variables(&self) -> Option<(String, String)> {
        let identity = self.identity.as_ref()?;
        Some(("HOME".into(), identity.home.clone().unwrap_or_else(|| "/".into())))
    }

    /// One word for the arguments of a stub.
    pub(super) fn encoded(&self) -> String {
        let identity = self.identity.as_ref().map_or_else(String::new, |identity| {
            let groups: Vec<String> = identity.groups.iter().map(u32::to_string).collect();
            format!("{} {} {}", identity.uid, identity.gid, groups.join(" "))
        });
        let capabilities = self.capabilities.map_or_else(String::new, |set| set.to_string());
        format!("{identity}:{capabilities}:{}", u8::from(self.no_new_privileges))
    }

    pub(super) fn decoded(word: &str) -> Option<Self> {
        let mut parts = word.split(':');
        let (identity, capabilities, no_new_privileges) = (parts.next()?, parts.next()?, parts.next()?);
        let mut numbers = identity.split_whitespace().map(str::parse);
        let identity = match (numbers.next(), numbers.next()) {
            (Some(uid), Some(gid)) => Some(Identity {
                uid: uid.ok()?,
                gid: gid.ok()?,
                groups: numbers.collect::<Result<_, _>>().ok()?,
                home: None,
            }),
            _ => None,
        };
        let capabilities = if capabilities.is_empty() { None } else { Some(capabilities.parse().ok()?) };
        Some(Self { identity, capabilities, no_new_privileges: no_new_privileges == "1" })
    }

    /// Makes the changes to this thread. Allocates nothing.
    pub(super) fn assume(&self) -> Result<(), c_int> {
        // SAFETY: system calls with live arguments, which change the calling thread only.
        unsafe {
            if let Some(kept) = self.capabilities {
                bound(kept);
            }
            if let Some(identity) = &self.identity {
                if self.capabilities.is_some() {
                    done(libc::syscall(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
                }
                let Identity { uid, gid, groups, .. } = identity;
                done(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
                done(libc::syscall(libc::SYS_setresgid, *gid, *gid, *gid))?;
                done(libc::syscall(libc::SYS_setresuid, *uid, *uid, *uid))?;
            }
            if let Some(kept) = self.capabilities {
                keep(kept)?;
            }
            if self.no_new_privileges {
                done(libc::syscall(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            }
        }
        Ok(())
    }
}

/// Removes all other capabilities from the bounding set. A refusal is harmless, because `no_new_privileges` is then set.
///
/// # Safety
/// Changes the calling thread.
unsafe fn bound(kept: u64) {
    for number in (0..BITS).filter(|number| kept & (1 << number) == 0) {
        // SAFETY: a system call without pointers.
        unsafe { libc::syscall(libc::SYS_prctl, libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
    }
}

/// Gives the thread and the program that it executes these capabilities and no other.
///
/// # Safety
/// Changes the calling thread.
unsafe fn keep(kept: u64) -> Result<(), c_int> {
    let header = Header { version: VERSION, pid: 0 };
    let word = |word: u64| {
        let bits = u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
        Sets { effective: bits, permitted: bits, inheritable: bits }
    };
    let sets = [word(kept), word(kept >> 32)];
    // SAFETY: the kernel reads both arguments.
    done(unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) })?;
    for number in (0..BITS).filter(|number| kept & (1 << number) != 0) {
        let raise = libc::PR_CAP_AMBIENT_RAISE;
        // SAFETY: a system call without pointers.
        done(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_CAP_AMBIENT, raise, number, 0, 0) })?;
    }
    Ok(())
}

/// The effective capabilities of this process.
fn held() -> io::Result<u64> {
    let header = Header { version: VERSION, pid: 0 };
    let mut sets = [Sets::default(); 2];
    // SAFETY: the kernel reads the header and fills both sets.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr()) };
    if got == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(sets[0].effective) | u64::from(sets[1].effective) << 32)
}

fn done(result: libc::c_long) -> Result<(), c_int> {
    if result == -1 {
        return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EPERM));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stub_reads_what_its_parent_wrote() {
        let identity = Identity { uid: 1000, gid: 1001, groups: vec![4, 1001], home: None };
        let some =
            Privileges { identity: Some(identity), capabilities: Some(1 << 10), no_new_privileges: true };
        for privileges in [&UNCHANGED, &some] {
            assert_eq!(Privileges::decoded(&privileges.encoded()).as_ref(), Some(privileges));
        }
        assert_eq!(Privileges::decoded("x y:1:0"), None);
    }
}
