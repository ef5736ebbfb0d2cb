//! Who listens on a port of this machine.
#![allow(
    clippy::disallowed_methods,
    reason = "what is read is of the kernel, on a thread that may block"
)]

use std::fs;
use std::path::Path;

/// The state of a socket that listens (`TCP_LISTEN`, include/net/tcp_states.h).
const LISTENS: &str = "0A";

/// Who listens on TCP `port`: a program with its process id where its descriptors may be read, and
/// its user otherwise. Nothing when nobody of this network namespace does. Blocks for some
/// milliseconds.
pub fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let tables = tables.map(|path| fs::read_to_string(path).unwrap_or_default());
    let (user, inode) = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .find_map(|line| listener(line, port))?;
    let of_user = || format!("a program of user {user}");
    Some(program(&inode).unwrap_or_else(of_user))
}

/// User and inode of a line of the table, if it is of a socket that listens on `port` (proc_pid_net(5)).
fn listener(line: &str, port: u16) -> Option<(String, String)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, at) = fields.get(1)?.rsplit_once(':')?;
    let found = u16::from_str_radix(at, 16).ok()? == port && *fields.get(3)? == LISTENS;
    found.then_some(())?;
    Some(((*fields.get(7)?).to_owned(), (*fields.get(9)?).to_owned()))
}

fn program(inode: &str) -> Option<String> {
    let socket = format!("socket:[{inode}]");
    let has_socket = |process: &Path| {
        let open = fs::read_dir(process.join("fd")).into_iter().flatten();
        open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
            .any(|target| target.as_os_str() == socket.as_str())
    };
    let processes = fs::read_dir("/proc").ok()?;
    let names = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Besides those of processes there are names such as `self`.
    let mut pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let pid = pids.find(|pid| has_socket(&Path::new("/proc").join(pid)))?;
    let process = Path::new("/proc").join(&pid);
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    Some(format!("{} (pid {pid})", name.trim_end()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_listens_is_named() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let words = holder(port).unwrap();
            assert!(
                words.contains(&format!("(pid {})", std::process::id())),
                "{words}"
            );
            drop(listener);
            assert_eq!(holder(port), None);
        }
    }
}
