//! A small engine: a directory of three files of known content, one of which it can hold back
//! and one of which kills it. What it does is told by files in a control directory:
//! `hold` (reads of `slow` are not answered while it exists, and it writes `held` when there are
//! any), `refused` (ends with [`REFUSED`], and never asks for a lease), `crash` (ends right after its lease), `hostile` (fills the journal with random bytes and
//! dies), `stays` (told to stop, it only lets go of the connection), `blocks` (answers nothing and
//! lets the keeper's reads block), `loses` (takes a request and forgets it, and writes `lost`),
//! `forgets` (has the kernel forget the pages of `slow` by a process of its own, whose pid is in `forgetting`),
//! `without-mount` (serves without a mount, and writes why there is none to `unmounted`),
//! `heir` (dies, and leaves a process that takes requests; its pid is in `heir-pid`), `taken-over`
//! (see `taken_over.rs`; it holds the seed).

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use debridfs_handover::journal::{Held, Journal, Place, Region, SLOT_SIZE};
use debridfs_handover::{Admission, EngineLink, FromKeeper, HandoverError, Lease, Mounted};

pub const FILE_SIZE: u64 = 1 << 20;
/// How an engine ends that another instance refuses.
pub const REFUSED: u8 = 9;
pub const NAMES: [&str; 3] = ["data", "slow", "poison"];
const SLOW: u64 = 3;
const POISON: u64 = 4;

/// Byte of every file at an offset.
pub fn content(offset: u64) -> u8 {
    (offset ^ (offset >> 8) ^ (offset >> 16)) as u8
}

struct Engine {
    lease: Lease,
    region: Region,
    control: PathBuf,
    /// Reads held back.
    held: Mutex<Vec<Held>>,
}

/// `SOCKET CONTROL`
pub fn main(arguments: &[String]) -> ExitCode {
    let [socket, control] = arguments else {
        return ExitCode::FAILURE;
    };
    let control = PathBuf::from(control);
    if control.join("refused").exists() {
        return ExitCode::from(REFUSED);
    }
    let taken_over = std::fs::read_to_string(control.join("taken-over")).ok();
    let version = if taken_over.is_some() {
        "taken\nover\x1b[31m"
    } else {
        "honest"
    };
    let Ok((link, lease)) = take_lease(Path::new(socket), version, &control) else {
        return ExitCode::FAILURE;
    };
    let uid = rustix::process::getuid().as_raw();
    let _ = std::fs::write(control.join("uid"), uid.to_string());
    if control.join("crash").exists() {
        return ExitCode::FAILURE;
    }
    if control.join("hostile").exists() {
        hostile(&lease);
    }
    if let Some(seed) = taken_over {
        let seed: u64 = seed.trim().parse().unwrap();
        let scratch = control.with_file_name("scratch");
        let seed = seed ^ lease.terms.generation << 32;
        crate::taken_over::run(link, lease, &scratch, seed);
    }
    if control.join("heir").exists() {
        leaves_an_heir(&lease, &control);
    }
    if control.join("blocks").exists() {
        blocks(&link, &lease);
    }
    if control.join("loses").exists() {
        loses(&link, &lease, &control);
    }
    // The region needs a journal to own; the lease keeps the descriptors.
    let Lease {
        terms,
        fds,
        journal,
    } = lease;
    let journal = Arc::new(journal);
    let (region, found) = Region::adopt(Arc::clone(&journal));
    let unused = Journal::create(terms.layout).unwrap().0;
    let lease = Lease {
        terms,
        fds,
        journal: unused,
    };
    let engine = Arc::new(Engine {
        lease,
        region,
        control,
        held: Mutex::new(Vec::new()),
    });
    journal.publish_root(&attr_out(1).try_into().unwrap());
    journal.publish_statfs(&[9; 80]);
    journal.beat();
    let beating = Arc::clone(&engine);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(20));
            beating.region.journal().beat();
            beating.let_go();
            beating.forget();
        }
    });
    let (suspects, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|held| held.origin.suspicion > 0);
    suspects.into_iter().for_each(|held| engine.handle(held));
    for index in 0..engine.lease.fds.clones.len() {
        let engine = Arc::clone(&engine);
        std::thread::spawn(move || engine.serve(index as u32));
    }
    others.into_iter().for_each(|held| engine.handle(held));
    link.serving().unwrap();
    loop {
        match link.receive() {
            Ok(FromKeeper::TakeStandIn) => {
                engine
                    .region
                    .take_stand_in()
                    .into_iter()
                    .for_each(|held| engine.handle(held));
            }
            Ok(FromKeeper::Stop) if engine.control.join("stays").exists() => break,
            _ => return ExitCode::SUCCESS,
        }
    }
    // As an engine does that waits for the next keeper: same process, another program.
    let error = std::process::Command::new("/proc/self/exe")
        .arg("as-sleeper")
        .exec();
    panic!("{error}")
}

fn take_lease(
    socket: &Path,
    version: &str,
    control: &Path,
) -> Result<(EngineLink, Lease), HandoverError> {
    if !control.join("without-mount").exists() {
        let link = EngineLink::connect(socket, version, false)?;
        let lease = link.lease()?;
        return Ok((link, lease));
    }
    let link = EngineLink::connect_without_mount(socket, version, false)?;
    let lease = match link.admission()? {
        Admission::Lease(lease) => lease,
        Admission::Unmounted(unmounted) => {
            std::fs::write(control.join("unmounted"), unmounted.trouble.reason)?;
            link.serving()?;
            match link.mounted()? {
                Mounted::Lease(lease) => lease,
                Mounted::Stop | Mounted::Replaced => return Err(HandoverError::Gone),
            }
        }
    };
    Ok((link, lease))
}

impl Engine {
    fn serve(&self, index: u32) {
        let slot = self.region.journal().slot(index).unwrap();
        let fd = self.lease.fds.get(slot.fd_index()).unwrap();
        let mut buffer = [0; SLOT_SIZE];
        loop {
            match slot.receive(fd) {
                Ok(_) => {
                    let request = slot.request(&mut buffer).unwrap().to_vec();
                    let place = Place::Slot(slot.index());
                    self.handle(Held {
                        place,
                        origin: slot.origin(),
                        request,
                    });
                }
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return,
                Err(_) => {}
            }
        }
    }

    fn holds(&self) -> bool {
        self.control.join("hold").exists()
    }

    fn let_go(&self) {
        if !self.holds() {
            let held = std::mem::take(&mut *self.held.lock().unwrap());
            held.into_iter().for_each(|held| self.handle(held));
        }
    }

    /// As the engine's helper for notifications does: this one waits in the kernel for reads of the pages.
    #[expect(clippy::zombie_processes, reason = "it outlives this process")]
    fn forget(&self) {
        if std::fs::remove_file(self.control.join("forgets")).is_err() {
            return;
        }
        // fuse_out_header with FUSE_NOTIFY_INVAL_INODE, and fuse_notify_inval_inode_out: node, offset, length.
        let mut told = 40_u32.to_ne_bytes().to_vec();
        told.extend(2_u32.to_ne_bytes());
        told.extend(0_u64.to_ne_bytes());
        told.extend(SLOW.to_ne_bytes());
        told.extend([0; 16]);
        let connection = self.lease.fds.clones[0].try_clone().unwrap();
        let mut helper = std::process::Command::new("dd")
            .args(["bs=40", "count=1", "iflag=fullblock"])
            .stdin(std::process::Stdio::piped())
            .stdout(connection)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let _ = helper.stdin.take().unwrap().write_all(&told);
        std::fs::write(self.control.join("forgetting"), helper.id().to_string()).unwrap();
    }

    fn handle(&self, held: Held) {
        let journal = self.region.journal();
        let _active = match held.place {
            Place::Entry(id) => Some(journal.enter(id)),
            Place::Slot(_) => None,
        };
        let request = &held.request;
        let byte = |at: usize| request.get(at).copied().unwrap_or(0);
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|n| byte(at + n)));
        let long = |at: usize| u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|n| byte(at + n)));
        let node = long(16);
        let (error, body) = match word(4) {
            1 => lookup(&request[40..]),
            3 => (0, attr_out(node)),
            14 => (0, vec![0; 16]),
            15 if node == POISON => std::process::abort(),
            15 if node == SLOW && self.holds() => return self.hold(held),
            15 => {
                let end = (long(48) + u64::from(word(56))).min(FILE_SIZE);
                (0, (long(48)..end).map(content).collect())
            }
            17 => (0, vec![9; 80]),
            18 => (0, Vec::new()),
            28 => (0, readdir(long(48), false)),
            44 => (0, readdir(long(48), true)),
            36 => return self.interrupt(&held, long(40)),
            2 | 42 => return self.region.release(held.place),
            _ => (libc::ENOSYS, Vec::new()),
        };
        self.reply(&held, error, &body);
    }

    fn hold(&self, mut held: Held) {
        if let Place::Slot(_) = held.place {
            let id = self.region.store(&held.request, held.origin).unwrap();
            self.region.release(held.place);
            held.place = Place::Entry(id);
        }
        self.held.lock().unwrap().push(held);
        let _ = std::fs::write(self.control.join("held"), "");
    }

    fn interrupt(&self, by: &Held, unique: u64) {
        let mut all = self.held.lock().unwrap();
        if let Some(at) = all.iter().position(|held| held.unique() == unique) {
            self.reply(&all.swap_remove(at), libc::EINTR, &[]);
        } else {
            // Answered, or lost by an engine before this one, which only an answer ends.
            let mut bytes = 16_u32.to_ne_bytes().to_vec();
            bytes.extend((-libc::EINTR).to_ne_bytes());
            bytes.extend(unique.to_ne_bytes());
            let mut fds = self.lease.fds.of_connection();
            fds.find(|fd| rustix::io::write(fd, &bytes).is_ok());
        }
        self.region.release(by.place);
    }

    fn reply(&self, held: &Held, error: i32, body: &[u8]) {
        let mut bytes = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend((-error).to_ne_bytes());
        bytes.extend(held.unique().to_ne_bytes());
        bytes.extend(body);
        if let Some(fd) = self.lease.fds.get(held.origin.fd)
            && rustix::io::write(fd, &bytes).is_ok()
        {
            self.region.journal().note_answered();
        }
        self.region.release(held.place);
    }
}

fn attr(node: u64) -> Vec<u8> {
    let mut bytes = vec![0; 88];
    let (size, mode) = if node == 1 {
        (0, 0o040_555)
    } else {
        (FILE_SIZE, 0o100_444)
    };
    bytes[..8].copy_from_slice(&node.to_ne_bytes());
    bytes[8..16].copy_from_slice(&u64::to_ne_bytes(size));
    bytes[60..64].copy_from_slice(&u32::to_ne_bytes(mode));
    bytes[64..68].copy_from_slice(&2_u32.to_ne_bytes());
    bytes[80..84].copy_from_slice(&4096_u32.to_ne_bytes());
    bytes
}

/// Valid for no time, so that every `stat` asks.
fn attr_out(node: u64) -> Vec<u8> {
    [vec![0; 16], attr(node)].concat()
}

fn lookup(name: &[u8]) -> (i32, Vec<u8>) {
    let found = NAMES
        .iter()
        .position(|known| [known.as_bytes(), b"\0"].concat() == name);
    found.map_or((libc::ENOENT, Vec::new()), |at| {
        (0, entry_out(at as u64 + 2))
    })
}

fn entry_out(node: u64) -> Vec<u8> {
    let mut bytes = node.to_ne_bytes().to_vec();
    bytes.extend(1_u64.to_ne_bytes());
    bytes.extend([0; 24]);
    bytes.extend(attr(node));
    bytes
}

fn readdir(from: u64, plus: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, name) in NAMES.iter().enumerate().skip(from as usize) {
        if plus {
            bytes.extend(entry_out(at as u64 + 2));
        }
        bytes.extend((at as u64 + 2).to_ne_bytes());
        bytes.extend((at as u64 + 1).to_ne_bytes());
        bytes.extend((name.len() as u32).to_ne_bytes());
        bytes.extend(8_u32.to_ne_bytes());
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

/// Says that it serves, and makes every read of the keeper's wait.
fn blocks(link: &EngineLink, lease: &Lease) -> ! {
    link.serving().unwrap();
    loop {
        lease.journal.beat();
        rustix::fs::fcntl_setfl(&lease.fds.main, rustix::fs::OFlags::empty()).unwrap();
    }
}

/// Dies, and leaves a process of a session of its own that takes requests.
fn leaves_an_heir(lease: &Lease, control: &Path) -> ! {
    // SAFETY: this process has one thread.
    if unsafe { libc::fork() } != 0 {
        std::thread::sleep(Duration::from_millis(200));
        std::process::abort();
    }
    rustix::process::setsid().unwrap();
    rustix::process::set_parent_process_death_signal(None).unwrap();
    std::fs::write(control.join("heir-pid"), std::process::id().to_string()).unwrap();
    let mut buffer = [0; SLOT_SIZE];
    loop {
        let _ = rustix::io::read(&lease.fds.clones[0], &mut buffer);
    }
}

/// Answers what leads to a file, and takes the first READ without a trace.
fn loses(link: &EngineLink, lease: &Lease, control: &Path) -> ! {
    link.serving().unwrap();
    let mut buffer = [0; SLOT_SIZE];
    loop {
        lease.journal.beat();
        let Ok(length) = rustix::io::read(&lease.fds.clones[0], &mut buffer) else {
            continue;
        };
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|n| buffer[at + n]));
        let (error, body) = match word(4) {
            1 => lookup(&buffer[40..length]),
            3 => (0, attr_out(u64::from(word(16)))),
            14 => (0, vec![0; 16]),
            15 => {
                std::fs::write(control.join("lost"), "").unwrap();
                continue;
            }
            2 | 36 | 42 => continue,
            _ => (libc::ENOSYS, Vec::new()),
        };
        let mut bytes = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend((-error).to_ne_bytes());
        bytes.extend_from_slice(&buffer[8..16]);
        bytes.extend(body);
        let _ = rustix::io::write(&lease.fds.clones[0], &bytes);
    }
}

/// Writes noise over the whole journal and dies.
fn hostile(lease: &Lease) -> ! {
    let mut state = u64::from(std::process::id()) | 1;
    let mut noise = vec![0_u8; lease.terms.layout.total()];
    for byte in &mut noise {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        // Small values now and then: states, flags and fd indices that look right.
        *byte = if state >> 62 == 0 {
            (state >> 33) as u8 & 3
        } else {
            (state >> 33) as u8
        };
    }
    // The journal's own interface allows nothing of this kind.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps
        .lines()
        .find(|line| line.contains("debridfs-journal"))
        .unwrap();
    let start = u64::from_str_radix(line.split_once('-').unwrap().0, 16).unwrap();
    let memory = std::fs::File::options()
        .write(true)
        .open("/proc/self/mem")
        .unwrap();
    memory.write_all_at(&noise, start).unwrap();
    std::process::abort()
}
