//! What is put in place for an arr other than symlinks, and the arrs other than Sonarr: `docs/arrs.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use debridfs_sim::arr::{Dialect, Grab, Grabs, ItemStatus};
use debridfs_sim::{Clip, FileSpec, content};

use crate::support::{Household, Settings, Simulator, film, run, streams, until};

const HASH: &str = "00112233445566778899aabbccddeeff00112244";

fn magnet(hash: &str, name: &str) -> String {
    format!("magnet:?xt=urn:btih:{hash}&dn={name}")
}

fn command(household: &Household, arguments: &[&str]) -> String {
    let socket = household.instance.runtime().join("control.sock");
    let mut all = arguments.to_vec();
    all.extend(["--socket", socket.to_str().expect("text")]);
    run(env!("CARGO_BIN_EXE_debridfs"), &all)
}

#[test]
fn a_download_killed_on_its_way_is_imported_whole() {
    const BYTES: u64 = 100 << 20;
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let files = vec![
        FileSpec::generated("/Copied.2024.mkv", BYTES),
        FileSpec::clip("/Copied.2024.srt", Clip::Subtitles),
    ];
    simulator.know(HASH, "Copied.2024", files);
    let rules = "[acquire.category.copies]\naction = \"download\"\n";
    let household = Household::with(&simulator, rules, Settings::default());
    let radarr = household.arr(Dialect::Radarr, "copies");
    // After something of it is known to be on the disk, and when all of it is there.
    for point in ["fetch-stored", "linking"] {
        fs::write(household.crashes.join(point), "").expect("a marker");
    }
    let link = magnet(HASH, "Copied.2024");
    household.patiently("the grab", || radarr.grab_magnet(&link));
    let item = household.completed_of(&radarr);
    for point in ["fetch-stored", "linking"] {
        assert!(
            !household.crashes.join(point).exists(),
            "never came to {point}"
        );
    }
    let fetched = simulator.bytes_sent();
    assert!(
        fetched < BYTES + BYTES / 2,
        "{fetched} bytes fetched, more than half of them twice"
    );
    let imported = radarr.import(&item, &household.library()).expect("import");
    assert_eq!(imported, [household.library().join("Copied.2024.mkv")]);
    let bytes = fs::read(&imported[0]).expect("a file");
    let mut right = vec![0; BYTES as usize];
    content::fill(content::key(HASH, "/Copied.2024.mkv"), 0, &mut right);
    assert!(
        bytes == right,
        "{} bytes, wrong ones among them",
        bytes.len()
    );
    assert!(
        !fs::symlink_metadata(&imported[0])
            .expect("there")
            .is_symlink()
    );
    let text = household
        .downloads()
        .join("copies/Copied.2024/Copied.2024.srt");
    assert_eq!(fs::read(text).expect("subtitles"), Clip::Subtitles.bytes());
    household.patiently("the removal", || radarr.remove(&item));
    let left: Vec<_> = fs::read_dir(household.downloads().join("copies"))
        .expect("a folder")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(fs::metadata(&imported[0]).expect("imported").len(), BYTES);
}

#[test]
fn a_strm_plays_until_its_token_is_revoked() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let files = vec![FileSpec::clip("/Über & Über #1?.mkv", Clip::Film)];
    simulator.know(HASH, "Played.2024", files);
    let household = Household::with(&simulator, "action = \"strm\"\n", Settings::default());
    let sonarr = household.arr(Dialect::SonarrV5, "series");
    let sonarr = sonarr.with_tags(&["a", "b"]);
    let link = magnet(HASH, "Played.2024");
    household.patiently("the grab", || sonarr.grab_magnet(&link));
    let item = household.completed_of(&sonarr);
    let imported = sonarr.import(&item, &household.library()).expect("import");
    assert!(
        imported[0].ends_with("Über & Über #1?.strm"),
        "{imported:?}"
    );
    let address = fs::read_to_string(&imported[0]).expect("text");
    let address = address.trim();
    assert!(
        address.starts_with(&format!("http://{}/strm/", household.http)),
        "{address}"
    );
    let found = streams(address);
    assert!(
        found.contains("video") && found.contains("audio"),
        "{found}"
    );
    let whole = fs::read(
        household
            .instance
            .mount()
            .join("__all__/Played.2024/Über & Über #1?.mkv"),
    );
    let curl = |arguments: &[&str], url: &str| {
        let mut all = vec!["-sS", "-o"];
        let out = household.dir.path().join("out");
        all.extend([out.to_str().expect("text"), "-w", "%{http_code}"]);
        all.extend_from_slice(arguments);
        all.push(url);
        (run("curl", &all), fs::read(&out).unwrap_or_default())
    };
    assert!(curl(&[], address) == ("200".to_owned(), whole.expect("through the mount")));
    let (code, part) = curl(&["-r", "1000-1999"], address);
    assert!(
        code == "206" && part == Clip::Film.bytes()[1000..2000],
        "{code}"
    );
    let listed = command(&household, &["token", "ls"]);
    assert!(listed.contains("strm"), "{listed}");

    command(&household, &["token", "revoke", "strm"]);
    assert_eq!(curl(&[], address).0, "403");
    // What lies in the downloads folder is written anew; what was imported is linked to what it was.
    let place = household
        .downloads()
        .join("series/Played.2024/Über & Über #1?.strm");
    until("it is written anew", Duration::from_secs(30), || {
        fs::read_to_string(&place).is_ok_and(|text| text.trim() != address)
    });
    let fresh = fs::read_to_string(&place).expect("text");
    assert_eq!(curl(&["-I"], fresh.trim()).0, "200");
    let made = command(&household, &["token", "new", "kodi"]);
    let version = format!(
        "http://{}/files/{}/version.txt",
        household.http,
        made.trim()
    );
    assert_eq!(curl(&[], &version).0, "200");
}

#[test]
fn every_arr_grabs_and_imports_with_its_own_calls() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let household = Household::new(&simulator);
    for (number, dialect) in Dialect::ALL.into_iter().enumerate() {
        let extension = dialect.extensions()[0];
        let (hash, name) = (
            format!("{:040x}", 0xd1a0 + number),
            format!("Release.{number}"),
        );
        let files = vec![
            FileSpec::generated(format!("/Disc 1/a.{extension}"), 300_000),
            FileSpec::generated(format!("/Disc 2/b.{extension}"), 300_000),
        ];
        simulator.know(&hash, &name, files);
        let category = format!("{dialect:?}").to_lowercase();
        let arr = household.arr(dialect, &category);
        let arr = match dialect.hands_tags_on() {
            true => arr.with_tags(&["mine"]),
            false => arr,
        };
        let link = magnet(&hash, &name);
        household.patiently("the grab", || arr.grab_magnet(&link));
        let item = household.completed_of(&arr);
        let imported = arr.import(&item, &household.library().join(&category));
        assert_eq!(imported.expect("import").len(), 2, "{dialect:?}");
        household.patiently("the removal", || arr.remove(&item));
        assert!(
            household.patiently("the queue", || arr.poll()).is_empty(),
            "{dialect:?}"
        );
    }
}

#[test]
fn with_a_sabnzbd_beside_the_qbittorrent_a_dead_grab_is_blocklisted() {
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let (dead, good) = (format!("{:040x}", 0xdead), format!("{:040x}", 0x900d));
    simulator.know_dead(&dead, "Wanted.2024.DEAD");
    simulator.know(
        &good,
        "Wanted.2024",
        vec![FileSpec::clip("/Wanted.2024.mkv", Clip::Film)],
    );
    let household = Household::new(&simulator);
    let (arr, sab) = (&household.arr, household.sab(Dialect::SonarrV4, "tv"));
    household.patiently("the test of the client", || sab.test());
    let mut grabs = Grabs::default();
    let grab = |hash: &str, name: &str| {
        let link = magnet(hash, name);
        household.patiently("the grab", || arr.grab_magnet(&link));
        hash.to_uppercase()
    };
    grabs.note(&grab(&dead, "Wanted.2024.DEAD"));
    let mut failed = Vec::new();
    until("it failed", Duration::from_secs(90), || {
        // The one client can only warn of it.
        let shown = household.patiently("the queue", || arr.poll());
        assert!(grabs.handle(&shown).is_empty(), "{shown:?}");
        failed = grabs.handle(&household.patiently("the history", || sab.poll()));
        !failed.is_empty()
    });
    assert_eq!(failed[0].download_id, dead.to_uppercase());
    household.patiently("the removal", || sab.remove(&failed[0]));
    assert!(household.poll().is_empty());
    // The search that follows takes the next release.
    grabs.note(&grab(&good, "Wanted.2024"));
    let item = household.completed();
    let same = household.patiently("the history", || sab.poll()).remove(0);
    assert_eq!(same.status, ItemStatus::Completed);
    assert_eq!(
        (same.download_id, same.output_path),
        (item.download_id.clone(), item.output_path.clone())
    );
    assert_eq!(
        arr.import(&item, &household.library())
            .expect("import")
            .len(),
        1
    );
    assert_eq!(grabs.blocklist().len(), 1);

    // An nzb is passed over by an arr of any version, without putting off what else there is.
    for dialect in [Dialect::SonarrV4, Dialect::SonarrV5] {
        let answer = household.runtime.block_on(sab.grab(b"<nzb/>"));
        let next = Ok(Some("next".to_owned()));
        assert_eq!(
            grabs.attempt(dialect, [answer, next]),
            Grab::Taken(1, "next".to_owned())
        );
    }
}

/// A film far larger than what is read of its ends.
fn episode(dir: &Path) -> PathBuf {
    let path = dir.join("episode.mkv");
    let text = path.to_str().expect("text");
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=24"];
    let sound = ["-f", "lavfi", "-i", "sine=frequency=440"];
    let coding = [
        "-t", "20", "-c:v", "mpeg4", "-b:v", "8M", "-minrate", "8M", "-maxrate", "8M",
    ];
    let mut arguments = vec!["-v", "error", "-y"];
    arguments.extend(picture.iter().chain(&sound).chain(&coding));
    arguments.extend(["-bufsize", "4M", "-c:a", "aac", text]);
    run("ffmpeg", &arguments);
    let bytes = fs::metadata(&path).expect("made").len();
    assert!(bytes > 8 << 20, "{bytes} bytes");
    path
}

#[test]
fn a_season_is_imported_without_a_read_at_the_provider() {
    const EPISODES: usize = 24;
    let simulator = Simulator::start(vec![film("First.2024", 1 << 20)]);
    let dir = tempfile::tempdir().expect("directory");
    let episode = episode(dir.path());
    let files = (1..=EPISODES)
        .map(|n| FileSpec {
            local: Some(episode.clone()),
            bytes: None,
            ..FileSpec::generated(format!("/Season.S01E{n:02}.mkv"), 0)
        })
        .collect();
    simulator.know(HASH, "Season.S01", files);
    let settings = Settings {
        cache: true,
        // What is fetched of new films in the background is not to help.
        toml: "[content.probe]\nfill_new = false\n".into(),
        ..Settings::default()
    };
    let household = Household::with(&simulator, "", settings);
    let link = magnet(HASH, "Season.S01");
    household.patiently("the grab", || household.arr.grab_magnet(&link));
    let item = household.completed();
    let quiet = || (simulator.transfers(), simulator.unrestricted());
    let before = quiet();
    let imported = household
        .arr
        .import(&item, &household.library())
        .expect("import");
    assert_eq!(imported.len(), EPISODES);
    for film in &imported {
        let found = streams(film.to_str().expect("text"));
        assert!(found.contains("video"), "{found}");
        assert!(Path::new(film).exists());
    }
    assert_eq!(quiet(), before, "reads and links after it was ready");
}
