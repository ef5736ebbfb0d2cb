//! A view of `.strm` files: `docs/strm.md`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use debridfs_sim::{Clip, FileSpec, ReleaseSpec};
use rustix::process::Signal;

use crate::support::{Instance, Settings, Simulator, free_address, run, streams, until};

/// The code of an answer to a GET.
fn code(address: &str) -> String {
    run(
        "curl",
        &["-s", "-o", "/dev/null", "-w", "%{http_code}", address],
    )
}

/// What stat(2) tells that a client remembers a file by.
fn look(path: &Path) -> (u64, u64, i64, String) {
    let about = fs::metadata(path).expect("stat");
    let text = fs::read_to_string(path).expect("text");
    assert_eq!(text.len() as u64, about.len());
    (about.ino(), about.len(), about.mtime(), text)
}

#[test]
fn what_a_strm_names_plays_until_the_token_is_replaced_on_every_front() {
    let files = vec![
        FileSpec::clip("/Über & Über [1].mkv", Clip::Film),
        FileSpec::clip("/Über & Über [1].srt", Clip::Subtitles),
    ];
    let simulator = Simulator::start(vec![ReleaseSpec::new("Played.2024", files)]);
    let [http, nfs] = [(); 2].map(|()| free_address());
    let port = nfs.port();
    let toml = format!(
        "[folders.kodi]\nfilters = {{ size_gt = 0 }}\nas = \"strm\"\n\
         [http]\nlisten = \"{http}\"\nurl = \"http://{http}/\"\n\
         [nfs]\nlisten = \"{nfs}\"\n\
         [nfs.export.media]\npath = \"/kodi\"\nnetworks = [\"127.0.0.0/8\"]\ninsecure = true\n"
    );
    let settings = Settings {
        toml,
        ..Settings::default()
    };
    let instance = Instance::start(&simulator, settings);
    instance.wait_synced();
    let socket = instance.runtime().join("control.sock");
    let token = |arguments: &[&str]| {
        let socket = ["--socket", socket.to_str().expect("text")];
        run(
            env!("CARGO_BIN_EXE_debridfs"),
            &[&["token"], arguments, &socket[..]].concat(),
        )
    };
    let kodi = token(&["new", "kodi"]);
    let name = "Über & Über [1].strm";
    let release = instance.mount().join("kodi/Played.2024");
    let path = release.join(name);
    let over_nfs = || {
        run(
            "nfs-cat",
            &[&format!(
                "nfs://127.0.0.1/media/Played.2024/{name}?version=3&nfsport={port}&mountport={port}"
            )],
        )
    };
    let over_webdav = || {
        let address = format!(
            "http://kodi:{}@{http}/dav/kodi/Played.2024/%C3%9Cber%20%26%20%C3%9Cber%20%5B1%5D.strm",
            kodi.trim()
        );
        run("curl", &["-sSf", &address])
    };

    let first = look(&path);
    let address = first.3.trim().to_owned();
    assert!(
        address.starts_with(&format!("http://{http}/strm/")),
        "{address}"
    );
    let found = streams(&address);
    assert!(
        found.contains("video") && found.contains("audio"),
        "{found}"
    );
    let subtitles = release.join("Über & Über [1].srt");
    assert_eq!(
        fs::read(subtitles).expect("subtitles"),
        Clip::Subtitles.bytes()
    );
    assert_eq!(
        [over_nfs(), over_webdav()],
        [first.3.clone(), first.3.clone()]
    );

    // The next engine, which has to say the same, and the one after the whole service was away.
    let killed = instance.engine_pid();
    assert!(instance.signal_engine(Signal::KILL));
    until("another engine", Duration::from_secs(60), || {
        instance
            .engine_child()
            .is_some_and(|engine| engine != killed)
    });
    assert_eq!(look(&path), first);
    until("it is served again", Duration::from_secs(60), || {
        code(&address) == "200"
    });

    token(&["revoke", "strm"]);
    assert_eq!(code(&address), "403");
    // The kernel keeps what it knows for longer than this, unless it is told.
    until("the kernel is told", Duration::from_secs(20), || {
        fs::metadata(&path).is_ok_and(|about| about.len() != first.1)
    });
    let second = look(&path);
    assert_eq!(second.0, first.0);
    assert!(second.1 != first.1 && second.2 > first.2 && second.3 != first.3);
    assert_eq!(
        [over_nfs(), over_webdav()],
        [second.3.clone(), second.3.clone()]
    );
    assert_eq!(code(second.3.trim()), "200");
    assert_eq!(code(&address), "403");
}
