//! An engine that somebody else has taken over: confined as the real one is, it makes every system
//! call that its filter lets through, at random, on everything it has, changes what it shares with
//! the keeper, says random words, and dies in some way. The same number (that of the test and of the
//! lease) makes the same choices.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use debridfs_confine::Filter;
use debridfs_handover::hostile::to_keeper;
use debridfs_handover::{EngineLink, Lease, packet};

/// Calls that are not made at random. Of these the first two write out the disks of the whole
/// machine, and the others make processes: an heir is among the ways to die.
const LEFT_OUT: [&str; 7] = [
    "sync", "syncfs", "fork", "vfork", "clone", "execve", "execveat",
];

/// The signal that an owner gets (fcntl(2), `asm-generic/fcntl.h`).
const F_SETSIG: libc::c_int = 10;

/// Bytes that random calls read and write.
const SCRATCH: usize = 1 << 16;

/// SplitMix64.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// What it can lay hands on.
#[derive(Clone, Debug)]
struct Loot {
    link: RawFd,
    main: RawFd,
    journal: RawFd,
    clones: Vec<RawFd>,
    keeper: libc::c_long,
}

impl Loot {
    fn shared(&self, random: &mut Random) -> RawFd {
        match random.below(4) {
            0 | 1 => self.main,
            2 => self.journal,
            _ => random.one(&self.clones),
        }
    }

    fn any(&self, random: &mut Random) -> RawFd {
        match random.below(4) {
            0 => self.link,
            1 => random.below(64) as RawFd,
            _ => self.shared(random),
        }
    }
}

/// Does its worst for a moment, and dies.
pub fn run(link: EngineLink, lease: Lease, scratch: &Path, seed: u64) -> ! {
    let mut random = Random(seed);
    std::env::set_current_dir(scratch).unwrap();
    be_no_burden();
    assert_eq!(debridfs_confine::confine().unwrap(), Filter::On);
    let number = |fd: &OwnedFd| fd.as_raw_fd();
    let loot = Loot {
        link: link.as_fd().as_raw_fd(),
        main: number(&lease.fds.main),
        journal: number(&lease.fds.journal),
        clones: lease.fds.clones.iter().map(number).collect(),
        // SAFETY: asks for a number.
        keeper: unsafe { libc::getppid() }.into(),
    };
    lease.journal.beat();
    if random.below(4) > 0 {
        let _ = link.serving();
    }
    for _ in 0..3 {
        let (loot, mut random) = (loot.clone(), Random(random.next()));
        std::thread::spawn(move || {
            let mut scratch = vec![0; SCRATCH];
            loop {
                match random.below(8) {
                    0..4 => call(&loot, &mut random, &mut scratch),
                    4..6 => tamper(&loot, &mut random),
                    6 => say(&loot, &mut random),
                    _ => scribble(&loot, &mut random),
                }
            }
        });
    }
    let until = 20 + random.below(200);
    for _ in 0..until / 10 {
        std::thread::sleep(Duration::from_millis(10));
        lease.journal.beat();
    }
    die(&loot, &mut random);
}

/// The machine is others' as well: no memory, no files and no processes without end.
fn be_no_burden() {
    let limits = [
        (libc::RLIMIT_FSIZE, 16 << 20),
        (libc::RLIMIT_AS, 1 << 30),
        (libc::RLIMIT_NPROC, 64),
        (libc::RLIMIT_CORE, 0),
    ];
    for (resource, most) in limits {
        let limit = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        // SAFETY: reads one structure that outlives the call.
        unsafe { libc::setrlimit(resource, &raw const limit) };
    }
}

/// One system call that the filter lets through, with arguments that might mean something.
fn call(loot: &Loot, random: &mut Random, scratch: &mut [u8]) {
    let all: Vec<_> = debridfs_confine::allowed().collect();
    let (name, number) = random.one(&all);
    if LEFT_OUT.contains(&name) {
        return;
    }
    let at = random.below(SCRATCH / 2);
    for byte in &mut scratch[at..at + 64] {
        *byte = random.next() as u8 & random.one(&[0, 3, 0xff]);
    }
    let path = random.one(&[c".", c"x", c"y", c"/dev/fuse", c"/proc/self/fd/3"]);
    let arguments: [libc::c_long; 6] = std::array::from_fn(|_| match random.below(8) {
        0..3 => loot.any(random).into(),
        3 => random.below(4096) as libc::c_long,
        4 => scratch[at..].as_mut_ptr() as libc::c_long,
        5 => path.as_ptr() as libc::c_long,
        6 => random.one(&[0, -1, loot.keeper, 1, 2]),
        _ => random.next() as libc::c_long,
    });
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: none. This process is to be destroyed, in whatever way.
    unsafe { libc::syscall(number, a, b, c, d, e, f) };
}

/// Changes what belongs to the open file, and so to the keeper as well.
fn tamper(loot: &Loot, random: &mut Random) {
    let fd = if random.below(8) == 0 {
        random.one(&[1, 2])
    } else {
        loot.shared(random)
    };
    let flags = random.one(&[
        0,
        libc::O_NONBLOCK,
        libc::O_ASYNC,
        libc::O_APPEND,
        libc::O_DIRECT,
    ]);
    let owner = random.one(&[loot.keeper, 0, -loot.keeper, 1]);
    let lock = libc::flock {
        l_type: random.one(&[libc::F_RDLCK, libc::F_WRLCK]) as libc::c_short,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let (offset, length) = (random.below(1 << 22) as i64, random.below(1 << 20) as i64);
    // SAFETY: the one structure that is read outlives the call; all else are numbers.
    unsafe {
        match random.below(12) {
            0..4 => libc::fcntl(fd, libc::F_SETFL, flags),
            4 => libc::fcntl(fd, libc::F_SETOWN, owner),
            5 => libc::fcntl(fd, F_SETSIG, random.one(&[0, libc::SIGKILL, libc::SIGTERM])),
            6 => libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK),
            7 => libc::fcntl(fd, libc::F_OFD_SETLK, &raw const lock),
            8 => libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB),
            9 => libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_FUTURE_WRITE),
            10 => libc::fallocate(
                fd,
                libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
                offset,
                length,
            ),
            _ => libc::fcntl(fd, libc::F_SETPIPE_SZ, 4096),
        };
    }
}

/// Random words to the keeper, some of them whole messages, with descriptors.
fn say(loot: &Loot, random: &mut Random) {
    let mut words = to_keeper(random.next() as u8).unwrap_or_else(|| b"{}".to_vec());
    if random.below(2) == 0 {
        let at = random.below(words.len());
        words[at] = random.next() as u8;
    }
    // SAFETY: descriptors of this process, some of which random calls may have closed: sending
    // fails then.
    let (link, fd) = unsafe {
        (
            std::os::fd::BorrowedFd::borrow_raw(loot.link),
            std::os::fd::BorrowedFd::borrow_raw(loot.shared(random)),
        )
    };
    let fds = vec![fd; random.below(4)];
    let _ = packet::send(link, &words, &fds);
}

/// Random words in the journal.
fn scribble(loot: &Loot, random: &mut Random) {
    let page = 4096 * random.below(1 << 10);
    let word = match random.below(3) {
        0 => u64::MAX,
        1 => random.below(4) as u64,
        _ => random.next(),
    };
    // SAFETY: a new mapping of one page, which is written to inside and taken away again. Where it
    // is beyond the file's end the process gets SIGBUS, as it deserves.
    unsafe {
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let null = std::ptr::null_mut();
        let mapped = libc::mmap(
            null,
            4096,
            both,
            libc::MAP_SHARED,
            loot.journal,
            page as i64,
        );
        if mapped != libc::MAP_FAILED {
            let words = mapped.cast::<u64>();
            for _ in 0..16 {
                words.add(random.below(512)).write_volatile(word);
            }
            libc::munmap(mapped, 4096);
        }
    }
}

fn die(loot: &Loot, random: &mut Random) -> ! {
    // SAFETY: calls without pointers, in a process that ends here.
    unsafe {
        match random.below(8) {
            0 => libc::exit(0),
            1 => libc::abort(),
            2 => {
                libc::raise(libc::SIGSEGV);
            }
            // It hangs, until the keeper ends it.
            3 => {
                libc::raise(libc::SIGSTOP);
            }
            // It says that it goes, and stays.
            4 => {
                libc::close(loot.link);
            }
            // Another program, with everything in its hands.
            5 => {
                for fd in loot.clones.iter().chain([&loot.main, &loot.link]) {
                    libc::fcntl(*fd, libc::F_SETFD, 0);
                }
                let _ = Command::new("/proc/self/exe").arg("as-sleeper").exec();
            }
            6 => leave_an_heir(loot),
            _ => {}
        }
        if random.below(8) > 5 {
            loop {
                libc::pause();
            }
        }
        libc::kill(libc::getpid(), libc::SIGKILL);
    }
    unreachable!("killed")
}

/// An heir reads on for a while, where the next engine should.
fn leave_an_heir(loot: &Loot) {
    // SAFETY: the child makes system calls, and nothing else, until the alarm ends it.
    if unsafe { libc::fork() } != 0 {
        return;
    }
    let mut bytes = [0_u8; 8192];
    // SAFETY: as above; the buffer is as long as is said.
    unsafe {
        libc::alarm(1);
        loop {
            libc::fcntl(loot.main, libc::F_SETFL, 0);
            libc::read(loot.clones[0], bytes.as_mut_ptr().cast(), bytes.len());
        }
    }
}
