use std::io;

use debridfs_base::parent::DeathSignal;
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::{capabilities, filter};

/// Why an engine is not as confined as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The user could not be changed.
    #[error("cannot become user {uid}, group {gid}")]
    User {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Privileges could not be given up.
    #[error("cannot give up privileges: {call}")]
    Privileges {
        /// What was tried.
        call: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Whether system calls are filtered.
#[derive(Debug, PartialEq, Eq)]
pub enum Filter {
    /// They are.
    On,
    /// They are not; the reason, for people.
    Off(String),
}

/// Makes the calling thread another user's, for ever, without supplementary groups. Call it while the
/// process has one thread. It still ends with its parent, if it was to.
///
/// # Errors
/// Without `CAP_SETUID` and `CAP_SETGID`.
pub fn become_user(uid: u32, gid: u32) -> Result<(), ConfineError> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let change = || {
        let death = DeathSignal::of_thread()?;
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
        death.renew();
        Ok(())
    };
    change().map_err(|source: io::Error| ConfineError::User { uid, gid, source })
}

/// Nobody but root looks into this process from now on, whoever its user is: `/proc/PID/environ`, `maps` and `mem`, its descriptors, a debugger. A
/// program that it starts is as open as any other.
///
/// # Errors
/// The kernel does not refuse it.
pub fn close_to_others() -> Result<(), ConfineError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|errno| ConfineError::Privileges {
        call: "PR_SET_DUMPABLE",
        source: errno.into(),
    })
}

/// Gives up every capability and the way to get any, then filters the system calls of the calling thread
/// and of all that it starts. Call it while the process has one thread.
///
/// A filter that can't be had is no error: the library is worth more than the second lock. Say so loudly.
///
/// # Errors
/// When the kernel keeps privileges that should be gone.
pub fn confine() -> Result<Filter, ConfineError> {
    let failed = |call| {
        move |errno: rustix::io::Errno| ConfineError::Privileges {
            call,
            source: errno.into(),
        }
    };
    set_no_new_privs(true).map_err(failed("no_new_privs"))?;
    capabilities::drop_all().map_err(failed("capset"))?;
    Ok(match filter::install() {
        Ok(()) => Filter::On,
        Err(reason) => Filter::Off(reason),
    })
}
