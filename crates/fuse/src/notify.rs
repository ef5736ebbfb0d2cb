//! Tells the kernel what changed, through a helper process.
//!
//! A notification can block in the kernel on an inode lock that is held by a request which this engine has to answer, and a thread in that state
//! survives SIGKILL and keeps its process from ending. So notifications are written by a process that answers nothing: it gets them ready-made on its
//! standard input and writes each to the connection, which is its standard output. It ends when its input does.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;

use debridfs_vfs::{Answer, Change, Kind, NodeId, Vfs};
use rustix::io::Errno;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::wire::{expire_entry, invalidate_entry, invalidate_inode, notification_len};

/// Lines of the root that are looked at; there are a few views only.
const VIEWS_MAX: usize = 4096;

/// The helper's whole life. The program calls it for its hidden subcommand, before it starts anything else.
///
/// # Errors
/// When standard input gives what is no notification, or cannot be read.
pub fn notify_helper_main() -> io::Result<()> {
    relay(&mut io::stdin().lock(), io::stdout().as_fd())
}

/// Copies notifications to the connection, one write each, until the input ends or the connection is gone.
fn relay(input: &mut dyn Read, connection: BorrowedFd<'_>) -> io::Result<()> {
    let mut message = [0; 512];
    loop {
        match input.read_exact(&mut message[..4]) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let length = notification_len(&message).ok_or(io::ErrorKind::InvalidData)?;
        input.read_exact(&mut message[4..length])?;
        // ENOENT: the kernel does not know the node or the name, so there is nothing to forget. Any other failure makes it remember something old at
        // worst, which is no reason to stop telling it; but when the connection is gone there is nobody to tell.
        if rustix::io::write(connection, &message[..length]) == Err(Errno::NODEV) {
            return Ok(());
        }
    }
}

/// How to start the helper: the program itself, with its hidden subcommand.
#[derive(Debug, Clone)]
pub struct NotifyHelper {
    /// The program, usually `/proc/self/exe`.
    pub program: std::path::PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What the kernel may have wrong after a time without an engine: the root and its directories, and `retired` names.
pub(crate) fn after_adoption(vfs: &dyn Vfs, retired: Vec<Change>) -> Vec<Change> {
    let mut changes = vec![Change::Node(NodeId::ROOT)];
    if let Answer::Now(Ok(lines)) = vfs.read_dir(NodeId::ROOT, 0, VIEWS_MAX) {
        let views = lines.into_iter().filter(|line| {
            line.attr.kind == Kind::Directory && !matches!(line.name.as_str(), "." | "..")
        });
        changes.extend(views.map(|line| Change::Node(line.attr.id)));
    }
    changes.extend(retired);
    changes
}

/// Has every change told to the kernel until `changes` ends, and what is `distrusted` as well: what a
/// backend said of it may have been wrong.
pub(crate) async fn tell(
    helper: NotifyHelper,
    connection: OwnedFd,
    first: Vec<Change>,
    mut changes: UnboundedReceiver<Vec<Change>>,
    mut distrusted: Option<UnboundedReceiver<Vec<Change>>>,
) {
    let mut running: Option<(Child, ChildStdin)> = None;
    let mut message = encoded(&first, invalidate_entry);
    loop {
        // A helper that ended is replaced once; the connection is gone if the next one ends as well.
        for _attempt in 0..2 {
            if running.is_none() {
                running = start(&helper, &connection)
                    .inspect_err(
                        |error| tracing::error!(%error, "the notify helper cannot be started"),
                    )
                    .ok();
            }
            let Some((_, input)) = &mut running else {
                break;
            };
            match input.write_all(&message).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(%error, "the notify helper ended");
                    running = None;
                }
            }
        }
        let more = async {
            match &mut distrusted {
                Some(distrusted) => distrusted.recv().await,
                None => None,
            }
        };
        message = tokio::select! {
            next = changes.recv() => match next {
                Some(next) => encoded(&next, invalidate_entry),
                None => return,
            },
            Some(next) = more => encoded(&next, expire_entry),
        };
    }
}

/// Notifications of `changes`, with this form of the one about a name.
fn encoded(changes: &[Change], entry: fn(&mut Vec<u8>, u64, &[u8])) -> Vec<u8> {
    let mut out = Vec::new();
    for change in changes {
        match change {
            Change::Entry { parent, name } => entry(&mut out, parent.0, name.as_bytes()),
            // Bytes of a film never change, those of a `.strm` do; those of a directory are its cached lines.
            Change::Node(node) => invalidate_inode(&mut out, node.0, true),
        }
    }
    out
}

fn start(helper: &NotifyHelper, connection: &OwnedFd) -> io::Result<(Child, ChildStdin)> {
    let mut command = Command::new(&helper.program);
    for name in debridfs_base::private_variables() {
        command.env_remove(name);
    }
    let mut child = command
        .args(&helper.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::from(connection.try_clone()?))
        .spawn()?;
    let input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok((child, input))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn the_helper_writes_each_notification_by_itself() {
        let entry = Change::Entry {
            parent: NodeId(1),
            name: "name".into(),
        };
        let changes = [Change::Node(NodeId(5)), entry];
        let input = encoded(&changes, invalidate_entry);
        let (connection, kernel) = UnixDatagram::pair().unwrap();
        relay(&mut input.as_slice(), connection.as_fd()).unwrap();
        let mut message = [0; 512];
        assert_eq!(kernel.recv(&mut message).unwrap(), 40);
        assert_eq!(kernel.recv(&mut message).unwrap(), 37);
    }

    #[test]
    fn the_helper_refuses_what_is_no_notification() {
        let (connection, _kernel) = UnixDatagram::pair().unwrap();
        let error = relay(&mut [0xff; 64].take(64), connection.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
