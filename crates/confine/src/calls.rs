//! Which system calls an engine, its helpers and an ordinary program that it starts (the hook for changes of the library) use.
//!
//! Left out, by design: whatever mounts, makes or enters namespaces, looks into other processes, loads code into
//! the kernel, changes its clock, names or keys, takes a file by handle, or is a large and young interface that
//! nothing here needs (io_uring, bpf, perf, userfaultfd).

/// ENOSYS: to a program the call does not exist, and a C library that meets a call newer than this list
/// falls back to an older one. EPERM would make it fail.
pub(crate) const REFUSAL: u32 = libc::ENOSYS as u32;

/// When a call is let through; an argument is counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    /// None of these bits is set in the argument.
    WithoutBits(u8, u64),
    /// The argument is one of these.
    OneOf(u8, &'static [u64]),
    /// The argument is anything but this.
    Not(u8, u64),
}

/// One system call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// As in `libc`.
    name: &'static str,
    /// On the machine this was compiled for, if it has the call.
    pub number: Option<libc::c_long>,
    pub condition: Condition,
}

impl Call {
    /// As the kernel's manual writes it.
    pub fn name(&self) -> &'static str {
        self.name.strip_prefix("SYS_").unwrap_or(self.name)
    }
}

/// `CLONE_NEW*`: threads and processes may be made, namespaces not. `clone3`, whose flags a filter can't see, is left out;
/// libraries fall back to `clone`.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32 as u64;

/// Netlink is how a C library finds the machine's addresses.
const FAMILIES: &[u64] = &[
    libc::AF_UNIX as u64,
    libc::AF_INET as u64,
    libc::AF_INET6 as u64,
    libc::AF_NETLINK as u64,
];

/// Types into somebody else's terminal.
const TIOCSTI: u64 = 0x5412;

macro_rules! calls {
    ($($name:ident)*) => { &[$(always(stringify!($name), Some(libc::$name))),*] };
}

/// Named on every machine, for the profile.
#[cfg(target_arch = "x86_64")]
macro_rules! x86_64_calls {
    ($($name:ident)*) => { calls! { $($name)* } };
}

#[cfg(not(target_arch = "x86_64"))]
macro_rules! x86_64_calls {
    ($($name:ident)*) => { &[$(always(stringify!($name), None)),*] };
}

const fn always(name: &'static str, number: Option<libc::c_long>) -> Call {
    Call {
        name,
        number,
        condition: Condition::Always,
    }
}

/// C libraries on aarch64 rename with it; `libc` has no name for it there (38 in `asm-generic/unistd.h`).
const RENAMEAT: libc::c_long = if cfg!(target_arch = "x86_64") {
    264
} else {
    38
};

/// Calls with conditions, and the odd one.
const OTHERS: [Call; 4] = [
    always("SYS_renameat", Some(RENAMEAT)),
    Call {
        name: "SYS_clone",
        number: Some(libc::SYS_clone),
        condition: Condition::WithoutBits(0, NAMESPACES),
    },
    Call {
        name: "SYS_socket",
        number: Some(libc::SYS_socket),
        condition: Condition::OneOf(0, FAMILIES),
    },
    Call {
        name: "SYS_ioctl",
        number: Some(libc::SYS_ioctl),
        condition: Condition::Not(1, TIOCSTI),
    },
];

/// Calls of every machine.
const COMMON: &[Call] = calls! {
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev
    SYS_preadv2 SYS_pwritev2 SYS_close SYS_close_range SYS_lseek SYS_openat SYS_openat2 SYS_dup
    SYS_dup3 SYS_pipe2 SYS_fcntl SYS_flock SYS_fstat SYS_newfstatat SYS_statx SYS_statfs
    SYS_fstatfs SYS_faccessat SYS_faccessat2 SYS_getdents64 SYS_getcwd SYS_chdir SYS_fchdir
    SYS_mkdirat SYS_mknodat SYS_unlinkat SYS_renameat2 SYS_linkat SYS_symlinkat SYS_readlinkat
    SYS_umask SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_utimensat SYS_truncate
    SYS_ftruncate SYS_fallocate SYS_fadvise64 SYS_readahead SYS_fsync SYS_fdatasync SYS_sync
    SYS_syncfs SYS_sync_file_range SYS_copy_file_range SYS_sendfile SYS_splice SYS_tee
    SYS_vmsplice SYS_getxattr SYS_lgetxattr SYS_fgetxattr SYS_listxattr SYS_llistxattr
    SYS_flistxattr SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_removexattr SYS_lremovexattr
    SYS_fremovexattr SYS_inotify_init1 SYS_inotify_add_watch SYS_inotify_rm_watch SYS_mmap
    SYS_mprotect SYS_munmap SYS_mremap SYS_madvise SYS_msync SYS_mincore SYS_brk SYS_mlock
    SYS_mlock2 SYS_munlock SYS_mlockall SYS_munlockall SYS_memfd_create SYS_membarrier
    SYS_socketpair SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_connect SYS_getsockname
    SYS_getpeername SYS_getsockopt SYS_setsockopt SYS_shutdown SYS_sendto SYS_recvfrom
    SYS_sendmsg SYS_recvmsg SYS_sendmmsg SYS_recvmmsg SYS_epoll_create1 SYS_epoll_ctl
    SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_signalfd4 SYS_ppoll SYS_pselect6
    SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime SYS_timer_create
    SYS_timer_settime SYS_timer_gettime SYS_timer_getoverrun SYS_timer_delete SYS_getitimer
    SYS_setitimer SYS_nanosleep SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep
    SYS_gettimeofday SYS_times SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn
    SYS_rt_sigpending SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_sigqueueinfo
    SYS_rt_tgsigqueueinfo SYS_sigaltstack SYS_kill SYS_tkill SYS_tgkill SYS_pidfd_open
    SYS_pidfd_send_signal SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_wait4 SYS_waitid
    SYS_set_tid_address SYS_set_robust_list SYS_get_robust_list SYS_rseq SYS_restart_syscall
    SYS_futex SYS_futex_waitv SYS_getpid SYS_getppid SYS_gettid SYS_getpgid SYS_setpgid
    SYS_getsid SYS_setsid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getresuid
    SYS_getresgid SYS_getgroups SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid
    SYS_setresgid SYS_setgroups SYS_setfsuid SYS_setfsgid SYS_capget SYS_capset SYS_prctl
    SYS_seccomp SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self
    SYS_sched_yield SYS_sched_getaffinity SYS_sched_setaffinity SYS_sched_getparam
    SYS_sched_setparam SYS_sched_getscheduler SYS_sched_setscheduler SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_getattr SYS_sched_setattr SYS_sched_rr_get_interval
    SYS_getpriority SYS_setpriority SYS_ioprio_get SYS_ioprio_set SYS_getcpu SYS_getrlimit
    SYS_setrlimit SYS_prlimit64 SYS_getrusage SYS_sysinfo SYS_uname SYS_getrandom
};

/// Calls that only x86-64 has: newer machines were born with the better ones.
const X86_64: &[Call] = x86_64_calls! {
    SYS_open SYS_creat SYS_stat SYS_lstat SYS_access SYS_poll SYS_select SYS_pipe SYS_dup2
    SYS_fork SYS_vfork SYS_getpgrp SYS_alarm SYS_pause SYS_time SYS_mkdir SYS_rmdir SYS_mknod
    SYS_rename SYS_link SYS_unlink SYS_symlink SYS_readlink SYS_chmod SYS_chown
    SYS_lchown SYS_utime SYS_utimes SYS_futimesat SYS_getdents SYS_epoll_create SYS_epoll_wait
    SYS_eventfd SYS_signalfd SYS_inotify_init SYS_arch_prctl
};

/// Every call that is let through on any machine.
pub(crate) fn all() -> impl Iterator<Item = &'static Call> {
    COMMON.iter().chain(X86_64).chain(&OTHERS)
}

/// Name and number of every system call that an engine can make on this machine, whatever is asked
/// of its arguments: for tests that make them.
pub fn allowed() -> impl Iterator<Item = (&'static str, libc::c_long)> {
    all().filter_map(|call| Some((call.name(), call.number?)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_call_is_named_once() {
        let mut names = HashSet::new();
        for call in all() {
            assert!(names.insert(call.name()), "{} twice", call.name());
        }
    }
}
