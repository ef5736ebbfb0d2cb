//! One library of several vendors' accounts: whichever is in trouble, entries stay and films play on from another copy.

mod dying;
mod quirks;
mod trouble;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use debridfs_sim::{FileSpec, Kind, ReleaseSpec, content};

use crate::support::{Instance, Settings, Simulator, film, find, run, until};

const SIZE: u64 = 4 << 30;
const READ: usize = 128 << 10;
const PATIENCE: Duration = Duration::from_secs(120);

/// What a film is called, in every account that holds it.
fn name(number: u64) -> String {
    format!("Film.{number}.2026")
}

fn hash(number: u64) -> String {
    format!("{number:040x}")
}

/// The films of these numbers, the same wherever they are.
fn films(numbers: impl IntoIterator<Item = u64>) -> Vec<ReleaseSpec> {
    let film = |number| ReleaseSpec {
        hash: Some(hash(number)),
        ..film(&name(number), SIZE)
    };
    numbers.into_iter().map(film).collect()
}

/// A film in the folder of a Premiumize cloud that is called by its hash, which makes it that torrent.
fn in_folder(number: u64) -> ReleaseSpec {
    let mut film = films([number]).remove(0);
    // A file that is alone has no folder there.
    let words = FileSpec::generated(format!("/{}.nfo", name(number)), 100);
    film.files.push(words);
    film.name = hash(number);
    film
}

/// A library of several accounts.
struct Home {
    instance: Instance,
    /// By the name in the configuration, preferred ones first; one is `rd`.
    accounts: Vec<(&'static str, Simulator)>,
}

/// The name of an account and the word of its vendor.
fn vendor(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::RealDebrid => ("rd", "real-debrid"),
        Kind::TorBox => ("tb", "torbox"),
        Kind::AllDebrid => ("ad", "alldebrid"),
        Kind::DebridLink => ("dl", "debrid-link"),
        Kind::Premiumize => ("pm", "premiumize"),
    }
}

impl Home {
    fn new(accounts: Vec<(Kind, Vec<ReleaseSpec>)>, mut settings: Settings) -> Self {
        let mut order = Vec::new();
        let mut simulators = Vec::new();
        for (kind, releases) in accounts {
            let (name, word) = vendor(kind);
            let simulator = Simulator::of(kind, releases);
            if kind != Kind::RealDebrid {
                settings.toml += &format!(
                    "[provider.{name}]\nkind = \"{word}\"\ntoken = \"{}\"\napi_url = \"{}\"\n",
                    simulator.token(),
                    simulator.api_url()
                );
            }
            if kind == Kind::Premiumize {
                settings.toml += "calls_per_minute = 100000\n";
            }
            order.push(format!("\"{name}\""));
            simulators.push((name, simulator));
        }
        settings.library += &format!("\norder = [{}]\n", order.join(", "));
        let rd = simulators.iter().find(|(name, _)| *name == "rd");
        let instance = Instance::start(&rd.expect("a Real-Debrid").1, settings);
        instance.wait_synced();
        Self {
            instance,
            accounts: simulators,
        }
    }

    fn account(&self, name: &str) -> &Simulator {
        let found = self.accounts.iter().find(|(known, _)| *known == name);
        &found.expect("an account").1
    }

    fn path(&self, number: u64) -> PathBuf {
        let all = self.instance.mount().join("__all__");
        // A folder that is called by a hash may have given the release its name.
        let named = [name(number), hash(number)].map(|dir| all.join(dir));
        let dir = named.iter().find(|dir| dir.is_dir()).unwrap_or(&named[0]);
        dir.join(format!("{}.mkv", name(number)))
    }

    /// Reads a part of a film and compares it.
    fn read(&self, number: u64, at: u64) -> io::Result<()> {
        let (mut bytes, mut expected) = (vec![0; READ], vec![0; READ]);
        File::open(self.path(number))?.read_exact_at(&mut bytes, at)?;
        let key = content::key(&hash(number), &format!("/{}.mkv", name(number)));
        content::fill(key, at, &mut expected);
        assert!(bytes == expected, "wrong bytes of film {number} at {at}");
        Ok(())
    }

    /// Reads a part of a film that nobody read before.
    fn plays(&self, what: &str, number: u64, at: u64) {
        self.read(number, at)
            .unwrap_or_else(|error| panic!("{what}: film {number}: {error}"));
    }

    /// Every entry with its number and time.
    fn tree(&self) -> Vec<String> {
        find(&self.instance.mount(), "%i %p %T@\n")
    }

    fn is_healthy(&self) -> Option<bool> {
        self.instance.try_status()?["healthy"].as_bool()
    }

    /// Whether the provider refuses the account.
    fn is_refused(&self, name: &str) -> Option<bool> {
        let status = self.instance.try_status()?;
        let providers = status["providers"].as_array()?;
        let provider = providers.iter().find(|one| one["name"] == name)?;
        Some(provider["healthy"] == false)
    }

    /// Ends pauses that an account was given for its refusals, and waits until all is well.
    fn recovers(&self, what: &str) {
        let socket = self.instance.runtime().join("control.sock");
        let socket = socket.to_str().expect("text");
        until(&format!("{what}: well again"), PATIENCE, || {
            let program = env!("CARGO_BIN_EXE_debridfs");
            run(program, &["provider", "resume", "--socket", socket]);
            self.is_healthy() == Some(true)
        });
    }
}
