//! `propagation-test host`, `producer` and `consumer`, each in a namespace as a container has it.

use rustix::process::Signal;

use crate::host::{Ended, Host, Running, in_session, until};

/// What a container runtime makes of HostToContainer.
const SLAVE: [&str; 4] = ["unshare", "--mount", "--propagation", "slave"];
/// What is left of it when the runtime drops it.
const PRIVATE: [&str; 4] = ["unshare", "--mount", "--propagation", "private"];
/// What a container runtime makes of Bidirectional.
const SHARED: [&str; 4] = ["unshare", "--mount", "--propagation", "unchanged"];
/// The last thing that a consumer says before it waits for the producer's end.
pub const LOOKED: &str = " writing: ";

pub fn set_up() -> Host {
    let host = Host::shared();
    let ended = host
        .debridfs(&["propagation-test", "host", "set-up", "--dir", host.dir()])
        .end();
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    host
}

fn producer(host: &Host, starter: &[&str], more: &[&str]) -> Running {
    let mut arguments = vec!["propagation-test", "producer", "--dir", host.dir()];
    arguments.extend(more);
    host.debridfs_by(starter, &arguments)
}

/// A producer that serves.
pub fn serving(host: &Host, more: &[&str]) -> Running {
    let mut running = producer(host, &SHARED, more);
    running.says("serving at");
    assert!(!host.mounts().is_empty());
    running
}

fn stop(running: Running) {
    running.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
}

fn consumer(host: &Host, starter: &[&str], more: &[&str]) -> Running {
    let mut arguments = vec!["propagation-test", "consumer", "--dir", host.dir()];
    arguments.extend(more);
    host.debridfs_by(starter, &arguments)
}

/// A consumer that bound the mount point on its own, as HostToContainer does while it is mounted.
pub fn consumer_of_mount_point(host: &Host, more: &[&str]) -> Running {
    let dir = host.dir();
    let script = format!("mount --bind {dir}/dfs {dir}/bound && exec \"$0\" \"$@\"");
    host.shell(&format!("mkdir {dir}/bound"));
    let bound = format!("{dir}/bound");
    let mut starter = SLAVE.to_vec();
    starter.extend(["sh", "-ec", &script]);
    let mut arguments = vec!["propagation-test", "consumer", "--dir", &bound];
    arguments.push("--mount-point");
    arguments.extend(more);
    host.debridfs_by(&starter, &arguments)
}

fn assert_fails(ended: &Ended, code: &str) {
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    let verdict = format!("\nFAILURE: {code}: ");
    assert!(ended.stdout.contains(&verdict), "{}", ended.stdout);
}

fn clean(host: &Host) {
    let ended = host
        .debridfs(&["propagation-test", "host", "clean", "--dir", host.dir()])
        .end();
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    host.shell(&format!(
        "if [ -d {0}/bound ]; then rmdir {0}/bound; fi",
        host.dir()
    ));
    host.assert_clean();
}

#[test]
fn a_consumer_sees_producers_come_go_and_come_back() {
    let host = set_up();
    let waiting = consumer(&host, &SLAVE, &[]);
    let first = serving(&host, &[]);
    let ended = waiting.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("\nSUCCESS: Producer marker found at 20")
    );
    let look = host
        .debridfs(&["propagation-test", "host", "look", "--dir", host.dir()])
        .end();
    assert_eq!(look.code, Some(0), "{}", look.stdout);

    let mut staying = consumer(&host, &SLAVE, &["--until", "restart"]);
    let mut leaving = consumer(&host, &SLAVE, &["--until", "gone"]);
    staying.says(LOOKED);
    leaving.says(LOOKED);
    stop(first);
    let gone = leaving.end();
    assert_eq!(gone.code, Some(0), "{}", gone.stdout);
    let second = serving(&host, &[]);
    let ended = staying.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("after the producer's restart: marker")
    );
    stop(second);
    clean(&host);
}

#[test]
fn a_host_that_is_not_shared() {
    let host = Host::private();
    let ended = host
        .debridfs(&["propagation-test", "host", "set-up", "--dir", host.dir()])
        .end();
    assert_fails(&ended, "HOST_NOT_SHARED");
    host.assert_clean();
}

/// The instance's directory counts, not the test's own in it.
#[test]
fn sharing_the_tests_own_directory_is_not_enough() {
    let host = Host::private();
    let dir = host.dir();
    let own = format!("{dir}/own");
    let set_up = |share_of: &str| {
        let arguments = ["propagation-test", "host", "set-up"];
        let more = ["--share-of", share_of, "--dir", &own];
        host.debridfs(&[&arguments[..], &more].concat()).end()
    };
    let ended = set_up("/elsewhere");
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
    let ended = set_up(dir);
    assert_fails(&ended, "HOST_NOT_SHARED");
    let fix = format!("mount --rbind {dir} {dir} && mount --make-rshared {dir}");
    assert!(ended.stdout.contains(&fix), "{}", ended.stdout);
    assert!(!std::path::Path::new(&own).exists(), "nothing was begun");

    let own_shared =
        format!("mkdir {own} && mount --rbind {own} {own} && mount --make-rshared {own}");
    let own_gone = format!("umount -l {own}");
    host.shell(&own_shared);
    let ended = set_up(dir);
    assert_fails(&ended, "HOST_NOT_SHARED");
    assert!(ended.stdout.contains(&fix), "{}", ended.stdout);
    host.shell(&format!("{own_gone} && rmdir {own}"));
    host.share();
    host.shell(&own_shared);
    let ended = set_up(dir);
    assert_fails(&ended, "HOST_NOT_SHARED");
    assert!(ended.stdout.contains(&own_gone), "{}", ended.stdout);
    host.shell(&own_gone);
    let ended = set_up(dir);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    host.shell(&format!("chattr -i {own}/dfs && rm -r {own}"));
    host.assert_clean();
}

#[test]
fn a_runtime_that_drops_what_was_asked_for() {
    let host = set_up();
    let ended = producer(&host, &PRIVATE, &[]).end();
    assert_fails(&ended, "RUNTIME_DROPPED_PROPAGATION");
    let running = serving(&host, &[]);
    // It sees the mount that was there when it started, and would see no other.
    let ended = consumer(&host, &PRIVATE, &[]).end();
    assert_fails(&ended, "RUNTIME_DROPPED_PROPAGATION");
    stop(running);
    clean(&host);
}

#[test]
fn a_shared_volume_that_is_not_the_hosts() {
    let host = set_up();
    let dir = host.dir();
    let script = format!("mount --make-shared {dir} && exec \"$0\" \"$@\"");
    let mut apart = PRIVATE.to_vec();
    apart.extend(["sh", "-ec", &script]);
    let ended = producer(&host, &apart, &[]).end();
    assert_fails(&ended, "RUNTIME_DROPPED_PROPAGATION");

    // Without the host's note nobody can know beforehand.
    host.shell(&format!("rm {dir}/debridfs-propagation-host.json"));
    let mut running = producer(&host, &apart, &[]);
    running.says("serving at");
    let arguments = [
        "propagation-test",
        "host",
        "look",
        "--wait",
        "2",
        "--dir",
        dir,
    ];
    let ended = host.debridfs(&arguments).end();
    assert_fails(&ended, "NOT_PROPAGATED_TO_HOST");
    let error = "\nERROR: Producer marker never appeared after 2 seconds!\nFAILURE: ";
    assert!(ended.stdout.contains(error), "{}", ended.stdout);
    let ended = consumer(&host, &SLAVE, &["--wait", "1"]).end();
    assert_fails(&ended, "NOT_PROPAGATED_TO_CONSUMER");
    assert!(ended.stdout.contains("never appeared after 1 second"));
    stop(running);
    clean(&host);
}

#[test]
fn a_mount_point_bound_on_its_own_goes_stale() {
    let host = set_up();
    let running = serving(&host, &[]);
    let mut waiting = consumer_of_mount_point(&host, &["--until", "restart", "--wait", "8"]);
    waiting.says(LOOKED);
    stop(running);
    let running = serving(&host, &[]);
    assert_fails(&waiting.end(), "STALE_AFTER_RESTART");
    stop(running);
    clean(&host);
}

#[test]
fn a_mount_point_bound_on_its_own_stays_behind() {
    let host = set_up();
    let running = serving(&host, &[]);
    let mut waiting = consumer_of_mount_point(&host, &["--until", "gone", "--wait", "8"]);
    waiting.says(LOOKED);
    stop(running);
    assert_fails(&waiting.end(), "LEAKED_MOUNT");
    clean(&host);
}

#[test]
fn a_mount_made_writable_is_noticed() {
    let host = set_up();
    let running = serving(&host, &[]);
    host.shell(&format!("mount -i -o remount,rw {}/dfs", host.dir()));
    let ended = consumer(&host, &SLAVE, &[]).end();
    assert_fails(&ended, "WRITABLE_SUBMOUNT");
    stop(running);
    clean(&host);
}

#[test]
fn users_are_shut_out_without_allow_other() {
    let host = set_up();
    let running = serving(&host, &["--no-allow-other"]);
    let ended = consumer(&host, &SLAVE, &[]).end();
    assert_fails(&ended, "NO_ALLOW_OTHER");
    stop(running);
    clean(&host);
}

#[test]
fn a_producer_that_hangs_catches_nobody() {
    let host = set_up();
    let running = serving(&host, &[]);
    let session = running.pid();
    for pid in in_session(session) {
        rustix::process::kill_process(pid, Signal::STOP).expect("it lives");
    }
    let ended = consumer(&host, &SLAVE, &[]).end();
    for pid in in_session(session) {
        rustix::process::kill_process(pid, Signal::CONT).expect("it lives");
    }
    assert_fails(&ended, "MOUNT_HUNG");
    stop(running);
    clean(&host);
}

#[test]
fn a_producer_without_the_capability() {
    let host = set_up();
    let mut starter = SHARED.to_vec();
    starter.extend(["setpriv", "--bounding-set", "-sys_admin"]);
    assert_fails(&producer(&host, &starter, &[]).end(), "NO_SYS_ADMIN");
    clean(&host);
}

#[test]
fn a_consumer_that_is_stopped_says_so() {
    let host = set_up();
    let waiting = consumer(&host, &SLAVE, &[]);
    let session = waiting.pid();
    // Once it looks, it listens to signals.
    until("it looks", || in_session(session).len() >= 2);
    waiting.signal(Signal::TERM);
    assert_fails(&waiting.end(), "INTERRUPTED");
    clean(&host);
}

/// What is started meanwhile finds that every mount fails like this.
pub fn denying_mount<T: Send>(errno: libc::c_int, start: impl FnOnce() -> T + Send) -> T {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let answer = SeccompAction::Errno(errno.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().expect("known");
    let denied = [(libc::SYS_mount, Vec::new())].into_iter().collect();
    let filter = SeccompFilter::new(denied, SeccompAction::Allow, answer, arch).expect("filter");
    let program: BpfProgram = filter.try_into().expect("program");
    // Whatever a thread starts inherits its filter, which it never gets rid of.
    std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            seccompiler::apply_filter(&program).expect("applied");
            start()
        });
        started.join().expect("no panic")
    })
}

/// A producer for whom every mount fails like this.
fn denied(host: &Host, errno: libc::c_int) -> Ended {
    denying_mount(errno, || producer(host, &[], &[]).end())
}

#[test]
fn a_profile_that_denies_mounting() {
    let host = set_up();
    assert_fails(&denied(&host, libc::EPERM), "SECCOMP_OR_APPARMOR");
    clean(&host);
}

#[test]
fn selinux_that_denies_mounting() {
    let host = set_up();
    // What a kernel with SELinux shows; the denial is made by other means.
    host.shell(
        "mount -t tmpfs none /sys/fs && mkdir /sys/fs/selinux && echo 1 >/sys/fs/selinux/enforce",
    );
    let ended = denied(&host, libc::EACCES);
    assert_fails(&ended, "SELINUX");
    assert!(ended.stdout.contains("setsebool"), "{}", ended.stdout);
    host.shell("echo 0 >/sys/fs/selinux/enforce");
    assert_fails(&denied(&host, libc::EACCES), "SECCOMP_OR_APPARMOR");
    clean(&host);
}

#[test]
fn a_producer_that_cannot_serve_says_why() {
    let host = set_up();
    let dir = host.dir();
    host.shell(&format!(
        "chattr -i {dir}/dfs && rmdir {dir}/dfs && touch {dir}/dfs"
    ));
    let ended = producer(&host, &SHARED, &[]).end();
    assert_fails(&ended, "PRODUCER_FAILED");
    assert!(ended.stdout.contains("no directory"), "{}", ended.stdout);
    host.shell(&format!("rm {dir}/dfs"));
    clean(&host);
}

#[test]
fn a_producer_that_is_killed_unmounts_all_the_same() {
    let host = set_up();
    let running = serving(&host, &[]);
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None);
    clean(&host);
}

/// The host's part of a pod: in a container whose mounts are its own, among the mounts of the host.
fn stay(host: &Host) -> Running {
    let pid = host.pid().to_string();
    let arguments = [
        "propagation-test",
        "host",
        "stay",
        "--mounts-of",
        &pid,
        "--dir",
        host.dir(),
    ];
    host.debridfs_by(&PRIVATE, &arguments)
}

#[test]
fn the_hosts_part_of_a_pod_removes_what_the_producer_leaves() {
    let host = Host::private();
    assert_fails(&stay(&host).end(), "HOST_NOT_SHARED");
    host.share();
    let mut staying = stay(&host);
    staying.says("is closed");
    let running = serving(&host, &[]);
    let ended = consumer(&host, &SLAVE, &[]).end();
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    // As at the end of a pod: both at the same time.
    staying.signal(Signal::TERM);
    stop(running);
    let ended = staying.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    host.assert_clean();
}
