//! The library over NFS, by clients that others wrote (libnfs), from the whole program.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Instance, Settings, Simulator, film, find, run, until};

#[test]
fn stock_clients_fetch_every_file_also_while_the_engine_is_killed() {
    let large = 24 << 20;
    let names = ["One.2001", "Two & more", "Ärger [x]"];
    let films = names.map(|name| film(name, 300_000));
    let simulator = Simulator::start([&films[..], &[film("Large.2002", large)]].concat());
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let toml = format!(
        "[nfs]\nlisten = \"127.0.0.1:{port}\"\n\
         [nfs.export.media]\npath = \"/__all__\"\nnetworks = [\"127.0.0.0/8\"]\ninsecure = true\n"
    );
    let settings = Settings {
        toml,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let url = |path: &str| {
        format!("nfs://127.0.0.1/media/{path}?version=3&nfsport={port}&mountport={port}")
    };
    let all = instance.mount().join("__all__");
    let paths = find(&all, "%y %P\n");
    let paths: Vec<&str> = paths
        .iter()
        .filter_map(|line| line.strip_prefix("f "))
        .collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    let listed = run("nfs-ls", &["-R", &url("").replace("/?", "?")]);
    for path in &paths {
        let name = path.rsplit('/').next().expect("a name");
        assert!(listed.contains(name), "{path} in {listed}");
        let output = Command::new("nfs-cat").arg(url(path)).output();
        let output = output.expect("nfs-cat of libnfs-utils");
        assert!(output.status.success(), "{path}: {output:?}");
        let here = fs::read(all.join(path)).expect("the same file on the mount");
        assert!(
            output.stdout == here,
            "{path}: {} bytes",
            output.stdout.len()
        );
    }
    let client = &instance.status()["nfs"]["clients"][0];
    assert_eq!(client["address"], "127.0.0.1");
    assert!(client["bytes"].as_u64() >= Some(large), "{client}");

    // A reader that is in the middle of a file reads on from the next engine.
    let path = paths
        .iter()
        .find(|path| path.contains("Large"))
        .expect("there");
    let here = fs::read(all.join(path)).expect("the same file on the mount");
    let mut reader = Command::new("nfs-cat")
        .arg(url(path))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nfs-cat");
    let mut out = reader.stdout.take().expect("a pipe");
    let mut begun = vec![0; 1 << 20];
    std::io::Read::read_exact(&mut out, &mut begun).expect("a part");
    let killed = instance.engine_pid();
    assert!(instance.signal_engine(Signal::KILL));
    let rest = std::thread::spawn(move || {
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut out, &mut rest).map(|_| rest)
    });
    until("another engine", Duration::from_secs(20), || {
        instance
            .engine_child()
            .is_some_and(|engine| engine != killed)
    });
    let rest = rest.join().expect("it ends").expect("the rest");
    let output = reader.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    assert!([begun, rest].concat() == here);
}
