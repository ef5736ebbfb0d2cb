//! What the kernel answers to a confined thread: everything here is given to threads, as privileges and filters are a thread's.
//! Needs root, or the refusals would prove nothing.

use std::io;
use std::net::UdpSocket;
use std::process::Command;

use debridfs_confine::{Filter, KEEPER, become_user, confine, keep_needed};
use rustix::process::{Signal, parent_process_death_signal, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, capabilities};

/// Runs in a thread of its own, which ends with what it was given.
fn in_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(body).join().expect("the thread ends")
}

fn confined<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    in_a_thread(|| {
        assert_eq!(confine().expect("confined"), Filter::On);
        body()
    })
}

/// The errno of a system call with these arguments, 0 when it succeeds.
fn errno(number: libc::c_long, arguments: [libc::c_long; 5]) -> i32 {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the calls of these tests are given null pointers and numbers that the kernel refuses, or
    // that change nothing but the calling thread or make a descriptor.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result < 0 {
        io::Error::last_os_error().raw_os_error().unwrap_or(0)
    } else {
        0
    }
}

fn status(key: &str) -> String {
    let text = std::fs::read_to_string("/proc/thread-self/status").expect("proc");
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or_else(|| panic!("no {key}"))
        .trim_start_matches(':')
        .trim()
        .to_owned()
}

/// System calls that only an attacker would make from an engine, with arguments that are harmless.
const FORBIDDEN: [(&str, libc::c_long, [libc::c_long; 5]); 13] = [
    ("mount", libc::SYS_mount, [0; 5]),
    ("umount2", libc::SYS_umount2, [0; 5]),
    ("unshare", libc::SYS_unshare, [0; 5]),
    ("setns", libc::SYS_setns, [-1, 0, 0, 0, 0]),
    ("ptrace", libc::SYS_ptrace, [-1, 0, 0, 0, 0]),
    ("process_vm_readv", libc::SYS_process_vm_readv, [0; 5]),
    ("bpf", libc::SYS_bpf, [-1, 0, 0, 0, 0]),
    ("io_uring_setup", libc::SYS_io_uring_setup, [0; 5]),
    ("userfaultfd", libc::SYS_userfaultfd, [-1, 0, 0, 0, 0]),
    (
        "open_by_handle_at",
        libc::SYS_open_by_handle_at,
        [-1, 0, 0, 0, 0],
    ),
    ("keyctl", libc::SYS_keyctl, [-1, 0, 0, 0, 0]),
    ("clone3", libc::SYS_clone3, [0; 5]),
    ("init_module", libc::SYS_init_module, [0; 5]),
];

#[test]
fn forbidden_calls_do_not_exist() {
    // Without the filter the kernel knows all of them, or the test would prove nothing. Some kernels are built
    // without one or the other.
    let known = in_a_thread(|| {
        FORBIDDEN
            .iter()
            .filter(|(_, number, arguments)| errno(*number, *arguments) != libc::ENOSYS)
            .count()
    });
    assert!(known >= 9, "this kernel knows {known} of them");
    let answers =
        confined(|| FORBIDDEN.map(|(name, number, arguments)| (name, errno(number, arguments))));
    for (name, answer) in answers {
        assert_eq!(answer, libc::ENOSYS, "{name}");
    }
}

#[test]
fn conditions_are_on_arguments() {
    let socket = |family: i32| {
        errno(
            libc::SYS_socket,
            [family.into(), libc::SOCK_DGRAM.into(), 0, 0, 0],
        )
    };
    let terminal = || errno(libc::SYS_ioctl, [-1, 0x5412, 0, 0, 0]);
    // Its lower half is what the kernel looks at.
    let hidden = || errno(libc::SYS_ioctl, [-1, 0x1_0000_5412, 0, 0, 0]);
    let namespace = || {
        let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
        errno(libc::SYS_clone, [flags.into(), 0, 0, 0, 0])
    };
    assert_eq!(in_a_thread(terminal), libc::EBADF);
    let (unix, packet, vsock, typed, hidden, user) = confined(move || {
        (
            socket(libc::AF_UNIX),
            socket(libc::AF_PACKET),
            socket(libc::AF_VSOCK),
            terminal(),
            hidden(),
            namespace(),
        )
    });
    assert_eq!(unix, 0);
    for refused in [packet, vsock, typed, hidden, user] {
        assert_eq!(refused, libc::ENOSYS);
    }
}

#[test]
fn threads_sockets_and_programs_go_on() {
    let said = confined(|| {
        let inner = in_a_thread(|| UdpSocket::bind("127.0.0.1:0").map(drop));
        inner.expect("a socket in a thread of it");
        Command::new("sh")
            .args([
                "-c",
                "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t\\n'",
            ])
            .output()
    });
    let said = said.expect("a program starts");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(
        text, "CapEff:0000000000000000NoNewPrivs:1Seccomp:2",
        "{said:?}"
    );
}

#[test]
fn an_engine_started_as_root_becomes_another_user_for_ever() {
    let (ids, groups, back, death) = in_a_thread(|| {
        set_parent_process_death_signal(Some(Signal::TERM)).expect("set");
        become_user(65_534, 65_533).expect("root may");
        let death = parent_process_death_signal().expect("asked");
        assert_eq!(confine().expect("confined"), Filter::On);
        let back = become_user(0, 0).is_err();
        (
            status("Uid") + " " + &status("Gid"),
            status("Groups"),
            back,
            death,
        )
    });
    assert_eq!(
        ids.split_whitespace().collect::<Vec<_>>().join(" "),
        "65534 65534 65534 65534 65533 65533 65533 65533"
    );
    assert_eq!(groups, "");
    assert!(back, "it became root again");
    assert_eq!(
        death,
        Some(Signal::TERM),
        "it no longer ends with its parent"
    );
}

#[test]
fn a_keeper_keeps_its_list_and_nothing_else() {
    let wanted = KEEPER
        .iter()
        .fold(CapabilitySet::empty(), |all, one| all | one.capability);
    let (sets, bounding, kept) = in_a_thread(|| {
        let kept = keep_needed().expect("dropped");
        let bounding = u64::from_str_radix(&status("CapBnd"), 16).expect("hexadecimal");
        (capabilities(None).expect("asked"), bounding, kept)
    });
    assert!(kept.missing.is_empty(), "{kept:?}: needs all of root's");
    assert_eq!(sets.effective, wanted);
    assert_eq!(sets.permitted, wanted);
    assert_eq!(sets.inheritable, CapabilitySet::empty());
    assert_eq!(bounding, wanted.bits());
}
