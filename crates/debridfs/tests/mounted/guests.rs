//! What kernel clients in a guest see of what this machine shares.
//!
//! Numbers in the environment make files larger and loops longer: `make test-guest`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_behaviour::library;
use debridfs_guest::{Forward, Image, Machine, Packages, SERVER, Settings as Guest};
use debridfs_sim::content;
use md5::{Digest, Md5};
use rustix::process::Signal;

use crate::behaviour::{nfs_section, wait_proven};
use crate::support::{Instance, Samba, Settings, Simulator, film, free_address, run};

/// The options of a line of `debridfs mounts`, whose port is the guest's.
const HARD: &str = "vers=3,proto=tcp,port=2049,mountport=2049,mountproto=tcp,nolock,ro,hard";

/// An image with the suite's program and the skip list `skips`.
fn image(skips: &str) -> Image {
    let packages = Packages::find().expect("`make setup` unpacks the guest");
    let mut image = Image::new(&packages);
    image.text("/etc/skips", skips);
    let program = Path::new(env!("CARGO_BIN_EXE_debridfs"));
    let suite: PathBuf = program.with_file_name("examples").join("behaviour");
    assert!(
        suite.exists(),
        "cargo build --package debridfs --examples first"
    );
    image.program(&suite, "/bin/behaviour").expect("libraries");
    image
}

/// The kernel's NFS client and what mounts by it.
fn add_nfs(image: &mut Image) {
    image.module("nfsv3");
    image.installed("/sbin/mount.nfs").expect("libraries");
    for file in ["/etc/netconfig", "/etc/services", "/etc/protocols"] {
        image.copy(file).expect("of the packages");
    }
}

/// A port of the guest's, and what it leads to here.
fn settings(simulator: &Simulator, port: u16, to: SocketAddr) -> Guest {
    let account = Forward {
        port: 9000,
        to: simulator.address(),
    };
    Guest {
        forwards: vec![account, Forward { port, to }],
        limit: Duration::from_secs(1200),
        ..Guest::default()
    }
}

fn number(variable: &str, short: u64) -> u64 {
    std::env::var(variable).map_or(short, |text| text.parse().expect("a number"))
}

#[test]
fn samba_over_the_mount_behaves_for_the_kernels_client() {
    let simulator = Simulator::with(&library());
    let instance = Instance::start(&simulator, Settings::default());
    wait_proven(&instance);
    let samba = Samba::start(&instance.mount());
    let mut image = image(include_str!("../../../behaviour/skips/cifs.txt"));
    // What it names by the algorithm at run time, and so needs without depending on it.
    for module in [
        "cifs",
        "nls_utf8",
        "cmac",
        "sha512_generic",
        "ctr",
        "ghash_generic",
        "seqiv",
        "ccm",
        "gcm",
    ] {
        image.module(module);
    }
    image.installed("/sbin/mount.cifs").expect("libraries");
    image.script(&format!(
        "mount.cifs //{SERVER}/library /mnt -o guest,vers=3.1.1,iocharset=utf8,actimeo=1 || exit 1\n\
         behaviour /mnt {SERVER}:9000 /etc/skips Case Links Modes Writes\n"
    ));
    let settings = settings(&simulator, 445, samba.address);
    let output = Machine::run(&image, &settings).expect("a status");
    println!("{}", output.expect_success());
}

#[test]
#[ignore = "make test-guest: `mounted/behaviour.rs` has the server by another client"]
fn nfs_behaves_for_the_kernels_client() {
    let simulator = Simulator::with(&library());
    let address = free_address();
    let instance = Instance::start(
        &simulator,
        Settings {
            toml: nfs_section(address),
            ..Settings::default()
        },
    );
    wait_proven(&instance);
    let mut image = image(include_str!("../../../behaviour/skips/nfs-kernel.txt"));
    add_nfs(&mut image);
    let options = HARD.replace(",ro,", ",rw,actimeo=1,");
    image.script(&format!(
        "mount.nfs {SERVER}:/library /mnt -o {options} || exit 1\n\
         behaviour /mnt {SERVER}:9000 /etc/skips\n"
    ));
    let settings = settings(&simulator, 2049, address);
    let output = Machine::run(&image, &settings).expect("a status");
    println!("{}", output.expect_success());
}

/// Four films, read with MD5, while the server is killed, and in the end replaced by another one at the same address that has but the key of the first.
/// Then one is read by soft options during an outage.
#[test]
fn nfs_clients_go_on_over_kills_and_another_server() {
    let (kills, bytes) = (
        number("DEBRIDFS_GUEST_TEST_SERVER_KILLS", 2),
        number("DEBRIDFS_GUEST_TEST_FILM_MIB", 24) << 20,
    );
    let names = ["One.2024", "Two.2024", "Three.2024", "Four.2024"];
    let simulator = Simulator::start(names.map(|name| film(name, bytes)).into());
    let address = free_address();
    let port = address.port();
    let key = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(key.path(), "0123456789abcdef0123456789abcdef").expect("written");
    std::fs::set_permissions(
        key.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .expect("mode");
    let with_nfs = || Settings {
        toml: nfs_section(address).replace(
            "[nfs.export",
            &format!("key_file = \"{}\"\n[nfs.export", key.path().display()),
        ),
        ..Settings::default()
    };
    let mut first = Instance::start(&simulator, with_nfs());
    first.wait_synced();

    let mut image = image("");
    add_nfs(&mut image);
    let [line, fstab] = printed(&first, "/mnt/hard");
    assert!(
        line.contains(&HARD.replace("2049", &port.to_string())),
        "{line}"
    );
    image.text("/etc/fstab", &format!("{fstab}\n"));
    // busybox has one that knows no helpers.
    let program = Path::new("/usr/bin/mount");
    image
        .program(program, "/usr/local/bin/mount")
        .expect("libraries");
    image.script(&format!(
        "PATH=/usr/local/bin:$PATH; mkdir /mnt/hard /mnt/soft\n\
         mount /mnt/hard && grep -q '/mnt/hard nfs ro,' /proc/mounts && umount /mnt/hard || exit 1\n\
         {line} || exit 1\n\
         mount.nfs {SERVER}:/library /mnt/soft -o {soft} || exit 1\n\
         for film in {films}; do\n\
           (exec 3<\"/mnt/hard/__all__/$film/$film.mkv\" && md5sum <&3 >/tmp/$film || touch /tmp/failed) &\n\
         done\n\
         echo reading\n\
         until [ -s /tmp/One.2024 -a -s /tmp/Two.2024 -a -s /tmp/Three.2024 -a -s /tmp/Four.2024 ] || [ -e /tmp/failed ]; do sleep 0.2; done\n\
         [ ! -e /tmp/failed ] || exit 1\n\
         for film in {films}; do echo \"sum $film $(cat /tmp/$film)\"; done\n\
         read -r gone\n\
         echo 3 >/proc/sys/vm/drop_caches\n\
         dd if=/mnt/soft/__all__/One.2024/One.2024.mkv of=/dev/null bs=64k count=16 2>/tmp/said && exit 2\n\
         echo \"soft $(tail -n 1 /tmp/said)\"\n\
         read -r back\n\
         left=60; until md5sum </mnt/soft/__all__/One.2024/One.2024.mkv >/tmp/sum 2>/dev/null; do\n\
           left=$((left - 1)); [ $left -gt 0 ] || exit 3; sleep 1\n\
         done\n\
         echo \"again $(cat /tmp/sum)\"\n",
        soft = HARD.replace("hard", "soft,timeo=10,retrans=2,nosharecache").replace("2049", &port.to_string()),
        films = names.join(" "),
    ));
    // In the long test, less than a film has.
    let settings = Guest {
        memory: 256,
        limit: Duration::from_secs(3000),
        ..settings(&simulator, port, address)
    };
    let mut machine = Machine::start(&image, &settings).expect("QEMU");
    machine.wait_for("reading").expect("mounted");
    for kill in 0..kills {
        let before = simulator.bytes_sent();
        crate::support::until("they read on", Duration::from_secs(300), || {
            simulator.bytes_sent() > before + (1 << 20)
        });
        // The engine alone, whose keeper starts another one, and all of it.
        if kill % 2 == 0 {
            first.signal_engine(Signal::KILL);
        } else {
            first.kill_all();
            first.launch();
        }
        first.wait_listed();
    }
    assert!(!machine.printed().contains("sum "), "all is read already");
    // It has a store of its own: handles name what every instance calls the same.
    first.stop();
    let mut second = Instance::start(&simulator, with_nfs());
    for name in names {
        let sum = machine.wait_for(&format!("sum {name} ")).expect("read");
        let (_, key) = simulator.file(&format!("{name}.mkv"));
        assert_eq!(sum.trim_end_matches(" -").trim(), md5(key, bytes), "{name}");
    }
    second.stop();
    machine.tell("gone").expect("sent");
    let said = machine.wait_for("soft ").expect("an error, and no hang");
    println!("soft,timeo=10,retrans=2 during the outage: {said}");
    second.launch();
    second.wait_listed();
    machine.tell("back").expect("sent");
    let sum = machine
        .wait_for("again ")
        .expect("read without another mount");
    let (_, key) = simulator.file("One.2024.mkv");
    assert_eq!(sum.trim_end_matches(" -").trim(), md5(key, bytes));
    machine.finish().expect("a status").expect_success();
}

/// Of what `debridfs mounts` prints for a client that reaches the server as the guest does: the command, and the line of `/etc/fstab`.
fn printed(instance: &Instance, at: &str) -> [String; 2] {
    let config = instance.config();
    let config = config.to_str().expect("text");
    let said = run(
        env!("CARGO_BIN_EXE_debridfs"),
        &[
            "mounts", "--config", config, "--host", SERVER, "--at", at, "library",
        ],
    );
    ["# Linux", "# /etc/fstab"].map(|head| {
        let mut lines = said.lines().skip_while(|line| *line != head);
        lines.nth(1).expect("a line below it").to_owned()
    })
}

/// The MD5 of generated content, in hexadecimal digits.
fn md5(key: u64, bytes: u64) -> String {
    const PIECE: u64 = 1 << 20;
    let mut digest = Md5::new();
    let mut piece = vec![0; usize::try_from(PIECE).expect("small")];
    for offset in (0..bytes).step_by(piece.len()) {
        let length = usize::try_from(PIECE.min(bytes - offset)).expect("small");
        content::fill(key, offset, &mut piece[..length]);
        digest.update(&piece[..length]);
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
