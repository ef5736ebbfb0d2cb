//! Serves a lent connection from adoption to its end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use debridfs_handover::{Custody, EngineLink, Lease};
use debridfs_vfs::{Change, Vfs};
use tokio::runtime::Handle;
use tokio::sync::{mpsc::UnboundedReceiver, watch};
use tokio::task::AbortHandle;

use crate::adoption;
use crate::backend::Backend;
use crate::crash_hook::CrashHook;
use crate::crash_report;
use crate::keeper_link::KeeperLink;
use crate::native::Native;
use crate::notify::{self, NotifyHelper};
use crate::published::Published;
use crate::second_try::SecondTryVfs;
use crate::stats::Snapshot;
use crate::transport::{self, Connection};

/// What [`serve`] needs to know besides.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// How to start the helper that tells the kernel about changes; without one the kernel is not told (for tests).
    pub notify_helper: Option<NotifyHelper>,
    /// Names that went while no engine ran, to be told to the kernel: those gone since the mount was made (`lease.terms.mounted_at`).
    pub retired: Vec<Change>,
    /// Where a new keeper is looked for when this one is gone: this engine serves on and brings it the connection. `None`: the engine ends
    /// with its keeper.
    pub outlives_keeper: Option<Outlives>,
    /// For tests.
    pub crash: Option<CrashHook>,
}

/// How an engine finds the keeper after its own.
#[derive(Debug, Clone)]
pub struct Outlives {
    /// The keeper's socket.
    pub socket: PathBuf,
    /// Version of the program, for people.
    pub version: String,
}

/// Why serving ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The connection is gone: unmounted or aborted.
    Unmounted,
    /// The keeper said to end.
    Stopped,
    /// Another engine takes over.
    Replaced,
    /// The keeper is gone, and the mount with it.
    KeeperGone,
}

/// A connection being served. Dropping it ends nothing: an engine ends by exiting, at any time.
pub struct Serving {
    connection: Arc<Connection>,
    mounted_at: u64,
    ended: watch::Receiver<Option<Ended>>,
}

/// Serves a lent connection with the backend `native`; see [`serve_with`].
///
/// # Errors
/// When a thread cannot be started.
pub fn serve(
    link: EngineLink,
    lease: Lease,
    vfs: Arc<dyn Vfs>,
    runtime: Handle,
    options: ServeOptions,
    changes: UnboundedReceiver<Vec<Change>>,
) -> io::Result<Serving> {
    let backend = Arc::new(Native::new(Arc::new(SecondTryVfs::new(Arc::clone(&vfs)))));
    serve_with(backend, link, lease, vfs, runtime, options, changes)
}

/// Serves a lent connection: adopts what the journal holds, starts the transport threads, tells the keeper, and listens to it from then on.
///
/// Returns at once; adoption goes on in a thread of its own. `runtime` must have timers and more than one thread.
///
/// # Errors
/// When a thread cannot be started.
pub fn serve_with(
    backend: Arc<dyn Backend>,
    link: EngineLink,
    lease: Lease,
    vfs: Arc<dyn Vfs>,
    runtime: Handle,
    options: ServeOptions,
    changes: UnboundedReceiver<Vec<Change>>,
) -> io::Result<Serving> {
    let notified = lease.fds.main.try_clone()?;
    let outlives = match options.outlives_keeper {
        Some(outlives) => Some((outlives, Custody::of(&lease)?)),
        None => None,
    };
    let threads = lease.terms.layout.slots;
    let mounted_at = lease.terms.mounted_at;
    let distrusted = backend.distrusted();
    let (connection, held) = Connection::adopt(lease, backend, runtime.clone(), options.crash);
    let connection = Arc::new(connection);
    crash_report::install(connection.journal());
    let (say_ended, ended) = watch::channel(None);

    let mut published = Published::new(Arc::clone(connection.journal()), Arc::clone(&vfs));
    published.refresh();
    let mut tasks = Vec::new();
    let stop_beating = Arc::new(AtomicBool::new(false));
    {
        let (runtime, stop) = (runtime.clone(), stop_beating.clone());
        thread::Builder::new()
            .name("heartbeat".into())
            .spawn(move || published.beat(&runtime, &stop))?;
    }
    if let Some(helper) = options.notify_helper {
        let first = notify::after_adoption(vfs.as_ref(), options.retired);
        let telling = runtime.spawn(notify::tell(helper, notified, first, changes, distrusted));
        tasks.push(telling.abort_handle());
    }

    let adopter = {
        let connection = Arc::clone(&connection);
        let say_ended = say_ended.clone();
        move || {
            let (suspects, rest) = adoption::by_blame(held);
            adoption::replay_suspects(&connection, &runtime, &suspects);
            let started = start_threads(&connection, threads);
            if let Err(error) = link.serving() {
                tracing::warn!(%error, "the keeper was not told that requests are read");
            }
            adoption::replay(&connection, &rest);
            drop((suspects, rest));
            let keeper = KeeperLink::new(link, outlives);
            thread::scope(|scope| {
                scope.spawn(|| {
                    let end = keeper.listen(|| {
                        adoption::replay(&connection, &connection.take_stand_in());
                    });
                    say_ended.send_if_modified(|ended| {
                        let first = ended.is_none();
                        ended.get_or_insert(end);
                        first
                    });
                });
                started.into_iter().for_each(|thread| {
                    // A thread that panicked ended as well.
                    let _ = thread.join();
                });
                connection.abandon();
                tasks.iter().for_each(AbortHandle::abort);
                stop_beating.store(true, Ordering::Relaxed);
                say_ended.send_replace(Some(Ended::Unmounted));
                keeper.close();
            });
        }
    };
    thread::Builder::new()
        .name("fuse-adopt".into())
        .spawn(adopter)?;
    Ok(Serving {
        connection,
        mounted_at,
        ended,
    })
}

fn start_threads(connection: &Arc<Connection>, count: u32) -> Vec<thread::JoinHandle<()>> {
    let start = |index| {
        let connection = Arc::clone(connection);
        thread::Builder::new()
            .name(format!("fuse-{index}"))
            .spawn(move || transport::run(&connection, index))
            .inspect_err(|error| tracing::error!(%error, index, "a transport thread is missing"))
            .ok()
    };
    (0..count).filter_map(start).collect()
}

impl Serving {
    /// Waits for the end.
    pub async fn wait(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(end)) => end.clone(),
            // The thread that says so cannot end without.
            Ok(None) | Err(_) => Ended::Unmounted,
        }
    }

    /// When the connection was mounted, as Unix time in milliseconds.
    pub fn mounted_at(&self) -> u64 {
        self.mounted_at
    }

    /// Counters of this engine.
    pub fn stats(&self) -> Snapshot {
        self.connection.stats.snapshot(self.connection.waiting())
    }
}
