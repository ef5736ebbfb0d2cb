//! Descriptors that a process was started with.

use std::io;

/// Keeps every descriptor but the first three from programs that this process starts. What a
/// service manager hands over (`LISTEN_FDS`) is open for them otherwise: one that is left behind
/// would keep a mount alive that nobody serves.
///
/// # Errors
/// Without `/proc`.
pub fn keep_from_children() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<i32>().ok());
        if let Some(number) = number.filter(|number| *number > 2) {
            // SAFETY: takes an integer and sets a flag; one that is closed by now is refused.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}
