//! Links that somebody plants in the downloads folder, in the place of everything that is made or looked for there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::action::files::{self, Entry, What};
use crate::links::{self, Link};

const OWNER: InfoHash = InfoHash([7; 20]);
const RELEASE: &str = "tv/Film";
const FILM: &str = "Film.mkv";
const SUBTITLE: &str = "Subs/Film.srt";

/// A downloads folder, and beside it what nobody may touch.
struct World {
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { dir };
        fs::create_dir_all(world.folder()).unwrap();
        for path in [
            "Film/Film.mkv",
            "Film/Subs/Film.srt",
            "Film.mkv",
            "Film.srt",
        ] {
            let path = world.outside().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "precious").unwrap();
        }
        let link = world.outside().join("Film/link");
        symlink("/mnt/dfs/Film.mkv", link).unwrap();
        world
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("downloads")
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn spot(&self, path: &str) -> Spot {
        Spot::below(&self.folder(), &self.folder().join(path)).unwrap()
    }

    /// All that lies outside: paths with mode and content.
    fn untouched(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.outside()];
        while let Some(path) = left.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = match meta.file_type() {
                kind if kind.is_dir() => {
                    let entries = fs::read_dir(&path).unwrap();
                    left.extend(entries.map(|entry| entry.unwrap().path()));
                    Vec::new()
                }
                kind if kind.is_symlink() => b"link".to_vec(),
                _ => fs::read(&path).unwrap(),
            };
            found.insert(path, (meta.permissions().mode(), content));
        }
        found
    }
}

fn wanted() -> Vec<Link> {
    [FILM, SUBTITLE]
        .map(|path| {
            (
                path.to_owned(),
                Path::new("/mnt/dfs/__all__/Film").join(path),
            )
        })
        .to_vec()
}

fn entries() -> [Entry; 3] {
    let fetched = |path: &str| Entry {
        path: path.to_owned(),
        content: What::Fetched(8),
    };
    let text = Entry {
        path: "Film.strm".to_owned(),
        content: What::Text("http://host/token".to_owned()),
    };
    [fetched(FILM), fetched(SUBTITLE), text]
}

fn fetch(world: &World) -> io::Result<()> {
    let place = world.spot(RELEASE);
    files::survey(OWNER, &place, None, &entries(), |_| 8)?;
    for path in [FILM, SUBTITLE] {
        let file = files::open_part(OWNER, &place, path)?;
        files::write(&file, 0, &[bytes::Bytes::from_static(b"the film")])?;
    }
    files::put(OWNER, &place, &entries(), &[])
}

fn take_away(world: &World) {
    let place = world.spot(RELEASE);
    let names = entries().map(|entry| entry.path);
    let building = world.spot(&format!("tv/{}", building_name(OWNER)));
    // Some of them refuse what is planted; it is what is left that counts.
    let _ = links::withdraw(&place, &wanted());
    let _ = files::remove(&place, &names);
    let _ = links::remove(&place);
    let _ = files::discard(&building);
    for folder in ["", "tv"] {
        files::sweep(&world.spot(folder), |_| false);
    }
}

/// Every name that is made or looked for, and whether something can be made with a link in its place.
fn planted() -> Vec<(String, bool)> {
    let hidden_in = |dir: &str, end| format!("{dir}/{}", hidden(OWNER, end));
    let building = hidden_in("tv", BUILDING);
    let mut all = vec![
        ("tv".to_owned(), false),
        (RELEASE.to_owned(), false),
        (building.clone(), false),
        (format!("{RELEASE}/Subs"), false),
        (format!("{building}/Subs"), false),
        (hidden_in(RELEASE, ".link"), true),
        (hidden_in(RELEASE, ".own"), true),
        (hidden_in(&building, ".own"), true),
        (".debridfs-Film.part".to_owned(), true),
    ];
    for path in [FILM, SUBTITLE, "Film.strm"] {
        all.push((format!("{RELEASE}/{path}"), false));
        all.push((format!("{building}/{path}"), false));
    }
    all
}

#[test]
fn a_planted_link_leads_nowhere() {
    let targets = ["Film", "Film.mkv", "Film.srt", "nothing"];
    for (path, _) in planted() {
        for target in targets {
            let world = World::new();
            let link = world.folder().join(&path);
            let before = world.untouched();
            let plant = || {
                let _ = fs::create_dir_all(link.parent().unwrap());
                let _ = fs::remove_file(&link);
                let _ = symlink(world.outside().join(target), &link);
            };
            plant();
            let _ = fetch(&world);
            plant();
            let _ = links::place(&world.spot(RELEASE), OWNER, &wanted());
            plant();
            take_away(&world);
            assert_eq!(world.untouched(), before, "{path} -> {target}");
        }
    }
}

#[test]
fn a_planted_link_is_named_and_nothing_is_put_in_place() {
    for (path, harmless) in planted() {
        let world = World::new();
        let link = world.folder().join(&path);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(world.outside().join("Film"), &link).unwrap();
        let fetched = fetch(&world);
        if harmless {
            assert!(fetched.is_ok(), "{path}: {fetched:?}");
            continue;
        }
        // A text in the building is made anew, as nothing of it counts.
        let Err(error) = fetched else {
            assert!(path.ends_with(".part/Film.strm"), "{path}");
            continue;
        };
        let words = error.to_string();
        assert!(
            words.contains(&link.display().to_string()),
            "{path}: {words}"
        );
        assert!(words.contains("in the way"), "{path}: {words}");
    }
}

#[test]
fn the_folder_itself_may_be_a_link_of_the_operator() {
    let world = World::new();
    let real = world.dir.path().join("disk");
    fs::create_dir(&real).unwrap();
    fs::remove_dir(world.folder()).unwrap();
    symlink(&real, world.folder()).unwrap();
    fetch(&world).unwrap();
    assert_eq!(
        fs::read(real.join("tv/Film/Film.mkv")).unwrap(),
        b"the film"
    );
}

#[test]
fn a_directory_of_somebody_else_is_not_built_in() {
    if !geteuid().is_root() {
        return;
    }
    let world = World::new();
    let somebody = |path: &Path| {
        fs::create_dir_all(path).unwrap();
        std::os::unix::fs::chown(path, Some(4321), Some(4321)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    };
    let building = world.folder().join("tv").join(building_name(OWNER));
    somebody(&building);
    for made in [
        fetch(&world),
        links::place(&world.spot(RELEASE), OWNER, &wanted()),
    ] {
        let words = made.unwrap_err().to_string();
        assert!(words.contains("belongs to user 4321"), "{words}");
    }
    fs::remove_dir(&building).unwrap();
    somebody(&world.folder().join(RELEASE));
    for made in [
        fetch(&world),
        links::place(&world.spot(RELEASE), OWNER, &wanted()),
    ] {
        let words = made.unwrap_err().to_string();
        assert!(words.contains("belongs to user 4321"), "{words}");
    }
}

#[test]
fn what_is_being_built_is_closed_to_others() {
    let world = World::new();
    let building = world.folder().join("tv").join(building_name(OWNER));
    let mode = || fs::metadata(&building).unwrap().permissions().mode() & 0o777;
    fs::create_dir_all(&building).unwrap();
    for _ in 0..2 {
        files::survey(OWNER, &world.spot(RELEASE), None, &entries(), |_| 0).unwrap();
        assert_eq!(mode(), 0o700);
        fs::remove_dir_all(&building).unwrap();
    }
}

#[test]
fn a_path_lies_in_the_outermost_folder_of_the_configuration() {
    let mut config = AcquireConfig::new("/state/jobs.db", "/downloads");
    let rule = crate::CategoryRule {
        folder: Some("/downloads/tv".into()),
        ..Default::default()
    };
    config.categories.insert("tv".to_owned(), rule);
    let spot = config.spot(Path::new("/downloads/tv/Film")).unwrap();
    assert_eq!(spot.root, Path::new("/downloads"));
    for path in ["/elsewhere/Film", "/downloads/../etc", "/downloadsFilm"] {
        assert!(config.spot(Path::new(path)).is_err(), "{path}");
    }
}

#[test]
fn a_folder_is_made_beside_what_is_there_and_not_in_place_of_a_missing_disk() {
    let dir = tempfile::tempdir().unwrap();
    let spot = |root: &Path| Spot::below(root, &root.join("tv/Film")).unwrap();
    let away = dir.path().join("disk/downloads");
    let refused = spot(&away).make_above().map(drop).unwrap_err().to_string();
    assert!(
        refused.contains("disk is missing: mount its disk"),
        "{refused}"
    );
    assert!(!dir.path().join("disk").exists());
    let here = dir.path().join("downloads");
    spot(&here).make_above().map(drop).unwrap();
    assert!(here.join("tv").is_dir());
}
