use rustix::io;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// A capability and why the keeper has it.
#[derive(Clone, Copy, Debug)]
pub struct Needed {
    /// The capability.
    pub capability: CapabilitySet,
    /// Its name without `CAP_`, as Docker and Kubernetes write it.
    pub name: &'static str,
    /// What can't be done without it.
    pub reason: &'static str,
}

const fn needed(capability: CapabilitySet, name: &'static str, reason: &'static str) -> Needed {
    Needed {
        capability,
        name,
        reason,
    }
}

/// All that a keeper which runs as root keeps.
pub const KEEPER: [Needed; 8] = [
    needed(
        CapabilitySet::SYS_ADMIN,
        "SYS_ADMIN",
        "mount and unmount; make the mount again when it was lost",
    ),
    needed(
        CapabilitySet::DAC_OVERRIDE,
        "DAC_OVERRIDE",
        "look into the mount point, whose mode is 0000, below directories of other users; use the \
         runtime directory, which is the engine's",
    ),
    needed(
        CapabilitySet::SETUID,
        "SETUID",
        "start the engine as another user; make its socket as that user",
    ),
    needed(
        CapabilitySet::SETGID,
        "SETGID",
        "the same for the group, and give up supplementary groups",
    ),
    needed(
        CapabilitySet::KILL,
        "KILL",
        "end an engine that hangs, which is another user's process",
    ),
    needed(
        CapabilitySet::LINUX_IMMUTABLE,
        "LINUX_IMMUTABLE",
        "chattr +i of the empty mount point, so that nothing is written below the mount",
    ),
    needed(
        CapabilitySet::FOWNER,
        "FOWNER",
        "the same for a mount point that is another user's",
    ),
    needed(
        CapabilitySet::IPC_LOCK,
        "IPC_LOCK",
        "lock the journal of requests in memory, whatever RLIMIT_MEMLOCK says",
    ),
];

/// What came of [`keep_needed`].
#[derive(Debug, Default)]
pub struct Kept {
    /// Names from [`KEEPER`] that the process never had.
    pub missing: Vec<&'static str>,
    /// The bounding set could not be reduced (that needs `CAP_SETPCAP`), so a program that root
    /// starts from here could have more.
    pub bounding_stays: bool,
}

/// Drops every capability that is not in [`KEEPER`] from the calling thread's permitted, effective,
/// inheritable, ambient and bounding sets. Call it while the process has one thread. Without
/// capabilities it does nothing.
///
/// # Errors
/// When the kernel refuses; capabilities can always be given up, so it does not.
pub fn keep_needed() -> io::Result<Kept> {
    let before = capabilities(None)?;
    if before.permitted.is_empty() {
        return Ok(Kept::default());
    }
    let wanted = KEEPER
        .iter()
        .fold(CapabilitySet::empty(), |all, one| all | one.capability);
    let missing = KEEPER
        .iter()
        .filter(|one| !before.permitted.contains(one.capability))
        .map(|one| one.name)
        .collect();
    clear_ambient_capability_set()?;
    // First, as it needs a capability that goes with the others.
    let bounding_stays = reduce_bounding_set(wanted).is_err();
    let kept = before.permitted & wanted;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(Kept {
        missing,
        bounding_stays,
    })
}

/// Gives up every capability of the calling thread.
pub(crate) fn drop_all() -> io::Result<()> {
    clear_ambient_capability_set()?;
    // Where that is allowed; with `no_new_privs` the set means nothing.
    let _ = reduce_bounding_set(CapabilitySet::empty());
    let none = CapabilitySet::empty();
    set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )
}

fn reduce_bounding_set(kept: CapabilitySet) -> io::Result<()> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(one) {
            Ok(true) if !kept.contains(one) => remove_capability_from_bounding_set(one)?,
            Ok(_) => {}
            // The kernel's last capability was the one before.
            Err(io::Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
