//! As whom something is tried.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

/// The ordinary user: the first one of most systems, and what images of media servers run as.
pub const USER: u32 = 1000;

/// As whom something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As the test itself.
    Own,
    /// Root with every capability the test has.
    Root,
    /// User and group 1000, as `runAsUser: 1000`.
    User,
    /// User 1000, no capability that could be had again, `no_new_privs`: PodSecurity's
    /// `restricted`.
    Restricted,
    /// Root with nothing but its number: no capabilities, `no_new_privs`.
    BareRoot,
}

impl Level {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "as started",
            Self::Root => "root",
            Self::User => "uid 1000",
            Self::Restricted => "restricted",
            Self::BareRoot => "root without capabilities",
        }
    }

    /// Becomes it, for ever. Only the calling thread does: call it before there are others.
    ///
    /// # Errors
    /// Without the capabilities to change.
    pub fn enter(self) -> io::Result<()> {
        if matches!(self, Self::Own | Self::Root) {
            return Ok(());
        }
        if self != Self::User {
            for bit in 0..u64::BITS {
                // Numbers that this kernel does not know are refused.
                let one = CapabilitySet::from_bits_retain(1 << bit);
                let _ = rustix::thread::remove_capability_from_bounding_set(one);
            }
        }
        if self != Self::BareRoot {
            rustix::thread::set_thread_groups(&[])?;
            let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
            rustix::thread::set_thread_res_gid(gid, gid, gid)?;
            rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        }
        if self != Self::User {
            let none = CapabilitySet::empty();
            let sets = CapabilitySets {
                effective: none,
                permitted: none,
                inheritable: none,
            };
            rustix::thread::set_capabilities(None, sets)?;
            rustix::thread::set_no_new_privs(true)?;
        }
        Ok(())
    }
}

/// True when this process may mount, as far as capabilities say.
pub fn has_sys_admin() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// True when this process may become somebody else.
pub fn may_change() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETPCAP;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}
