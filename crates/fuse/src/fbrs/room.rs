//! Memory in which fuse-backend-rs takes a request apart and puts its reply together.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use fuse_backend_rs::api::filesystem::FileSystem;
use fuse_backend_rs::api::server::Server;
use fuse_backend_rs::transport::{FuseBuf, FuseDevWriter, Reader};

use debridfs_handover::OUT_HEADER_LEN;

/// Bytes of the longest reply that the library puts together: a listing of 256 pages, which is as
/// much as the kernel asks for at once (`FUSE_MAX_MAX_PAGES`), and its header. Bytes of files are
/// not among them.
const ROOM: usize = (1 << 20) + 4096;

/// `/dev/null`, opened once for the whole process.
pub(super) fn null_device() -> io::Result<&'static File> {
    static NULL: OnceLock<File> = OnceLock::new();
    if NULL.get().is_none() {
        #[allow(
            clippy::disallowed_methods,
            reason = "a device, which cannot hang, once at the start"
        )]
        let null = File::options().write(true).open("/dev/null")?;
        // Another thread may have been sooner; then this one is closed again.
        let _ = NULL.set(null);
    }
    NULL.get().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// What the library answered.
pub(super) struct Answered<'a> {
    /// 0 if the request succeeded.
    pub(super) errno: i32,
    /// What follows the header.
    pub(super) body: &'a [u8],
}

/// The memory of one thread.
pub(super) struct Room {
    request: Vec<u8>,
    reply: Vec<u8>,
}

thread_local! {
    // Pages of the reply that no listing needed stay untouched, so a thread takes some kilobytes.
    static OF_THIS_THREAD: RefCell<Room> = RefCell::new(Room {
        request: Vec::new(),
        reply: vec![0; ROOM],
    });
}

impl Room {
    /// Runs `work` with this thread's memory. It must not call itself.
    pub(super) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        OF_THIS_THREAD.with_borrow_mut(work)
    }

    /// Lets the library answer `request`, and gives its whole reply: of a read the header alone,
    /// though that names the length with the bytes.
    pub(super) fn handle<F: FileSystem + Sync>(
        &mut self,
        server: &Server<F>,
        request: &[u8],
        null: &File,
    ) -> fuse_backend_rs::Result<Answered<'_>> {
        use fuse_backend_rs::Error;

        self.request.clear();
        self.request.extend_from_slice(request);
        let reader: Reader<'_, ()> =
            Reader::from_fuse_buffer(FuseBuf::new(&mut self.request)).map_err(unusable)?;
        // A writer that was split off keeps what it is given; only an undivided one writes at once.
        let mut undivided =
            FuseDevWriter::new(null.as_raw_fd(), &mut self.reply).map_err(unusable)?;
        let writer = undivided.split_at(0).map_err(Error::FailedToSplitWriter)?;
        let length = server.handle_message(reader, writer.into(), None, None)?;
        let [_, _, _, _, e0, e1, e2, e3, ..] = self.reply[..] else {
            return Err(Error::InvalidHeaderLength);
        };
        Ok(Answered {
            errno: i32::from_ne_bytes([e0, e1, e2, e3]).saturating_neg(),
            body: self.reply.get(OUT_HEADER_LEN..length).unwrap_or_default(),
        })
    }
}

fn unusable(error: fuse_backend_rs::transport::Error) -> fuse_backend_rs::Error {
    fuse_backend_rs::Error::FailedToSplitWriter(error)
}
