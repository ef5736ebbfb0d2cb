//! What of a status somebody has to look at: one list, for commands, pages, probes and metrics.

use debridfs_base::{Attention, AttentionKind as Kind, Down};

use crate::{DOWNLOADS, EngineState, LibraryStatus, ProviderStatus, Status, VolumeStatus};

impl Status {
    /// Adds to `attention` what the rest shows, and fills in `problems`, `healthy` and `last_error`.
    pub fn judged(mut self) -> Self {
        let mut all = std::mem::take(&mut self.attention);
        all.extend(self.of_engine());
        all.extend(self.library.iter().flat_map(of_library));
        all.extend(self.providers.iter().flat_map(of_provider));
        all.extend(self.volumes.iter().filter_map(of_volume));
        all.extend(self.down.iter().map(of_part));
        all.extend(self.moved_aside.iter().map(|path| {
            let path = path.display().to_string();
            let words = format!("{path}: a damaged state file was moved aside");
            let help = "restore it from a backup, or remove it";
            Attention::new(Kind::State, path, words, help)
        }));
        let held = self.repair.iter().flat_map(|repair| &repair.held);
        all.extend(held.map(|held| {
            let words =
                format!("so many releases of {held} cannot be read that it is suspected itself");
            Attention::new(Kind::Repair, held, words, "`debridfs repair ls` lists them")
        }));
        all.sort_by(|one, other| (one.kind, &one.subject).cmp(&(other.kind, &other.subject)));
        let of_providers = self.providers.iter().filter_map(|p| p.last_error.clone());
        let errors = self.last_error.into_iter().chain(of_providers);
        self.last_error = errors.max_by_key(|error| error.at);
        self.healthy = all.is_empty();
        self.problems = all.iter().map(Attention::to_string).collect();
        self.attention = all;
        self
    }

    /// Whether films may be missing or unreadable now. What else is wrong is told in `attention`.
    pub fn is_grave(&self) -> bool {
        // An engine of an older version tells problems alone.
        let is_untyped = !self.healthy && self.attention.is_empty();
        is_untyped || self.attention.iter().any(|line| line.kind.is_grave())
    }

    fn of_engine(&self) -> Option<Attention> {
        let words = match (self.engine.state, &self.keeper.last_death) {
            // Why it is without a mount is a line of its own.
            (EngineState::Serving | EngineState::Unmounted, _) => return None,
            (EngineState::Starting, _) => "the engine is starting".to_owned(),
            (EngineState::Down, Some(reason)) => format!("no engine is running: {reason}"),
            (EngineState::Down, None) => "no engine is running".to_owned(),
        };
        Some(Attention::new(Kind::Engine, "", words, ""))
    }
}

fn of_library(library: &LibraryStatus) -> Vec<Attention> {
    let waits = library.waits().into_iter();
    let mut all: Vec<Attention> = waits
        .map(|words| Attention::new(Kind::Library, "", words, ""))
        .collect();
    for held in &library.held {
        let words = format!(
            "{} releases vanished from {} at once and are kept",
            held.releases, held.provider
        );
        let help = "`debridfs library accept` lets them go";
        let line = Attention::new(Kind::Library, &held.provider, words, help);
        all.push(line.since(held.since));
    }
    if let Some(trouble) = &library.store_trouble {
        all.push(Attention::new(Kind::State, "catalogue.db", trouble, ""));
    }
    all
}

fn of_provider(provider: &ProviderStatus) -> Vec<Attention> {
    let name = &provider.name;
    let mut all = Vec::new();
    if !provider.healthy {
        let error = provider.last_error.as_ref();
        let reason = error.map_or("", |error| &error.message);
        let words = format!("provider {name} is failing: {reason}");
        all.push(Attention::new(Kind::Provider, name, words, ""));
    }
    let Some(first) = provider.keys.first() else {
        return all;
    };
    if provider.keys.iter().all(|key| key.used_up) {
        let resets = first.traffic_resets;
        let until = resets.map_or_else(String::new, |at| format!(" until {at}"));
        let words = format!("provider {name} is out of traffic{until}");
        all.push(Attention::new(Kind::Provider, name, words, ""));
    }
    all
}

/// What it means that a volume does not answer; nothing while it does.
fn of_volume(volume: &VolumeStatus) -> Option<Attention> {
    let since = volume.silent_since?;
    let meanwhile = match volume.name.as_str() {
        "state" => "what is new is kept in memory, and downloads cannot be added or changed",
        "cache" => "files are read from the network alone",
        "downloads" => "downloads wait",
        _ => "the program of on_library_update is not started",
    };
    let path = volume.path.display().to_string();
    let words = format!(
        "the {} volume ({path}) has not answered since {since:.0}: the library is served, {meanwhile}",
        volume.name
    );
    let help = format!(
        "bring its disk or share back (`stat -f {path}` answers then), or unmount it by force (`umount -f -l`); nothing has to be started again"
    );
    Some(Attention::new(Kind::Volume, path, words, help).since(Some(since)))
}

fn of_part(down: &Down) -> Attention {
    let kind = match down.part.as_str() {
        DOWNLOADS => Kind::Downloads,
        "the cache" => Kind::Cache,
        "hooks" => Kind::Hook,
        _ => Kind::Part,
    };
    let words = format!("{} does not run: {}", down.part, down.words);
    Attention::new(kind, &down.part, words, &down.help).since(Some(down.since))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{FirstSyncStatus, HeldLoss, LastError};

    #[test]
    fn nothing_wrong_is_healthy() {
        let status = Status::sample().judged();
        assert!(status.healthy, "{:?}", status.problems);
    }

    #[test]
    fn every_trouble_is_named() {
        let at = Timestamp::UNIX_EPOCH;
        let mut status = Status::sample();
        status.engine.state = EngineState::Down;
        status.providers[0].healthy = false;
        status.providers[0].last_error = Some(LastError {
            at,
            message: "bad token".into(),
        });
        status.providers[0].keys[0].used_up = true;
        status.volumes[0].silent_since = Some(at);
        let library = status.library.as_mut().unwrap();
        library.listed = false;
        library.first_sync = vec![
            FirstSyncStatus {
                provider: "rd".into(),
                listed: true,
                named: 126,
                total: 800,
                seconds_left: Some(170),
                patience: None,
            },
            FirstSyncStatus {
                provider: "ad".into(),
                patience: Some(2500),
                ..FirstSyncStatus::default()
            },
        ];
        status.library.as_mut().unwrap().held.push(HeldLoss {
            provider: "rd".into(),
            releases: 40,
            names: vec!["A".into()],
            since: None,
        });
        status.down.push(Down {
            part: "downloads".into(),
            words: "acquire.db: Permission denied".into(),
            help: "chown it".into(),
            since: at,
            tries: 3,
        });
        let status = status.judged();
        assert!(!status.healthy);
        let all = status.problems.join("\n");
        for word in [
            "signal 9",
            "the library waits: first sync of rd: 126 of 800 named, 3 min left",
            "the library waits: ad has not been listed completely yet; it does not answer, and in 42 min the library is shown without it",
            "40 releases",
            "bad token",
            "out of traffic",
            "downloads volume (/mnt/downloads) has not answered since 1970-01-01T00:00:00Z",
            "downloads does not run: acquire.db: Permission denied; chown it",
        ] {
            assert!(all.contains(word), "{word} in {all}");
        }
        assert_eq!(status.last_error.unwrap().message, "bad token");
    }

    /// What is changed in a status that is well, of what the one line is, and what it says.
    type Row = (fn(&mut Status), Kind, &'static str, &'static str);

    fn down(status: &mut Status, part: &str) {
        status.down.push(Down {
            part: part.into(),
            words: "w".into(),
            help: "h".into(),
            since: Timestamp::UNIX_EPOCH,
            tries: 1,
        });
    }

    fn silent(status: &mut Status, name: &str) {
        status.volumes.truncate(1);
        status.volumes[0].name = name.into();
        status.volumes[0].silent_since = Some(Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn each_trouble_is_a_line_of_its_kind() {
        let rows: [Row; 17] = [
            (
                |s| s.engine.state = EngineState::Starting,
                Kind::Engine,
                "",
                "the engine is starting",
            ),
            (
                |s| {
                    s.engine.state = EngineState::Down;
                    s.keeper.last_death = None;
                },
                Kind::Engine,
                "",
                "no engine is running",
            ),
            (
                |s| s.library.as_mut().unwrap().listed = false,
                Kind::Library,
                "",
                "not been listed",
            ),
            (
                |s| {
                    let first = FirstSyncStatus {
                        provider: "ad".into(),
                        ..FirstSyncStatus::default()
                    };
                    s.library.as_mut().unwrap().first_sync.push(first);
                },
                Kind::Library,
                "",
                "the view of ad waits",
            ),
            (
                |s| s.library.as_mut().unwrap().store_trouble = Some("disk full".into()),
                Kind::State,
                "catalogue.db",
                "disk full",
            ),
            (
                |s| s.providers[0].healthy = false,
                Kind::Provider,
                "rd",
                "rd is failing",
            ),
            (
                |s| s.providers[0].keys[0].used_up = true,
                Kind::Provider,
                "rd",
                "out of traffic",
            ),
            (
                |s| silent(s, "state"),
                Kind::Volume,
                "/mnt/downloads",
                "downloads cannot be added",
            ),
            (
                |s| silent(s, "cache"),
                Kind::Volume,
                "/mnt/downloads",
                "from the network alone",
            ),
            (
                |s| silent(s, "downloads"),
                Kind::Volume,
                "/mnt/downloads",
                "downloads wait",
            ),
            (
                |s| silent(s, "hooks"),
                Kind::Volume,
                "/mnt/downloads",
                "on_library_update",
            ),
            (
                |s| down(s, DOWNLOADS),
                Kind::Downloads,
                DOWNLOADS,
                "does not run: w; h",
            ),
            (
                |s| down(s, "the cache"),
                Kind::Cache,
                "the cache",
                "does not run: w; h",
            ),
            (
                |s| down(s, "hooks"),
                Kind::Hook,
                "hooks",
                "does not run: w; h",
            ),
            (
                |s| down(s, "repair"),
                Kind::Part,
                "repair",
                "does not run: w; h",
            ),
            (
                |s| s.moved_aside.push("/s/x".into()),
                Kind::State,
                "/s/x",
                "moved aside",
            ),
            (
                |s| s.repair.as_mut().unwrap().held.push("rd".into()),
                Kind::Repair,
                "rd",
                "suspected itself; `debridfs repair ls`",
            ),
        ];
        let wrong = rows.iter().filter_map(|(change, kind, subject, words)| {
            let mut status = Status::sample();
            change(&mut status);
            let status = status.judged();
            let right = matches!(&status.attention[..], [line]
                if line.kind == *kind && line.subject == *subject && line.to_string().contains(words));
            (!right || status.healthy || status.problems.len() != 1)
                .then(|| format!("{kind:?} {words}: {:?}", status.attention))
        });
        assert_eq!(wrong.collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn traffic_of_one_key_is_no_trouble_while_another_has_some_and_lines_are_in_order() {
        let mut status = Status::sample();
        let mut second = status.providers[0].keys[0].clone();
        second.number = 2;
        status.providers[0].keys[0].used_up = true;
        status.providers[0].keys.push(second);
        assert!(status.clone().judged().healthy);
        down(&mut status, "repair");
        status.providers[0].healthy = false;
        // What an engine has put up itself stays.
        let own = Attention::new(Kind::Port, "x", "taken", "");
        status.attention.push(own);
        let kinds = status.judged().attention.into_iter().map(|line| line.kind);
        let kinds: Vec<Kind> = kinds.collect();
        assert_eq!(kinds, [Kind::Provider, Kind::Part, Kind::Port]);
    }

    #[test]
    fn only_what_hides_films_is_grave() {
        let mut status = Status::sample();
        status.moved_aside.push("/s/acquire.db.corrupt-1".into());
        let status = status.judged();
        assert!(!status.healthy && !status.is_grave(), "{status:?}");
        assert_eq!(status.attention[0].kind, Kind::State);
        assert!(status.problems[0].contains("restore it from a backup"));
        let mut status = status;
        status.engine.state = EngineState::Down;
        assert!(status.judged().is_grave());
        // Of an engine that tells problems alone.
        let mut before = Status::sample();
        before.problems.push("something".into());
        assert!(before.is_grave());
        let grave = [Kind::Engine, Kind::Library, Kind::Provider];
        for kind in Kind::ALL {
            assert_eq!(kind.is_grave(), grave.contains(&kind), "{kind:?}");
        }
    }
}
