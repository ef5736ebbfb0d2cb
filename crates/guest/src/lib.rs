//! A guest for tests: Debian's stock kernel in QEMU, by software emulation, so that it runs wherever the tests run.
//!
//! The kernel of the machine that runs the tests is one of many, and may lack the NFS and SMB clients, or the NFS server. Here a test has a kernel
//! of which it knows what it can do: that of Debian 12 (6.1, without `FUSE_NOTIFY_RESEND`).
//!
//! * [`Packages`] is what `scripts/setup.sh test` has unpacked: the kernel, its modules, programs that are not installed on the host.
//! * [`Image`] is an initramfs: busybox, the modules that were named with all that they need, programs with their libraries, files.
//! * [`Machine`] boots an image, runs its script, and gives what it printed and its exit status ([`Output`]). It has a limit of time and leaves
//!   nothing behind. Its network leads nowhere but to the ports of the test.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests wait for processes and touch files wherever they run"
)]

mod error;
mod image;
mod libraries;
mod machine;
mod modules;
mod packages;

pub use error::GuestError;
pub use image::Image;
pub use machine::{Forward, GATEWAY, Machine, Output, SERVER, Settings};
pub use packages::Packages;
