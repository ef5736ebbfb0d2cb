//! What the benchmark has of its own: a network, whose loopback interface is set for measuring without touching the machine's, and mounts,
//! which go with its processes however they end.

use std::os::unix::process::CommandExt;
use std::process::Command;

use debridfs_measure::pin;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::{Result, library};

/// Set for the program that is in its own namespaces.
const INSIDE: &str = "DEBRIDFS_BENCH_OWN_NAMESPACES";

/// Goes on in a network and a mount namespace of its own, by replacing this process, whose loopback interface hands each packet to the server's core
/// (Receive Packet Steering; `Documentation/networking/scaling.rst` of Linux).
///
/// Otherwise the kernel would do much of the server's sending on the reader's core: over loopback each acknowledgement is taken in where the
/// reader's call made it, and sets off the next segments there.
///
/// # Errors
/// Without root, `unshare` or `ip`.
pub(crate) fn enter() -> Result<()> {
    if std::env::var_os(INSIDE).is_none() {
        let failed = Command::new("unshare")
            .args(["--net", "--mount", "--"])
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(INSIDE, "1")
            .exec();
        return Err(format!("unshare: {failed}").into());
    }
    if !Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?
        .success()
    {
        return Err("the loopback interface cannot be set up: run as root".into());
    }
    // As the simulator sends: BBR, which some machines are set to, paces by timers of the sender's core.
    std::fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "reno")?;
    steer()
}

/// Hands the packets of loopback to the server's core. The machine's `/sys` shows the interfaces of another namespace.
fn steer() -> Result<()> {
    let cores = format!("{:x}", 1u64 << pin::SERVER.parse::<u32>()?);
    let sysfs = library::temporary_dir()?;
    mount("sysfs", sysfs.path(), "sysfs", MountFlags::empty(), None)?;
    let steered = std::fs::write(
        sysfs.path().join("class/net/lo/queues/rx-0/rps_cpus"),
        cores,
    );
    unmount(sysfs.path(), UnmountFlags::empty())?;
    Ok(steered?)
}
