//! What is shipped for hosts without Kubernetes: the compose file and the units of systemd, checked for what would break the mount.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Where the library is mounted in all of them, and what can be listed once the account was read.
const MOUNT: &str = "/mnt/dfs";
const LISTED: &str = "/mnt/dfs/__all__";

const UNITS: [&str; 3] = [
    "debridfs.service",
    "debridfs-keeper.service",
    "debridfs-engine.service",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Of a keeper that starts with more than it keeps: it makes directories the engine's (docs/security.md).
fn keepers_capabilities() -> BTreeSet<String> {
    let kept = debridfs_confine::KEEPER.map(|needed| needed.name);
    kept.into_iter()
        .chain(["CHOWN"])
        .map(str::to_owned)
        .collect()
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|one| one.as_str().expect("text")).collect()
}

fn compose() -> Value {
    serde_saphyr::from_str(&read("compose.yaml")).expect("YAML")
}

/// A bind or volume of a service.
#[derive(Debug, PartialEq, Eq)]
struct Volume {
    source: String,
    target: String,
    propagation: Option<String>,
}

fn volumes(service: &Value) -> Vec<Volume> {
    let volumes = service["volumes"].as_array().expect("volumes");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let volume = |value: &Value| {
        if let Some(short) = value.as_str() {
            let mut parts = short.split(':').map(str::to_owned);
            let mut next = || parts.next();
            return Volume {
                source: next().expect("a source"),
                target: next().expect("a target"),
                propagation: next(),
            };
        }
        Volume {
            source: text(&value["source"]),
            target: text(&value["target"]),
            propagation: value["bind"]["propagation"].as_str().map(str::to_owned),
        }
    };
    volumes.iter().map(volume).collect()
}

fn volume_at<'a>(volumes: &'a [Volume], target: &str) -> &'a Volume {
    let found = volumes.iter().find(|volume| volume.target == target);
    found.unwrap_or_else(|| panic!("nothing at {target}: {volumes:?}"))
}

#[test]
fn the_keeper_of_compose_can_mount_and_can_do_nothing_else() {
    let compose = compose();
    let keeper = &compose["services"]["keeper"];
    assert_eq!(texts(&keeper["command"]), ["supervise", "keeper"]);
    assert_eq!(texts(&keeper["devices"]), ["/dev/fuse"]);
    assert_eq!(texts(&keeper["cap_drop"]), ["ALL"]);
    let added: BTreeSet<String> = texts(&keeper["cap_add"])
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(added, keepers_capabilities());
    assert_eq!(keeper["privileged"], Value::Null);
    assert_eq!(keeper["network_mode"], "none");
    // Docker's own profile would deny the mount.
    assert!(texts(&keeper["security_opt"]).contains(&"apparmor:${DEBRIDFS_APPARMOR:-unconfined}"));
    // The parent of the mount point, so that what is mounted reaches the host.
    let volumes = volumes(keeper);
    let parent = volume_at(&volumes, "/mnt");
    assert_eq!(parent.source, "/mnt");
    assert_eq!(parent.propagation.as_deref(), Some("rshared"));
    // Replaced, it leaves the mount to the engine, within the time that it is given.
    let seconds = |value: &Value| -> u64 {
        let text = value.as_str().and_then(|text| text.strip_suffix('s'));
        text.and_then(|text| text.parse().ok()).expect("seconds")
    };
    let linger = seconds(&keeper["environment"]["DEBRIDFS__KEEPER__LINGER"]);
    // Twice: an engine that ends meanwhile gives the next one as long again.
    assert!(linger > 0 && 2 * linger + 5 <= seconds(&keeper["stop_grace_period"]));
    assert_eq!(keeper["stop_signal"], Value::Null, "SIGTERM");
}

/// An override lies beside the compose file: Compose merges it by service, and volumes by where they are mounted.
fn beside(name: &str) -> Value {
    let text = read(&format!("deploy/compose/{name}.yaml"));
    serde_saphyr::from_str(&text).expect("YAML")
}

#[test]
fn arrs_of_compose_find_a_client_and_a_folder_that_both_may_write_to() {
    let (base, arrs) = (compose(), beside("arrs"));
    let folder = |service: &str| {
        let environment = &arrs["services"][service]["environment"];
        environment["DEBRIDFS__ACQUIRE__DOWNLOADS"].as_str()
    };
    assert_eq!(folder("engine"), Some("/mnt/downloads"));
    assert_eq!(folder("keeper"), folder("engine"), "the keeper makes it");
    for service in ["engine", "sonarr"] {
        let [before, after] = [&base, &arrs].map(|file| &file["services"][service]);
        let [of_base, of_arrs] = [before, after].map(volumes);
        let [before, after] = [&of_base, &of_arrs].map(|volumes| volume_at(volumes, "/mnt"));
        assert_eq!(before, after, "{service}");
        let volume = &arrs["services"][service]["volumes"][0];
        assert_eq!(volume["read_only"], false, "{service}");
    }
    let engine = &arrs["services"]["engine"]["environment"];
    assert_eq!(engine["DEBRIDFS__QBITTORRENT__LISTEN"], "0.0.0.0:8283");
    let password = engine["DEBRIDFS__QBITTORRENT__PASSWORD"].as_str();
    assert!(password.is_some_and(|text| text.starts_with("${QBITTORRENT_PASSWORD:?")));
    // What makes the folder is confined to it.
    let profile = read("deploy/apparmor/debridfs-keeper");
    for line in [
        "@{DEBRIDFS_DOWNLOADS}=/mnt/downloads",
        "  @{DEBRIDFS_DOWNLOADS}/ rw,",
    ] {
        assert!(profile.lines().any(|one| one == line), "{line}");
    }
}

#[test]
fn nfs_of_compose_has_a_key_and_networks_that_somebody_chose() {
    let nfs = beside("nfs");
    let engine = &nfs["services"]["engine"];
    let environment = &engine["environment"];
    let networks = environment["DEBRIDFS__NFS__EXPORT__MEDIA__NETWORKS"].as_str();
    assert!(networks.is_some_and(|text| text.starts_with("${NFS_NETWORKS:?")));
    let listen = environment["DEBRIDFS__NFS__LISTEN"].as_str().expect("text");
    let (_, port) = listen.rsplit_once(':').expect("a port");
    assert_eq!(texts(&engine["ports"]), [format!("{port}:{port}")]);
    let secret = texts(&engine["secrets"])[0];
    assert!(nfs["secrets"][secret]["file"].is_string());
    let key = environment["DEBRIDFS__NFS__KEY_FILE"].as_str();
    assert_eq!(key, Some(format!("/run/secrets/{secret}").as_str()));
}

#[test]
fn the_apparmor_profile_allows_the_keepers_capabilities_and_one_mount() {
    let profile = read("deploy/apparmor/debridfs-keeper");
    let rules: Vec<&str> = profile
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(
        rules
            .iter()
            .any(|rule| rule.starts_with("profile debridfs-keeper "))
    );
    let of = |kind: &str| -> BTreeSet<String> {
        let rest = rules.iter().filter_map(|rule| rule.strip_prefix(kind));
        rest.map(|rest| rest.trim_end_matches(',').to_uppercase())
            .collect()
    };
    let mut capabilities = keepers_capabilities();
    // To give up the others.
    capabilities.insert("SETPCAP".into());
    assert_eq!(of("capability "), capabilities);
    let mounts = of("mount ");
    assert_eq!(mounts.len(), 2, "{mounts:?}");
    for mount in mounts {
        let fuse = mount.starts_with("FSTYPE=FUSE.DEBRIDFS OPTIONS IN (RO,");
        assert!(fuse || mount == "FSTYPE=FUSECTL", "{mount}");
    }
    // No network but that socket, no program but its own.
    assert_eq!(of("network "), BTreeSet::from(["UNIX".to_owned()]));
    let programs = rules
        .iter()
        .filter(|rule| rule.starts_with('/') && rule.ends_with("ix,"));
    assert_eq!(programs.count(), 1);
    // And of files what is named.
    let everything = |rule: &&&str| rule.starts_with("/** ") || rule.starts_with("/{,**} ");
    assert_eq!(rules.iter().find(everything), None);
}

#[test]
fn the_engine_of_compose_is_replaced_alone_and_asks_for_nothing() {
    let compose = compose();
    let (keeper, engine) = (
        &compose["services"]["keeper"],
        &compose["services"]["engine"],
    );
    assert_eq!(texts(&engine["command"]), ["supervise", "engine"]);
    assert_ne!(keeper["image"], engine["image"], "an image of its own");
    assert_eq!(texts(&engine["cap_drop"]), ["ALL"]);
    for key in ["cap_add", "devices", "privileged", "pid", "stop_signal"] {
        assert_eq!(engine[key], Value::Null, "{key}");
    }
    let user = engine["user"].as_str().expect("text");
    assert!(
        !user.starts_with('0') && !user.starts_with("root"),
        "{user}"
    );
    let options = texts(&engine["security_opt"]);
    assert!(options.contains(&"no-new-privileges:true"));
    let profile = options
        .iter()
        .find_map(|option| option.strip_prefix("seccomp:"));
    let profile = root().join(profile.expect("a profile"));
    assert_eq!(profile, root().join("deploy/seccomp/engine.json"));
    assert!(profile.exists());
    // `up --build engine` builds and replaces what the engine depends on, too: the mount would be gone with both.
    assert_eq!(engine["depends_on"], Value::Null);
    // The look of `/readyz` through the mount.
    let library = volumes(engine);
    let library = volume_at(&library, "/mnt");
    assert_eq!(library.source, "/mnt");
    assert_eq!(library.propagation.as_deref(), Some("rslave"));
    // They meet in one directory, as one user, and speak of one mount.
    let (of_keeper, of_engine) = (&keeper["environment"], &engine["environment"]);
    for key in [
        "PUID",
        "PGID",
        "DEBRIDFS__RUNTIME_DIR",
        "DEBRIDFS__STATE_DIR",
        "DEBRIDFS__CACHE_DIR",
        "DEBRIDFS__MOUNT__PATH",
    ] {
        assert!(of_keeper[key].is_string(), "{key}");
        assert_eq!(of_keeper[key], of_engine[key], "{key}");
    }
    assert_eq!(of_keeper["DEBRIDFS__MOUNT__PATH"], MOUNT);
    for key in ["DEBRIDFS__RUNTIME_DIR", "DEBRIDFS__STATE_DIR"] {
        let dir = of_keeper[key].as_str().expect("text");
        let sources = [keeper, engine].map(|service| {
            let volumes = volumes(service);
            volume_at(&volumes, dir).source.clone()
        });
        assert_eq!(sources[0], sources[1], "{dir}");
        assert!(compose["volumes"].get(&sources[0]).is_some(), "{dir}");
    }
    // The keeper has no network, and no use for the token.
    let tokens = |environment: &Value| environment.to_string().contains("TOKEN");
    assert!(tokens(of_engine) && !tokens(of_keeper));
}

#[test]
fn consumers_of_compose_get_every_mount_and_wait_for_the_library() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let mut consumers = 0;
    for (name, service) in services {
        if name == "keeper" || name == "engine" {
            continue;
        }
        consumers += 1;
        let volumes = volumes(service);
        let library = volumes
            .iter()
            .find(|volume| Path::new(MOUNT).starts_with(&volume.source));
        let library = library.unwrap_or_else(|| panic!("{name} binds the library"));
        assert_eq!(
            library.source, library.target,
            "{name}: links have to lead somewhere"
        );
        let propagation = library.propagation.as_deref();
        assert_eq!(propagation, Some("rslave"), "{name}");
        let words = texts(&service["entrypoint"]);
        let script = words.iter().find(|word| word.contains(LISTED));
        let script = script.unwrap_or_else(|| panic!("{name} waits for {LISTED}"));
        let script = script.replace("$$", "$");
        assert!(waits(&script), "{name}: {script}");
    }
    assert!(consumers >= 2);
}

/// Whether a script ends in the program it was given, and not before the library can be listed and read: a listing may come from the
/// kernel's memory.
fn waits(script: &str) -> bool {
    let dir = tempdir();
    let mount = LISTED.strip_suffix("/__all__").expect("below the mount");
    let script = script.replace(mount, dir.to_str().expect("text"));
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", "echo", "the program"]);
        command.output().expect("sh runs")
    };
    // The wait is cut short where it would sleep.
    let waiting = || shell(&script.replace("sleep 1", "exit 9")).status.code() == Some(9);
    let unlisted = waiting();
    std::fs::create_dir(dir.join("__all__")).expect("directory");
    let unread = waiting();
    std::fs::write(dir.join("version.txt"), "x").expect("file");
    let patient = shell(&script);
    std::fs::remove_dir_all(&dir).expect("removed");
    unlisted && unread && patient.stdout == b"the program\n"
}

fn tempdir() -> PathBuf {
    let name = format!(
        "debridfs-deploy-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    );
    let dir = std::env::temp_dir().join(name.replace(['(', ')'], ""));
    std::fs::create_dir_all(&dir).expect("directory");
    dir
}

/// Whether an image is the same tomorrow: by a digest, or the tag of one version (of Debian, one point release).
fn is_exact(image: &str) -> bool {
    if image.contains("@sha256:") || image == "scratch" {
        return true;
    }
    let Some((name, tag)) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) else {
        return false;
    };
    let version = tag.split('-').next().unwrap_or_default();
    let numbers = version
        .split('.')
        .filter(|part| part.parse::<u32>().is_ok());
    let least = if name.ends_with("library/debian") {
        2
    } else {
        3
    };
    numbers.count() >= least
}

#[test]
fn images_are_the_same_tomorrow() {
    for (image, exact) in [
        ("jellyfin/jellyfin", false),
        ("debridfs:latest", false),
        ("localhost:5000/debridfs", false),
        ("docker.io/library/rust:1.95-bookworm", false),
        ("docker.io/library/debian:bookworm-slim", false),
        ("docker.io/library/debian:12.12-slim", true),
        ("docker.io/library/rust:1.95.0-bookworm", true),
        ("debridfs@sha256:0123", true),
    ] {
        assert_eq!(is_exact(image), exact, "{image}");
    }
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    for (name, service) in services {
        let image = service["image"].as_str().expect("an image");
        // ${VARIABLE:-default}
        let default = image
            .split_once(":-")
            .map(|(_, rest)| rest.trim_end_matches('}'));
        assert!(is_exact(default.unwrap_or(image)), "{name}: {image}");
    }
    let dockerfile = read("Dockerfile");
    let bases = ["BUILDER", "DEBIAN", "RUNTIME"];
    for base in bases {
        let line = format!("ARG {base}=");
        let image = dockerfile.lines().find_map(|one| one.strip_prefix(&line));
        assert!(is_exact(image.expect("a default")), "{base}: {image:?}");
    }
    // Everything else is built on those, or on a stage of this file.
    let stages: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.split_once(" AS "))
        .map(|(_, stage)| stage)
        .collect();
    for from in dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "))
    {
        let mut words = from.split(' ').filter(|word| !word.starts_with("--"));
        let image = words.next().expect("an image");
        let known = bases.iter().any(|base| image == format!("${{{base}}}"));
        assert!(known || stages.contains(&image), "{from}");
    }
}

#[test]
fn services_of_compose_that_stay_have_a_limit_of_memory() {
    let compose = compose();
    for name in ["keeper", "engine"] {
        let limit = &compose["services"][name]["mem_limit"];
        assert!(limit.is_string(), "{name}: {limit}");
    }
}

/// Known faults of what is linked are asked for by a command of its own: `make test` needs no database of them.
#[test]
fn advisories_are_asked_for_by_a_command_and_refuse_what_they_find() {
    let deny: Value = toml::from_str(&read("deny.toml")).expect("TOML");
    let advisories = &deny["advisories"];
    assert_eq!(advisories["yanked"], "deny");
    let makefile = read("Makefile");
    assert!(makefile.contains("\nadvisories: "));
    assert!(makefile.contains("check advisories"));
    assert!(!read("scripts/test.sh").contains("advisories"));
}

/// The values of a key in a unit, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let of_key = |line: &'a str| line.strip_prefix(key)?.strip_prefix('=');
    unit.lines().filter_map(of_key).collect()
}

fn unit(name: &str) -> String {
    read(&format!("deploy/systemd/{name}"))
}

#[test]
fn systemd_knows_every_key_of_the_units() {
    let dir = tempdir();
    // It looks for the program.
    let here = |name| unit(name).replace("/usr/local/bin/debridfs", "/bin/true");
    for name in UNITS {
        std::fs::write(dir.join(name), here(name)).expect("written");
    }
    let verify = || {
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no"]);
        command.args(UNITS.map(|name| dir.join(name)));
        let output = command
            .output()
            .expect("systemd-analyze (package systemd) is installed");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Other units of the machine are none of ours.
        let lines = said.lines().filter(|line| line.contains("debridfs"));
        (
            output.status.success(),
            lines.map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    let good = verify();
    let spoiled = here(UNITS[0]).replace("RestartKillSignal", "RestartKilSignal");
    std::fs::write(dir.join(UNITS[0]), spoiled).expect("written");
    let bad = verify();
    std::fs::remove_dir_all(&dir).expect("removed");
    assert_eq!(good, (true, vec![]));
    assert_eq!(bad.1.len(), 1, "a key with a mistake is seen: {bad:?}");
}

/// systemd stops what is tied to a unit that fails, and does not start it again with that unit.
#[test]
fn an_engine_outlives_the_crash_of_its_keeper() {
    let engine = unit("debridfs-engine.service");
    for key in ["StopPropagatedFrom", "BindsTo", "PartOf", "Requires"] {
        assert!(values(&engine, key).is_empty(), "{key}");
    }
}

#[test]
fn units_that_mount_keep_the_mount_and_let_it_out() {
    for name in ["debridfs.service", "debridfs-keeper.service"] {
        let unit = unit(name);
        assert_eq!(values(&unit, "Type"), ["notify"], "{name}");
        let most: usize = values(&unit, "FileDescriptorStoreMax")[0]
            .parse()
            .expect("a number");
        // One for each of 64 transport threads, and: connection, journal, note, engine.
        assert!(most >= 64 + 4, "{name}");
        assert_eq!(values(&unit, "KillSignal"), ["SIGTERM"], "{name}");
        assert_eq!(values(&unit, "RestartKillSignal"), ["SIGUSR2"], "{name}");
        assert_eq!(values(&unit, "Restart"), ["always"], "{name}");
        let capabilities: BTreeSet<String> = values(&unit, "CapabilityBoundingSet")[0]
            .split(' ')
            .map(|name| name.trim_start_matches("CAP_").to_owned())
            .collect();
        assert_eq!(capabilities, keepers_capabilities(), "{name}");
        // systemd.exec(5): each of these gives the service a mount namespace of its own, which the mount would not leave.
        for key in [
            "ProtectSystem",
            "ProtectHome",
            "PrivateTmp",
            "PrivateDevices",
            "PrivateMounts",
            "ProtectKernelTunables",
            "ProtectKernelModules",
            "ProtectKernelLogs",
            "ProtectControlGroups",
            "ProtectProc",
            "ReadWritePaths",
            "ReadOnlyPaths",
            "InaccessiblePaths",
            "BindPaths",
            "RootDirectory",
            "TemporaryFileSystem",
            "DynamicUser",
            "MountFlags",
        ] {
            assert!(values(&unit, key).is_empty(), "{name}: {key}");
        }
    }
    // With a keeper as parent the engine is killed after it, not with it.
    assert_eq!(values(&unit("debridfs.service"), "KillMode"), ["mixed"]);
    assert_eq!(values(&unit("debridfs.service"), "OOMPolicy"), ["continue"]);
}

/// Also where the kernel has no AppArmor.
#[test]
fn the_apparmor_profile_is_understood_by_its_parser() {
    let path = root().join("deploy/apparmor/debridfs-keeper");
    // Debian's place for it is not on every PATH.
    let parsed = Command::new("apparmor_parser")
        .args(["--skip-kernel-load", "--skip-cache"])
        .arg(&path)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()
        .expect("the package apparmor (scripts/setup.sh)");
    let said = String::from_utf8_lossy(&parsed.stderr);
    assert!(parsed.status.success(), "{said}");
}
