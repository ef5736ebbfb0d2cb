//! Files in memory behind the same keeper and the same backend: what FUSE allows when no provider is in the way.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use debridfs_fuse::ServeOptions;
use debridfs_handover::EngineLink;
use debridfs_measure::{Running, pin, until};
use debridfs_vfs::{MemoryVfs, NodeId, ReadOut};
use jiff::Timestamp;
use rustix::fs::{Advice, fadvise};

use crate::library::temporary_dir;
use crate::reader::{Job, read};
use crate::{Options, Result};

/// The first file; the others follow.
const FIRST: NodeId = NodeId(2);
const FILES: u64 = 8;
/// Bytes that the files really have, again and again up to their size: far more than any processor's cache, out of which a file is not read either.
const MEMORY: u64 = 512 << 20;
/// Where in that memory the next file begins: readers that go side by side do not read the same bytes out of the cache either.
const APART: u64 = MEMORY / FILES;

fn name(number: u64) -> String {
    format!("memory-{number}")
}

/// Files in memory, mounted; all on the reader's core.
pub(crate) struct InMemory {
    mount: PathBuf,
    // The keeper goes before its engine, or it would report a death.
    _keeper: Running,
    _engine: Running,
    _dir: tempfile::TempDir,
}

impl InMemory {
    /// Mounts eight files of `size` bytes each.
    pub(crate) fn start(options: &Options, size: u64) -> Result<Self> {
        let dir = temporary_dir()?;
        let (mount, root) = (dir.path().join("mnt"), dir.path().display());
        std::fs::create_dir(&mount)?;
        let config = dir.path().join("debridfs.toml");
        std::fs::write(
            &config,
            format!(
                "state_dir = \"{root}/state\"\ncache_dir = \"{root}/cache\"\nruntime_dir = \"{root}/run\"\n[mount]\npath = \"{root}/mnt\"\nimmutable = false\n\
             [keeper]\nmode = \"attached\"\nsocket = \"{root}/keeper.sock\"\n[log]\nlevel = \"warn\"\n[provider.rd]\ntoken = \"unused\"\n"
            ),
        )?;
        let mut keeper = pin::command(&options.program, pin::CLIENT);
        keeper.args(["keeper", "--config"]).arg(&config);
        let keeper = Running::start(keeper, Some(&mount))?;
        let socket = dir.path().join("keeper.sock");
        until("the keeper listens", 10, || socket.exists())?;
        let mut engine = pin::command(std::env::current_exe()?, pin::CLIENT);
        engine
            .arg("memory-engine")
            .arg(&socket)
            .arg(size.to_string());
        let engine = Running::start(engine, None)?;
        let path = mount.join(name(0));
        until("the files in memory", 10, || {
            File::open(&path).is_ok_and(|mut file| file.read(&mut [0]).is_ok())
        })?;
        Ok(Self {
            mount,
            _keeper: keeper,
            _engine: engine,
            _dir: dir,
        })
    }

    /// The path of file `number`, below 8.
    pub(crate) fn file(&self, number: u64) -> PathBuf {
        self.mount.join(name(number))
    }

    /// MB/s of one reader of the first file, whose pages are dropped before.
    pub(crate) fn rate(&self) -> Result<f64> {
        let path = self.file(0);
        fadvise(&File::open(&path)?, 0, None, Advice::DontNeed)?;
        Ok(read(&Job::whole(path), 120)?.rate())
    }
}

/// The files, all of `size` bytes.
fn files(size: u64) -> MemoryVfs {
    let vfs = MemoryVfs::new(Timestamp::UNIX_EPOCH);
    let bytes = Bytes::from(vec![0x5a; size.clamp(1, MEMORY) as usize]);
    for number in 0..FILES {
        let bytes = bytes.clone();
        let id = NodeId(FIRST.0 + number);
        vfs.add_file(NodeId::ROOT, &name(number), id, size, move |request| {
            Ok(part(&bytes, number * APART + request.offset, request.size))
        });
    }
    vfs
}

/// `left` bytes from `at`, which go on at the start of `bytes` behind their end.
fn part(bytes: &Bytes, at: u64, left: u32) -> ReadOut {
    let mut at = (at % bytes.len() as u64) as usize;
    let mut left = left as usize;
    let mut out = ReadOut::new();
    while left > 0 {
        let part = bytes.slice(at..bytes.len().min(at + left));
        left -= part.len();
        at = 0;
        out.push(part);
    }
    out
}

/// Takes the connection from the keeper at `socket` and serves the files until the keeper is gone.
pub(crate) fn serve(socket: &Path, size: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let link = EngineLink::connect(socket, env!("CARGO_PKG_VERSION"), false)?;
    let lease = link.lease()?;
    let (_keep, changes) = tokio::sync::mpsc::unbounded_channel();
    let options = ServeOptions {
        notify_helper: None,
        retired: Vec::new(),
        outlives_keeper: None,
        crash: None,
    };
    let serving = debridfs_fuse::serve(
        link,
        lease,
        Arc::new(files(size)),
        runtime.handle().clone(),
        options,
        changes,
    )?;
    runtime.block_on(serving.wait());
    Ok(())
}
