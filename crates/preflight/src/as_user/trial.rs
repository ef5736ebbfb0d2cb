//! `debridfs try-as-user`, the helper that tries one thing as the engine's user. It may hang.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use debridfs_base::instance_lock::{IN_OWN, IN_SHARED, Instance, holder};
use debridfs_base::walk::{Links, walk};
use debridfs_base::{parent, require_parent};
use debridfs_keeper::Owner;
use debridfs_listen::{TlsFiles, ending};
use jiff::Timestamp;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::{Signal, getegid, geteuid};

use super::Tried;
use crate::alone::InUse;
use crate::directories::hand_over::{Plan, is_unused, judge};
use crate::helper::owner_of;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A file is read.
    Read,
    /// A directory of the engine's own is written to; `serve` makes it and hands it over when it is root.
    Own,
    /// A directory that others use as well is written to.
    Shared,
    /// A certificate is read with its key.
    Certificate,
    /// An address is listened on.
    Listen,
    /// Another instance may have the directory.
    Alone,
}

impl Kind {
    /// As an argument.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Own => "own",
            Self::Shared => "shared",
            Self::Certificate => "certificate",
            Self::Listen => "listen",
            Self::Alone => "alone",
        }
    }
}

/// Arguments of `try-as-user`.
#[derive(Debug, Args)]
pub struct TryAsUserArgs {
    /// What is tried.
    #[arg(long)]
    pub kind: Kind,
    /// The setting that names it.
    #[arg(long)]
    pub key: String,
    /// Numbers of user and group, for root.
    #[arg(long, value_name = "UID:GID", value_parser = owner_of)]
    pub owner: Option<Owner>,
    /// Socket of this instance's keeper.
    #[arg(long, value_name = "PATH")]
    pub keeper: Option<PathBuf>,
    /// The key of a certificate.
    #[arg(long, value_name = "PATH")]
    pub tls_key: Option<PathBuf>,
    /// Process that it ends with.
    #[arg(long, value_name = "PID")]
    pub parent: i32,
    /// A path or an address.
    pub what: OsString,
}

/// Says on stdout, as JSON, what came of it.
#[expect(
    clippy::print_stdout,
    reason = "a pipe to the process that started this one"
)]
pub fn run(args: &TryAsUserArgs) -> ExitCode {
    if parent::end_with(args.parent, Signal::KILL).is_err() {
        return ExitCode::FAILURE;
    }
    match serde_json::to_string(&tried(args)) {
        Ok(text) => print!("{text}"),
        Err(_) => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn tried(args: &TryAsUserArgs) -> Tried {
    let path = Path::new(&args.what);
    // As root, who may look at the lock of an engine that was another user.
    let theirs = (args.kind == Kind::Alone).then(|| another(args, path));
    if let Some(owner) = args.owner {
        if let Some(done) = as_root(args.kind, &args.key, path, owner) {
            return done;
        }
        if owner.uid != 0
            && let Err(error) = debridfs_confine::become_user(owner.uid, owner.gid)
        {
            let seen = format!("not tried: {}", debridfs_base::with_causes(&error));
            return failed(seen, "start it as root, or as that user");
        }
    }
    if let Some(theirs) = theirs {
        // It tells of a socket, which root does not connect to.
        return theirs.map_or_else(
            || ok(format!("no other instance has {}", path.display())),
            |theirs| {
                let in_use = InUse::by(theirs, &args.key, path);
                failed(in_use.to_string(), in_use.help())
            },
        );
    }
    let user = geteuid().as_raw();
    let shown = path.display();
    let ended = match args.kind {
        Kind::Read => read(path),
        Kind::Own => write(path),
        Kind::Shared => there_or_to_be_made(path).and_then(|()| write_link(path)),
        Kind::Certificate => return certificate(path, args.tls_key.as_deref()),
        Kind::Listen => return listen(&args.what),
        Kind::Alone => Ok(()),
    };
    match ended {
        Ok(()) if args.kind == Kind::Read => ok(format!("user {user} may read {shown}")),
        Ok(()) => ok(format!("user {user} may write to {shown}")),
        Err(error) => refused(&args.key, path, args.kind, &error),
    }
}

/// The other instance that has the directory. What cannot be looked at, other trials tell of.
fn another(args: &TryAsUserArgs, path: &Path) -> Option<Instance> {
    let dir: OwnedFd = match args.owner {
        // Root reaches it as it will when it makes it, and makes nothing now.
        Some(_) if path.is_dir() => walk(path, Links::Trusted, 0o700).ok()?.dir,
        Some(_) => return None,
        None => File::open(path).ok()?.into(),
    };
    let keeper = args.keeper.as_deref()?;
    let own = Instance::of(keeper, Path::new("")).ok();
    [IN_OWN, IN_SHARED]
        .into_iter()
        .find_map(|name| holder(&dir, name, own.as_ref()).ok().flatten())
}

/// What root does about it before the engine starts; nothing when that needs none, or root's way is no better.
fn as_root(kind: Kind, key: &str, path: &Path, owner: Owner) -> Option<Tried> {
    let shown = path.display();
    let shared = match kind {
        Kind::Own => false,
        Kind::Shared => true,
        Kind::Read | Kind::Certificate | Kind::Listen | Kind::Alone => return None,
    };
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        if shared && let Err(error) = require_parent(path) {
            return Some(failed(error.to_string(), ALONE));
        }
        let made = can_be_made(path).is_ok();
        return made.then(|| ok(format!("`serve` will make {shown}")));
    }
    if access(path, Access::WRITE_OK) == Err(Errno::ROFS) {
        let fix = format!("mount its file system writable, or set another `{key}`");
        return Some(failed(format!("{shown} is read-only"), fix));
    }
    let handed = format!("`serve` will hand {shown} over to user {}", owner.uid);
    let walked = walk(path, Links::Trusted, 0o700).ok()?;
    if shared {
        return is_unused(&walked).ok()?.then(|| ok(handed));
    }
    match judge(&walked, owner) {
        Ok(Plan::Nothing) => None,
        Ok(Plan::Directory | Plan::Entries(_)) => Some(ok(handed)),
        Err(error) => {
            let Owner { uid, gid } = owner;
            let fix = format!("chown -R {uid}:{gid} {shown}");
            Some(failed(format!("{shown}: {error}"), fix))
        }
    }
}

/// What to do about the parent of a downloads folder.
const ALONE: &str = "`serve` makes the downloads folder, but not the directory that it is in";

fn read(path: &Path) -> io::Result<()> {
    let mut first = [0];
    match File::open(path)?.read(&mut first)? {
        0 => Err(io::Error::other("it is empty")),
        _ => Ok(()),
    }
}

/// Makes a file without a name in the directory, or looks whether that can be made.
fn write(dir: &Path) -> io::Result<()> {
    match tempfile::tempfile_in(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => can_be_made(dir),
        made => made.map(drop),
    }
}

/// Makes a symbolic link and removes it, as most downloads are links.
fn write_link(dir: &Path) -> io::Result<()> {
    let link = dir.join(format!(".debridfs-try-{}", std::process::id()));
    match symlink("/nonexistent", &link) {
        Err(error) if error.kind() == ErrorKind::NotFound => can_be_made(dir),
        made => made.and_then(|()| fs::remove_file(&link)),
    }
}

fn there_or_to_be_made(dir: &Path) -> io::Result<()> {
    match dir.try_exists() {
        Ok(false) => require_parent(dir),
        // What is wrong is found by writing.
        _ => Ok(()),
    }
}

/// Whether this user may make `path`, with what is missing above it.
fn can_be_made(path: &Path) -> io::Result<()> {
    let there = path.ancestors().find(|dir| dir.is_dir());
    let there = there.unwrap_or(Path::new("/"));
    Ok(access(there, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Reads both files as the engine will.
fn certificate(cert: &Path, key: Option<&Path>) -> Tried {
    let user = geteuid().as_raw();
    let files = TlsFiles {
        cert: cert.to_owned(),
        key: key.unwrap_or(cert).to_owned(),
    };
    let read = files.check();
    let trouble = read
        .as_ref()
        .ok()
        .and_then(|ends| ending(*ends, Timestamp::now()));
    match (read, trouble) {
        (Err(error), _) => failed(
            format!("user {user} cannot serve TLS: {error}"),
            "put a certificate and its key there, both in PEM",
        ),
        (Ok(_), Some(seen)) => Tried {
            mild: true,
            ..failed(seen, format!("renew {}", cert.display()))
        },
        (Ok(ends), None) => ok(format!(
            "user {user} may serve TLS with it, until {ends:.0}"
        )),
    }
}

/// With the number of the error in the place of what to do: root puts it into words, who may see who has the address.
fn listen(address: &OsStr) -> Tried {
    let parsed = address.to_str().and_then(|text| text.parse().ok());
    let Some(address): Option<SocketAddr> = parsed else {
        return failed("no address", "correct it");
    };
    match TcpListener::bind(address) {
        Ok(_) => ok(format!("{address} is free")),
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or_default();
            failed(format!("{address}: {error}"), errno.to_string())
        }
    }
}

fn refused(key: &str, path: &Path, kind: Kind, error: &io::Error) -> Tried {
    let user = geteuid().as_raw();
    let shown = path.display();
    let file = kind == Kind::Read;
    let fix = match error.kind() {
        ErrorKind::PermissionDenied => {
            if let Some(dir) = closed_above(path) {
                let dir = dir.display();
                let seen = format!("{shown}: user {user} may not enter {dir}");
                return failed(seen, format!("chmod o+x {dir}"));
            }
            command(path, file)
        }
        ErrorKind::NotFound if file => format!("make it, or correct `{key}`"),
        ErrorKind::NotFound => return failed(error.to_string(), ALONE),
        ErrorKind::IsADirectory => {
            "name the file itself; Docker makes a directory where a file to bind is missing".into()
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!("mount its file system writable, or set another `{key}`")
        }
        ErrorKind::NotADirectory => format!("name a directory in `{key}`"),
        _ => format!("mend it (`ls -ld {shown}`), or correct `{key}`"),
    };
    let may = if file { "read" } else { "write to" };
    failed(format!("user {user} cannot {may} {shown}: {error}"), fix)
}

/// The first directory on the way that this user may not enter.
fn closed_above(path: &Path) -> Option<&Path> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    let closed = |dir: &&Path| access(*dir, Access::EXEC_OK) == Err(rustix::io::Errno::ACCESS);
    above.into_iter().find(closed)
}

/// What opens it to this user.
fn command(path: &Path, file: bool) -> String {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.uid() == uid => {
            let bits = if file { "u+r" } else { "u+rwx" };
            format!("chmod {bits} {shown}")
        }
        Ok(_) if file => format!("chown {uid}:{gid} {shown}"),
        Ok(_) => format!("chown -R {uid}:{gid} {shown}"),
        Err(_) => format!("install -d -o {uid} -g {gid} {shown}"),
    }
}

fn ok(seen: String) -> Tried {
    Tried {
        seen,
        fix: None,
        mild: false,
    }
}

fn failed(seen: impl Into<String>, fix: impl Into<String>) -> Tried {
    Tried {
        seen: seen.into(),
        fix: Some(fix.into()),
        mild: false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn what_is_in_the_way_is_told_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        // Of a user that this process is not: what would be said to it.
        let file = at("token");
        fs::write(&file, "").unwrap();
        let said = |kind, path: &Path, errno: rustix::io::Errno| {
            let tried = refused("some.key", path, kind, &errno.into());
            (tried.seen, tried.fix.unwrap())
        };
        let uid = geteuid().as_raw();
        let (seen, fix) = said(Kind::Read, &file, rustix::io::Errno::ACCESS);
        assert!(seen.starts_with(&format!("user {uid} cannot read {}", file.display())));
        assert_eq!(fix, format!("chmod u+r {}", file.display()));
        chown(&file, Some(54_321), Some(54_321)).unwrap();
        let gid = getegid().as_raw();
        let (_, fix) = said(Kind::Read, &file, rustix::io::Errno::ACCESS);
        assert_eq!(fix, format!("chown {uid}:{gid} {}", file.display()));
        chown(dir.path(), Some(54_321), None).unwrap();
        let (_, fix) = said(Kind::Shared, dir.path(), rustix::io::Errno::ACCESS);
        assert_eq!(
            fix,
            format!("chown -R {uid}:{gid} {}", dir.path().display())
        );
        let (_, fix) = said(Kind::Read, &at("none"), rustix::io::Errno::NOENT);
        assert_eq!(fix, "make it, or correct `some.key`");
        let (_, fix) = said(Kind::Own, &at("none"), rustix::io::Errno::ACCESS);
        assert_eq!(
            fix,
            format!("install -d -o {uid} -g {gid} {}", at("none").display())
        );
        for (kind, errno, words) in [
            (Kind::Read, rustix::io::Errno::ISDIR, "name the file itself"),
            (Kind::Shared, rustix::io::Errno::NOENT, ALONE),
            (
                Kind::Own,
                rustix::io::Errno::ROFS,
                "writable, or set another `some.key`",
            ),
            (
                Kind::Own,
                rustix::io::Errno::NOTDIR,
                "name a directory in `some.key`",
            ),
            (Kind::Own, rustix::io::Errno::IO, "mend it (`ls -ld "),
        ] {
            let (_, fix) = said(kind, &at("x"), errno);
            assert!(fix.contains(words), "{errno:?}: {fix}");
        }
        fs::write(at("empty"), "").unwrap();
        assert_eq!(read(&at("empty")).unwrap_err().to_string(), "it is empty");
        fs::write(at("full"), "x").unwrap();
        read(&at("full")).unwrap();
    }

    #[test]
    fn each_kind_is_tried_and_refused_with_its_setting() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let said = |kind, what: &OsStr, keeper: Option<&Path>| {
            tried(&TryAsUserArgs {
                kind,
                key: "some.key".to_owned(),
                owner: None,
                tls_key: None,
                keeper: keeper.map(Path::to_path_buf),
                parent: 0,
                what: what.to_owned(),
            })
        };
        let fix = |kind, what: &Path| said(kind, what.as_os_str(), None).fix;
        assert_eq!(fix(Kind::Read, &file), None);
        let missing = fix(Kind::Read, &dir.path().join("none"));
        assert_eq!(missing.as_deref(), Some("make it, or correct `some.key`"));
        for kind in [Kind::Own, Kind::Shared] {
            assert_eq!(fix(kind, dir.path()), None);
            let refused = fix(kind, &file).unwrap();
            assert_eq!(refused, "name a directory in `some.key`");
        }
        assert_eq!(fix(Kind::Own, &dir.path().join("to/be/made")), None);

        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let listens = || said(Kind::Listen, address.as_ref(), None).fix;
        let errno = Errno::ADDRINUSE.raw_os_error().to_string();
        assert_eq!(listens(), Some(errno));
        drop(taken);
        assert_eq!(listens(), None);

        let [own, other] = ["own", "other"].map(|name| {
            fs::create_dir(dir.path().join(name)).unwrap();
            dir.path().join(name).join("keeper.sock")
        });
        let theirs = Instance::of(&other, Path::new("/mnt/other")).unwrap();
        let lock = debridfs_base::instance_lock::claim(dir.path(), IN_OWN, &theirs).unwrap();
        let alone = |keeper| said(Kind::Alone, dir.path().as_os_str(), Some(keeper));
        assert_eq!(alone(&other).fix, None, "it is its own");
        let refused = alone(&own);
        assert!(
            refused.seen.contains("mounted at /mnt/other"),
            "{refused:?}"
        );
        assert!(refused.fix.unwrap().contains("a `some.key` of its own"));
        drop(lock);
        assert_eq!(alone(&own).fix, None);
    }

    #[test]
    fn a_certificate_is_read_with_its_key_and_its_end_is_told_before_it_comes() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert"), dir.path().join("key"));
        let write = |ends: time::OffsetDateTime| {
            let mut params = rcgen::CertificateParams::new(["x".to_owned()]).unwrap();
            params.not_after = ends;
            let pair = rcgen::KeyPair::generate().unwrap();
            fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
            pair.serialize_pem()
        };
        let in_days = |days| time::OffsetDateTime::now_utc() + time::Duration::days(days);
        let other = write(in_days(100));
        fs::write(&key, write(in_days(100))).unwrap();
        let good = certificate(&cert, Some(&key));
        assert_eq!((good.fix, good.mild), (None, false));
        fs::write(&key, other).unwrap();
        let wrong = certificate(&cert, Some(&key));
        assert!(
            wrong.seen.contains("of another certificate") && !wrong.mild,
            "{wrong:?}"
        );
        assert!(wrong.fix.is_some());
        fs::write(&key, write(in_days(13))).unwrap();
        let soon = certificate(&cert, Some(&key));
        assert!(
            soon.seen.contains("ends at") && soon.mild && soon.fix.is_some(),
            "{soon:?}"
        );
    }

    #[test]
    fn root_tells_what_it_will_do_before_the_engine_starts() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let owner = Owner {
            uid: 54_321,
            gid: 54_322,
        };
        let state = dir.path().join("state");
        let seen =
            |kind, path: &Path| as_root(kind, "some.key", path, owner).map(|tried| tried.seen);
        assert!(seen(Kind::Own, &state).unwrap().contains("will make"));
        assert!(!state.exists(), "it only looks");
        fs::create_dir(&state).unwrap();
        assert!(seen(Kind::Own, &state).unwrap().contains("hand"));
        chown(&state, Some(owner.uid), Some(owner.gid)).unwrap();
        assert_eq!(seen(Kind::Own, &state), None);
        fs::write(state.join("catalogue.db"), "").unwrap();
        let tried = as_root(Kind::Own, "state_dir", &state, owner).unwrap();
        let fix = format!("chown -R 54321:54322 {}", state.display());
        assert_eq!(tried.fix, Some(fix));
        let away = dir.path().join("disk/downloads");
        let tried = as_root(Kind::Shared, "acquire.downloads", &away, owner).unwrap();
        assert!(tried.fix.is_some() && tried.seen.contains("disk is missing"));
    }
}
