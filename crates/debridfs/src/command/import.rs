//! `debridfs import …`: moving in from other programs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::{Args, Subcommand};
use debridfs_acquire::Action;
use debridfs_base::terminal::escaped;
use debridfs_catalogue::{FolderConfig, FolderNaming, ViewRules};
use debridfs_control::{CallError, WhyState};
use debridfs_import::{Error, Import, Known, OurKind, Ours, Program, Request};
use debridfs_provider::vendors;

use super::{print_json, runtime, say, serve};
use crate::failure::{Doing, Failure, USAGE};
use crate::instance::{Instance, InstanceArgs};
use debridfs_config::{Config, ConfigError, Environment, Origin, Problem};

/// `import …`.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Read decypharr's config.json.
    #[command(after_long_help = "\
Examples:
  debridfs import decypharr /opt/decypharr/config.json
  debridfs import decypharr /opt/decypharr/config.json --write /etc/debridfs/config.toml")]
    Decypharr(ImportArgs),
    /// Read zurg's config.yml.
    #[command(after_long_help = "\
Example (zurg does not know where rclone mounts it):
  debridfs import zurg /opt/zurg/config.yml --mount /mnt/zurg")]
    Zurg(ImportArgs),
    /// Read rdt-client's database, rdtclient.db.
    RdtClient(ImportArgs),
    /// Find symlinks that would dangle.
    #[command(
        long_about = "\
Ask the running instance for the target of every symlink at and below a directory. Touches neither \
the mount nor the provider. Exits with 1 when a link dangles.",
        after_long_help = "\
Example:
  debridfs import check-links /mnt/media"
    )]
    CheckLinks(CheckLinksArgs),
}

/// Arguments of imports.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The other program's file, or the directory that holds it.
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Write the configuration to this file; it must not exist. Without it nothing is written.
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Directory for tokens and keys, each in a file that only its owner can read; `secrets` next to FILE when absent.
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Where the library was mounted, if that configuration does not say so or is wrong.
    #[arg(long, value_name = "DIR")]
    pub mount: Option<PathBuf>,
    /// A directory with the symlinks that have to keep working. The target of most of them is taken as the old mount point, unless
    /// --mount is given. Prints how many of them lead into the library.
    #[arg(long, value_name = "DIR")]
    pub links: Option<PathBuf>,
}

/// Arguments of `import check-links`.
#[derive(Debug, Args)]
pub struct CheckLinksArgs {
    /// The directory.
    pub dir: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// The instance's socket.
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// Runs one of them.
pub fn run(command: &ImportCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        ImportCommand::Decypharr(args) => import(args, Program::Decypharr),
        ImportCommand::Zurg(args) => import(args, Program::Zurg),
        ImportCommand::RdtClient(args) => import(args, Program::RdtClient),
        ImportCommand::CheckLinks(args) => check_links(args, file),
    }
}

fn import(args: &ImportArgs, program: Program) -> Result<(), Failure> {
    let request = Request {
        program,
        path: &args.path,
        write: args.write.as_deref(),
        secrets: args.secrets.as_deref(),
        mount: args.mount.as_deref(),
        links: args.links.as_deref(),
    };
    let ours = Ours {
        kinds: kinds(),
        takes,
    };
    let mut import = Import::new(&request, ours)?;
    let config = usable(&mut import)?;
    // Whoever is not root is who will run the engine.
    let owner = serve::owner(&config).map(|owner| (owner.uid, owner.gid));
    import.write(owner)?;
    say(&import.report().to_string());
    Ok(())
}

/// All vendors that we have.
fn kinds() -> &'static [OurKind] {
    static ALL: LazyLock<Vec<OurKind>> = LazyLock::new(|| {
        let kinds = vendors::KINDS.iter().map(|kind| OurKind {
            word: kind.word,
            calls_per_minute: kind.limits.calls_per_minute,
        });
        kinds.collect()
    });
    &ALL
}

/// Whether a key of ours takes a value of theirs.
fn takes(key: &[&str], value: &toml::Value) -> Result<(), String> {
    fn read<T: serde::de::DeserializeOwned>(value: &toml::Value) -> Result<T, String> {
        let read = value.clone().try_into::<T>();
        read.map_err(|error| error.message().to_owned())
    }
    match key {
        ["library", "folder_naming"] => read::<FolderNaming>(value).map(drop),
        ["acquire", "action"] => read::<Action>(value).map(drop),
        ["folders", name] => {
            let one = BTreeMap::from([((*name).to_owned(), read::<FolderConfig>(value)?)]);
            let rules = ViewRules::new(FolderNaming::default(), Vec::new(), &one);
            rules.map(drop).map_err(|error| error.to_string())
        }
        _ => Err(format!("{} is not asked about", key.join("."))),
    }
}

/// The result has to be one that starts: what keeps it from that is left out, with the reason.
fn usable(import: &mut Import) -> Result<Config, Failure> {
    loop {
        let problems = match check(&import.text())? {
            Ok(config) => return Ok(config),
            Err(ConfigError::Invalid { problems, .. }) => problems,
            // Of a file of our own, which has been read back.
            Err(ConfigError::Unreadable { error, .. }) => {
                return Err(Failure::new(format!("temporary file: {error}"), None));
            }
        };
        let refuse = |problem: &Problem| match problem.origin {
            Origin::Line(line) => {
                let help = problem.help.iter().map(|help| format!(": {help}"));
                let words = problem.message.clone() + &help.collect::<String>();
                import.refuse(line, &words)
            }
            Origin::Variable(_) | Origin::Unknown => false,
        };
        // One at a time: without it the others may be none.
        if !problems.iter().any(refuse) {
            let told: Vec<String> = problems.iter().map(|one| one.message.clone()).collect();
            let words = format!("{}: {}", import.file().display(), told.join("; "));
            let help = "this version cannot take what comes of it: change it there, or write a configuration by hand";
            return Err(Failure::new(words, Some(help)).with_code(USAGE));
        }
    }
}

fn check(text: &str) -> Result<Result<Config, ConfigError>, Failure> {
    let dir = tempfile::tempdir().doing(|| "temporary directory".into())?;
    let file = dir.path().join("imported.toml");
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .doing(|| file.display().to_string())?;
    // What else the environment says is not for this file.
    let process = Environment::of_process();
    let environment = Environment {
        puid: process.puid,
        pgid: process.pgid,
        ..Environment::default()
    };
    Ok(debridfs_config::load(Some(&file), &environment).map(|loaded| loaded.config))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let words = error.to_string();
        match error {
            Error::Theirs(_) => {
                let help = "correct that file, or name another one; nothing was written";
                Failure::new(words, Some(help)).with_code(USAGE)
            }
            Error::Exists(_) => {
                let help =
                    "choose another --write or --secrets, or move it away; nothing was written";
                Failure::new(words, Some(help))
            }
            Error::System { .. } => {
                let help = "name their configuration, or the directory that holds it, and see that this user may read it";
                Failure::new(words, Some(help))
            }
        }
    }
}

fn check_links(args: &CheckLinksArgs, file: Option<&Path>) -> Result<(), Failure> {
    let instance = Instance::find(&args.instance, file)?;
    let checked = runtime()?.block_on(async {
        let mount = instance.status().await?.mount.path;
        let why = async |path: &Path| known(&instance, path).await;
        debridfs_import::check(&args.dir, &mount, why).await
    })?;
    if args.json {
        print_json(&checked, "links")?;
    } else {
        for (link, target) in &checked.dangling {
            let (link, target) = (link.display().to_string(), target.display().to_string());
            say(&format!(
                "dangles: {} -> {}",
                escaped(&link),
                escaped(&target)
            ));
        }
        for (place, links) in &checked.mounted_elsewhere {
            let place = place.display().to_string();
            say(&format!(
                "{links} would lead to the library if it were mounted at {}",
                escaped(&place)
            ));
        }
        say(&format!(
            "{} lead to the library, {} to releases not looked into yet, {} dangle, {} lead elsewhere",
            checked.resolve,
            checked.not_known_yet,
            checked.dangling.len(),
            checked.others,
        ));
    }
    match checked.dangling.is_empty() && checked.mounted_elsewhere.is_empty() {
        true => Ok(()),
        false => Err(Failure::silent(1)),
    }
}

/// What the running engine knows of `path`.
async fn known(instance: &Instance, path: &Path) -> Result<Option<Known>, Failure> {
    match instance.why(path).await {
        Ok(report) => Ok(Some(Known {
            path: report.path.into(),
            in_release: report.release.is_some(),
            files_known: report.state != WhyState::NotKnownYet,
        })),
        Err(CallError::Refused(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
