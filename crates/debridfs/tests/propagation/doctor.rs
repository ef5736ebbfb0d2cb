//! `debridfs doctor` about mounts and containers, with each trouble really there.

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::host::{Host, in_session};
use crate::parts::{consumer_of_mount_point, denying_mount, serving, set_up};

fn doctor(host: &Host, starter: &[&str], more: &[&str]) -> Value {
    let mut arguments = vec!["doctor", "--json", "--path", host.dir()];
    arguments.extend(more);
    host.debridfs_by(starter, &arguments).end().json()
}

/// Checks of this name.
fn checks(report: &Value, name: &str) -> Vec<Value> {
    let all = report["checks"].as_array().expect("checks").iter();
    all.filter(|check| check["name"] == name).cloned().collect()
}

fn text<'a>(check: &'a Value, key: &str) -> &'a str {
    check[key].as_str().unwrap_or_default()
}

/// The one check of this name that speaks of this host's directory.
fn about(host: &Host, report: &Value, name: &str) -> Option<Value> {
    let mut found = checks(report, name).into_iter();
    found.find(|check| text(check, "seen").contains(host.dir()))
}

/// That check, which has to be there.
fn noticed(host: &Host, report: &Value, name: &str) -> Value {
    about(host, report, name).unwrap_or_else(|| panic!("nothing of {name} in {report:#}"))
}

#[test]
fn a_private_directory_is_shared_when_asked_to() {
    let host = Host::private();
    let dir = host.dir();
    host.shell(&format!(
        "mkdir {dir}/sub && mount -t tmpfs none {dir}/sub && touch {dir}/sub/there"
    ));
    let propagation = |report: &Value| noticed(&host, report, "propagation");
    let report = doctor(&host, &[], &[]);
    let found = propagation(&report);
    assert_eq!(
        (text(&found, "outcome"), &report["ok"]),
        ("failed", &false.into())
    );
    let fix = format!("mount --rbind {dir} {dir} && mount --make-rshared {dir}");
    assert!(text(&found, "fix").contains(&fix), "{found}");

    // Nobody can be asked.
    let report = doctor(&host, &[], &["--fix"]);
    assert_eq!(text(&propagation(&report), "outcome"), "failed");
    assert_eq!(report["repairs"], Value::Array(Vec::new()));

    let report = doctor(&host, &[], &["--fix", "--yes"]);
    assert_eq!(text(&propagation(&report), "outcome"), "ok", "{report:#}");
    let repair = report["repairs"][0].as_str().expect("repaired");
    assert!(
        repair.starts_with(&format!("mount --rbind {dir} {dir}")),
        "{repair}"
    );
    // What was mounted in it is not hidden.
    host.shell(&format!("test -f {dir}/sub/there"));
    assert_eq!(
        doctor(&host, &[], &["--fix", "--yes"])["repairs"],
        Value::Array(Vec::new())
    );
}

#[test]
fn the_module_is_loaded_when_asked_to() {
    let host = Host::shared();
    let dir = host.dir();
    // In place of the real one, which has nothing to load here.
    host.shell(&format!(
        "mkdir {dir}/bin && printf '#!/bin/sh\\ntest \"$1\" = fuse && mknod /dev/fuse c 10 229\\n' > {dir}/bin/modprobe && chmod +x {dir}/bin/modprobe
         mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3"
    ));
    let path = format!("PATH={dir}/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let report = doctor(&host, &["env", &path], &[]);
    assert_eq!(text(&checks(&report, "/dev/fuse")[0], "outcome"), "failed");
    let report = doctor(&host, &["env", &path], &["--fix", "--yes"]);
    assert_eq!(
        text(&checks(&report, "/dev/fuse")[0], "outcome"),
        "ok",
        "{report:#}"
    );
}

#[test]
fn an_empty_dir_is_a_trap() {
    let host = Host::shared();
    let dir = host.dir();
    let source = format!("{dir}/volumes/kubernetes.io~empty-dir/media");
    host.shell(&format!(
        "mkdir -p {source} {dir}/media && mount --bind {source} {dir}/media"
    ));
    let path = format!("{dir}/media");
    let report = host
        .debridfs(&["doctor", "--json", "--path", &path])
        .end()
        .json();
    let found = noticed(&host, &report, "emptyDir");
    assert_eq!(text(&found, "outcome"), "failed");
    assert!(about(&host, &doctor(&host, &[], &[]), "emptyDir").is_none());
}

#[test]
fn dead_and_hung_mounts_and_who_holds_them() {
    let host = set_up();
    let running = serving(&host, &[]);
    let mut holder = consumer_of_mount_point(&host, &["--until", "gone", "--wait", "120"]);
    holder.says(crate::parts::LOOKED);
    let report = doctor(&host, &[], &[]);
    assert!(
        about(&host, &report, "stale mounts").is_none(),
        "{report:#}"
    );
    assert!(about(&host, &report, "containers").is_none(), "{report:#}");

    let session = running.pid();
    // The youngest first: a child that outlives its parent would be told to unmount.
    let all = |signal| {
        for pid in in_session(session).into_iter().rev() {
            kill_process(pid, signal).expect("it lives");
        }
    };
    all(Signal::STOP);
    let report = doctor(&host, &[], &[]);
    let found = noticed(&host, &report, "stale mounts");
    assert!(text(&found, "seen").contains("does not answer"), "{found}");
    assert!(text(&found, "fix").contains("/abort"), "{found}");

    all(Signal::KILL);
    running.end();
    let report = doctor(&host, &[], &[]);
    let found = noticed(&host, &report, "stale mounts");
    assert!(text(&found, "seen").contains("is dead"), "{found}");
    host.shell(&format!("umount -l {}/dfs", host.dir()));
    let report = doctor(&host, &[], &[]);
    assert!(
        about(&host, &report, "stale mounts").is_none(),
        "{report:#}"
    );
    let found = noticed(&host, &report, "containers");
    assert!(
        text(&found, "seen").contains("hold a dead library"),
        "{found}"
    );
    assert!(
        text(&found, "fix").contains("restart that container"),
        "{found}"
    );
    holder.signal(Signal::TERM);
    holder.end();
}

#[test]
fn a_runtime_that_loses_propagation_is_named() {
    let host = Host::shared();
    let dir = host.dir();
    host.shell(&format!(
        "mkdir {dir}/bin && printf '#!/bin/sh\\necho runc version 1.4.2\\n' > {dir}/bin/runc
         printf '#!/bin/sh\\nexec sleep 100\\n' > {dir}/bin/crun && chmod +x {dir}/bin/*"
    ));
    let path = format!("PATH={dir}/bin:/usr/bin:/bin");
    let report = doctor(&host, &["env", &path], &["--node"]);
    let runc = noticed(&host, &report, "runc");
    assert_eq!(text(&runc, "outcome"), "warning");
    assert!(text(&runc, "seen").contains("issue 5390"), "{runc}");
    // One that hangs is not waited for.
    let crun = noticed(&host, &report, "crun");
    assert!(text(&crun, "seen").contains("tells no version"), "{crun}");
    for name in ["kernel", "user_allow_other", "nfs-common", "open-iscsi"] {
        assert_eq!(checks(&report, name).len(), 1, "{name} in {report:#}");
    }
}

#[test]
fn what_denies_mounting_is_named() {
    let host = Host::shared();
    let outcome = |report: &Value, name: &str| -> Vec<String> {
        let of = checks(report, name).into_iter();
        of.map(|check| text(&check, "outcome").to_owned()).collect()
    };
    // Nothing denies it, and the attempt leaves nothing.
    let report = doctor(&host, &[], &[]);
    assert_eq!(outcome(&report, "mounting"), [""; 0], "{report:#}");
    assert_eq!(outcome(&report, "SELinux"), ["ok"]);
    host.assert_clean();

    let denied = |errno| denying_mount(errno, || doctor(&host, &[], &[]));
    let report = denied(libc::EPERM);
    let found = checks(&report, "mounting");
    assert!(text(&found[0], "seen").contains("seccomp"), "{report:#}");
    assert_eq!(report["ok"], false);

    // What a kernel with SELinux shows; the denial is made by other means.
    host.shell(
        "mount -t tmpfs none /sys/fs && mkdir -p /sys/fs/selinux/booleans && echo 1 >/sys/fs/selinux/enforce",
    );
    let report = denied(libc::EACCES);
    assert_eq!(outcome(&report, "SELinux"), ["failed"], "{report:#}");
    assert_eq!(outcome(&report, "mounting"), [""; 0], "one culprit");
    let found = &checks(&report, "SELinux")[0];
    assert!(text(found, "fix").contains("label=disable"), "{found}");
    host.shell("echo 0 >/sys/fs/selinux/enforce");
    let report = denied(libc::EACCES);
    assert_eq!(outcome(&report, "SELinux"), ["ok"], "{report:#}");
    assert_eq!(outcome(&report, "mounting"), ["failed"]);
}
