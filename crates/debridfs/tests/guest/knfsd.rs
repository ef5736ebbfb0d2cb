//! The mount exported by the kernel's NFS server, and read by the kernel's NFS client.

use debridfs_guest::{Image, Machine};
use debridfs_sim::content;
use md5::{Digest, Md5};

use crate::library::{self, MOUNT, count};

/// `/etc/exports` of docs/sharing.md.
const EXPORTS: &str = "/srv/library 127.0.0.1(ro,no_subtree_check,fsid=1,all_squash)\n";

/// The server's and the client's programs, and the modules of both.
fn add_nfs(image: &mut Image) {
    for module in ["nfsd", "nfsv3", "nfsv4"] {
        image.module(module);
    }
    for program in [
        "/sbin/rpcbind",
        "/sbin/mount.nfs",
        "/usr/sbin/exportfs",
        "/usr/sbin/rpc.mountd",
        "/usr/sbin/rpc.nfsd",
    ] {
        image.installed(program).expect("its libraries are here");
    }
    for file in [
        "/etc/netconfig",
        "/etc/services",
        "/etc/protocols",
        "/etc/rpc",
    ] {
        image.copy(file).expect("of the packages");
    }
    image.text("/etc/exports", EXPORTS);
}

/// The MD5 of `bytes` of generated content, in hexadecimal digits.
fn md5(key: u64, bytes: u64) -> String {
    let mut data = vec![0; usize::try_from(bytes).expect("small")];
    content::fill(key, 0, &mut data);
    let digest = Md5::digest(&data);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Starts the server and mounts the export, by version 3 and by 4.2.
const SERVE: &str = r#"
nfs() {
  mkdir -p /var/lib/nfs/v4recovery /run/rpcbind /mnt/v3 /mnt/v4
  touch /var/lib/nfs/etab /var/lib/nfs/rmtab
  mount -t nfsd nfsd /proc/fs/nfsd || fail "nfsd"
  rpcbind -w || fail "rpcbind"
  exportfs -ra || fail "exportfs"
  rpc.mountd || fail "rpc.mountd"
  rpc.nfsd --lease-time 10 --grace-time 10 4 || fail "rpc.nfsd"
  mount.nfs 127.0.0.1:/srv/library /mnt/v3 -o ro,vers=3,nolock || fail "mount, version 3"
  mount.nfs 127.0.0.1:/srv/library /mnt/v4 -o ro,vers=4.2 || fail "mount, version 4.2"
}
tree() { (cd "$1" && find . -exec stat -c '%n %F %s %h %i %Y %a' {} + | sort); }
same() { # DIRECTORY: its tree is that of the mount
  tree "$1" >/run/there
  diff /run/here /run/there >&2 || fail "$1 is not as the mount"
}
"#;

#[test]
fn the_kernels_server_exports_the_mount_and_notices_no_kill() {
    let films = [("First.2024", 3_000_001), ("Second.2024", 2 << 20)];
    let kills = count("DEBRIDFS_GUEST_TEST_KILLS", 1);
    // Forgotten by client, server and FUSE alike, so that everything is asked by handles again.
    let script = format!(
        r#"{SERVE}
start
tree {MOUNT} >/run/here
nfs
for round in $(seq 0 {kills}); do
  if [ $round -gt 0 ]; then kill_engine; fi
  echo 3 >/proc/sys/vm/drop_caches
  exportfs -f
  for mount in /mnt/v3 /mnt/v4; do
    same $mount
    (cd $mount && md5sum __all__/*/* | sed "s|^|$round $mount |")
    touch $mount/new 2>/dev/null && fail "$mount can be written"
    stat $mount/missing 2>/dev/null && fail "$mount has what is not there"
  done
done
wc -l </run/here
"#
    );
    let mut image = library::image(&library::library(&films), &script);
    add_nfs(&mut image);
    let output = Machine::run(&image, &library::settings()).expect("a status");
    let text = output.expect_success();
    for round in 0..=kills {
        for mount in ["/mnt/v3", "/mnt/v4"] {
            for (number, (name, bytes)) in films.iter().enumerate() {
                let sum = md5(library::key(number, name), *bytes);
                let line = format!("{round} {mount} {sum}  {}\n", library::path(name));
                assert!(text.contains(&line), "no {line} in:\n{text}");
            }
        }
    }
    let entries = text.lines().last().and_then(|line| line.parse().ok());
    // The root, version.txt, three views, and a release with its film in two of them.
    assert!(entries >= Some(13), "{text}");
}

/// The suite of `crates/behaviour`, over the mount and over the export, by a client that looks for changes once a second.
#[test]
#[ignore = "make test-guest: three runs of the suite take a minute"]
fn the_mount_and_its_export_behave_on_debians_kernel() {
    let script = format!(
        r#"{SERVE}
start
until_true 30 cat {MOUNT}/__all__/Lost.2024/first.mkv >/dev/null
behaviour {MOUNT} 127.0.0.1:9000 /etc/skips/fuse | sed 's/^/fuse /'
nfs
for version in 3 4; do
  umount /mnt/v$version
done
mount.nfs 127.0.0.1:/srv/library /mnt/v3 -o rw,vers=3,nolock,actimeo=1 || fail "mount, version 3"
mount.nfs 127.0.0.1:/srv/library /mnt/v4 -o rw,vers=4.2,actimeo=1 || fail "mount, version 4.2"
for version in 3 4; do
  behaviour /mnt/v$version 127.0.0.1:9000 /etc/skips/knfsd | sed "s/^/version $version /"
done
"#
    );
    let mut image = library::image(&debridfs_behaviour::library(), &script);
    add_nfs(&mut image);
    let output = Machine::run(&image, &library::settings()).expect("a status");
    let text = output.expect_success();
    println!("{text}");
    for front in ["fuse", "version 3", "version 4"] {
        let lines: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix(front))
            .collect();
        let passed = lines.iter().filter(|line| line.starts_with(" ok ")).count();
        assert!(passed > 20, "{front}: {passed}\n{text}");
        assert!(
            !lines.iter().any(|line| line.starts_with(" FAILED")),
            "{text}"
        );
    }
}
