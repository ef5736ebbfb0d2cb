//! Registration with Debian's rpcbind, in a network and mounts of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use debridfs_nfs::{RpcbindError, keep_registered, register, unregister};

use crate::support::*;

/// Set in the process that is in its own namespaces.
const INSIDE: &str = "DEBRIDFS_TEST_OWN_NAMESPACES";

/// What `make setup` unpacks for the guest.
fn packages() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/guest");
    dir.canonicalize().expect("`make setup` unpacks the guest")
}

/// A program of the packages.
fn packaged(program: &str) -> Command {
    let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
    let libraries = libraries.map(|dir| packages().join(dir).display().to_string());
    let mut command = Command::new(packages().join(program));
    command.env("LD_LIBRARY_PATH", libraries.join(":"));
    command
}

/// What it prints.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = packaged(program).args(arguments).output().unwrap();
    let (said, error) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8(said).unwrap()
}

fn shell(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

/// Runs this test again in namespaces of its own: whether this is that run.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        shell(
            "ip link set lo up; mount -t tmpfs none /run; mkdir /run/rpcbind /run/etc
             printf '%s\\n' root:x:0:0::/root:/bin/sh _rpc:x:65533:65534::/:/bin/false >/run/etc/passwd",
        );
        let tables = packages().join("etc");
        shell(&format!(
            "mount -t overlay -o lowerdir=/run/etc:{}:/etc none /etc",
            tables.display()
        ));
        return true;
    }
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare");
    assert!(status.success());
    false
}

/// rpcbind, as Debian starts it.
struct Rpcbind(Child);

impl Rpcbind {
    async fn start() -> Self {
        let mut command = packaged("sbin/rpcbind");
        let child = command.args(["-f", "-w"]).stderr(Stdio::null()).spawn();
        let mut child = Self(child.unwrap());
        while tokio::net::TcpStream::connect("127.0.0.1:111")
            .await
            .is_err()
        {
            assert_eq!(child.0.try_wait().unwrap(), None, "rpcbind ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child
    }
}

impl Drop for Rpcbind {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines of `rpcinfo -p` about NFS and MOUNT.
fn registered() -> Vec<String> {
    let said = said("usr/sbin/rpcinfo", &["-p", "127.0.0.1"]);
    let lines = said.lines().map(|line| line.split_whitespace());
    let lines = lines.map(|words| words.collect::<Vec<_>>().join(" "));
    let mut lines: Vec<_> = lines
        .filter(|line| line.starts_with("100003 ") || line.starts_with("100005 "))
        .collect();
    lines.sort();
    lines
}

// rpcinfo is waited for, and the server answers meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_know_no_port_find_it_at_rpcbind() {
    if !is_inside("rpcbind::clients_that_know_no_port_find_it_at_rpcbind") {
        return;
    }
    let exports = vec![export("films", "films"), export("all", "")];
    let served = Served::at("[::]:2049", Arc::new(library()), exports, LONG).await;
    let absent = register(served.address).await.unwrap_err();
    assert!(matches!(absent, RpcbindError::Absent(_)), "{absent}");
    assert!(absent.to_string().contains("no rpcbind listens at"));

    let rpcbind = Rpcbind::start().await;
    register(served.address).await.unwrap();
    // Again, as it is told every minute.
    register(served.address).await.unwrap();
    assert_eq!(
        registered(),
        ["100003 3 tcp 2049 nfs", "100005 3 tcp 2049 mountd"]
    );
    let exports = said("sbin/showmount", &["-e", "127.0.0.1"]);
    let networks = "127.0.0.0/8,::1/128";
    for line in [format!("/all   {networks}"), format!("/films {networks}")] {
        assert!(exports.lines().any(|one| one == line), "{exports}");
    }
    // Each client is told of its own mounts.
    let four = "127.0.0.1".parse().unwrap();
    let client = served.mount_by(four, "/films").await.unwrap();
    let mounts = said("sbin/showmount", &["-a", "127.0.0.1"]);
    assert!(mounts.contains("127.0.0.1:/films"), "{mounts}");
    drop(client);

    // Until the server ends.
    unregister(served.address).await.unwrap();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let ended = async move { ended.await.unwrap() };
    let kept = tokio::spawn(keep_registered(served.address, ended));
    while registered().len() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    end.send(()).unwrap();
    kept.await.unwrap().unwrap();
    assert_eq!(registered(), [""; 0]);
    register(served.address).await.unwrap();

    // Another server stays; what a dead one left does not.
    let elsewhere = "[::]:2050".parse().unwrap();
    let taken = register(elsewhere).await.unwrap_err();
    assert!(matches!(taken, RpcbindError::Taken { .. }), "{taken}");
    unregister(elsewhere).await.unwrap();
    assert_eq!(registered().len(), 2);
    drop(served);
    while tokio::net::TcpStream::connect("127.0.0.1:2049")
        .await
        .is_ok()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    register(elsewhere).await.unwrap();
    assert!(registered().iter().all(|line| line.contains(" 2050 ")));
    // Over TCP, where a container has no socket of it: another user's registration stays.
    std::fs::rename("/run/rpcbind.sock", "/run/away.sock").unwrap();
    let refused = register("[::]:2049".parse().unwrap()).await.unwrap_err();
    assert!(matches!(refused, RpcbindError::Refused { .. }), "{refused}");
    std::fs::rename("/run/away.sock", "/run/rpcbind.sock").unwrap();
    unregister(elsewhere).await.unwrap();
    std::fs::remove_file("/run/rpcbind.sock").unwrap();
    register(elsewhere).await.unwrap();
    assert_eq!(registered().len(), 2);
    unregister(elsewhere).await.unwrap();
    assert_eq!(registered(), [""; 0]);
    drop(rpcbind);
}
