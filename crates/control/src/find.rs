//! What somebody means who names no path of the library: an info-hash, a part of a name, a download, or
//! a path in the downloads folder.

use std::path::Path;
use std::sync::Arc;

use debridfs_acquire::{Acquire, Job, Step};
use debridfs_catalogue::Library;

use crate::{QueuedJob, WhyRelease, WhyReport, WhyState};

/// Names that are offered.
const OFFERED: usize = 5;

/// What a text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meant {
    /// This path of the library.
    Path(String),
    /// A download that the library does not show.
    Job(Box<WhyReport>),
}

/// A release or a download by its name, to choose from.
struct Candidate {
    name: String,
    meant: Meant,
}

/// What `text` means in the library and among the downloads.
///
/// # Errors
/// Several or none: the nearest names, in words for people.
pub(crate) fn find(
    text: &str,
    library: &Library,
    queue: Option<&Acquire>,
) -> Result<Meant, String> {
    let jobs = queue.map(Acquire::jobs).unwrap_or_default();
    let has_arrs = queue.is_some_and(|queue| !queue.config().arrs.is_empty());
    find_among(text, library, &jobs, has_arrs)
}

fn find_among(
    text: &str,
    library: &Library,
    jobs: &[Arc<Job>],
    has_arrs: bool,
) -> Result<Meant, String> {
    let path = Path::new(text);
    let within = |job: &&Arc<Job>| path.starts_with(job.content_path());
    if path.is_absolute() {
        return match jobs.iter().find(within) {
            Some(job) => Ok(of_job(job, library, has_arrs)),
            None => Err(format!(
                "{text} is neither in the library nor in what a download put in place"
            )),
        };
    }
    let hash = text.trim().to_ascii_lowercase();
    if hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let job = jobs.iter().find(|job| job.hash.to_string() == hash);
        return shown(library, &hash)
            .map(Meant::Path)
            .or_else(|| job.map(|job| of_job(job, library, has_arrs)))
            .ok_or_else(|| format!("no release and no download has the info-hash {hash}"));
    }
    let mut all: Vec<Candidate> = entries(library)
        .map(|(view, name, _)| Candidate {
            name: name.to_owned(),
            meant: Meant::Path(format!("{view}/{name}")),
        })
        .collect();
    all.extend(jobs.iter().map(|job| Candidate {
        name: job.name.clone(),
        meant: of_job(job, library, has_arrs),
    }));
    choose(text, all)
}

/// Releases with their view and info-hash: in `__bad__` alone, or in `__all__`.
fn entries(library: &Library) -> impl Iterator<Item = (&str, &str, String)> {
    let views = ["__all__", "__bad__"].into_iter();
    let views = views.filter_map(|name| library.view(name));
    views.flat_map(|view| {
        let hash = |entry: &debridfs_catalogue::Entry| entry.release.id.to_string();
        let entries = view.entries.iter();
        entries.map(move |entry| (&*view.name, &*entry.name, hash(entry)))
    })
}

/// Where the release is shown.
fn shown(library: &Library, hash: &str) -> Option<String> {
    let mut entries = entries(library);
    let (view, name, _) = entries.find(|(.., of)| of == hash)?;
    Some(format!("{view}/{name}"))
}

/// The one that `text` is a part of the name of.
fn choose(text: &str, mut all: Vec<Candidate>) -> Result<Meant, String> {
    let wanted = plain(text);
    // A release that is in both views, or a download that the library shows, is one.
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|one| seen.insert(one.name.clone()));
    let mut found: Vec<&Candidate> = all
        .iter()
        .filter(|one| !wanted.is_empty() && plain(&one.name).contains(&wanted))
        .collect();
    if let Some(same) = found.iter().find(|one| plain(&one.name) == wanted) {
        return Ok(same.meant.clone());
    }
    found.sort_by_key(|one| one.name.len());
    match &found[..] {
        [one] => return Ok(one.meant.clone()),
        [] => {}
        several => {
            let names = several.iter().map(|one| &*one.name);
            let count = several.len();
            return Err(format!(
                "{text} is a part of {count} names: {}",
                offer(names)
            ));
        }
    }
    let words: Vec<&str> = wanted.split(' ').filter(|word| word.len() > 1).collect();
    let shared = |one: &Candidate| {
        let name = plain(&one.name);
        words.iter().filter(|word| name.contains(**word)).count()
    };
    let mut near: Vec<(usize, &Candidate)> = all.iter().map(|one| (shared(one), one)).collect();
    near.retain(|(shared, _)| *shared > 0);
    near.sort_by_key(|(shared, one)| (std::cmp::Reverse(*shared), one.name.len()));
    let none = format!("{text} is not in the library, and no download is called so");
    match near.is_empty() {
        true => Err(none),
        false => {
            let names = near.iter().map(|(_, one)| &*one.name);
            Err(format!("{none}; the nearest: {}", offer(names)))
        }
    }
}

fn offer<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(OFFERED);
    let names: Vec<&str> = names.take(OFFERED).collect();
    let rest = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{rest}", names.join(", "))
}

/// Lower case, and a space for whatever separates words.
fn plain(name: &str) -> String {
    let letters = name.to_lowercase();
    let words = letters.split(|letter: char| !letter.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The release of a download where it is shown and the download is over; the download otherwise.
fn of_job(job: &Job, library: &Library, has_arrs: bool) -> Meant {
    let hash = job.hash.to_string();
    if job.step == Step::Complete
        && let Some(path) = shown(library, &hash)
    {
        return Meant::Path(path);
    }
    Meant::Job(Box::new(of_download(&QueuedJob::of(job, has_arrs))))
}

fn of_download(job: &QueuedJob) -> WhyReport {
    let reason = job.reason.as_deref();
    let done = job.progress * 100.0;
    let because = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let route = job.route.as_ref();
    let route = route.map_or_else(String::new, |route| format!(" ({route})"));
    let (state, summary, advice) = match (job.step.as_str(), job.stopped) {
        ("failed", _) if job.blocked => (
            WhyState::Bad,
            format!("a download that is blocked{because}"),
            "take another release, or add a provider that does not refuse such names (docs/providers.md); `debridfs queue add` with its hash tries again",
        ),
        ("failed", _) => (
            WhyState::Bad,
            format!("a download that failed{because}"),
            "`debridfs queue add` with its hash tries again, `debridfs queue rm` takes it away",
        ),
        ("complete", _) => (
            WhyState::Trouble,
            "a download that is complete, and is not in the library any more".to_owned(),
            "`debridfs queue rm` takes it away; `debridfs queue add` gets it again",
        ),
        (_, true) => (
            WhyState::Trouble,
            format!("a download that somebody stopped at {done:.0} %"),
            "start it on the page Queue, or where it was stopped",
        ),
        (step, false) if reason.is_some() => (
            WhyState::Trouble,
            format!("a download that waits ({step}, {done:.0} %){because}{route}"),
            "mend what is in its way; it is tried again by itself",
        ),
        (step, false) => (
            WhyState::NotKnownYet,
            format!("a download that is under way: {step}, {done:.0} %{route}"),
            "`debridfs queue ls --watch` follows it",
        ),
    };
    WhyReport {
        path: job.name.clone(),
        state,
        summary,
        advice: vec![advice.to_owned()],
        release: Some(WhyRelease {
            name: job.name.clone(),
            hash: job.hash.clone(),
            ..WhyRelease::default()
        }),
        ..WhyReport::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Candidate> {
        let one = |name: &&str| Candidate {
            name: (*name).to_owned(),
            meant: Meant::Path(format!("__all__/{name}")),
        };
        names.iter().map(one).collect()
    }

    #[test]
    fn a_part_of_one_name_means_it_and_other_parts_offer_names() {
        let all = [
            "Étés.2024.1080p",
            "Film.2020",
            "Film.2020.Extras",
            "Show.S01",
        ];
        let meant = |text: &str| choose(text, names(&all));
        let path = |name: &str| Ok(Meant::Path(format!("__all__/{name}")));
        assert_eq!(meant("show s01"), path("Show.S01"));
        assert_eq!(meant("étés 2024"), path("Étés.2024.1080p"));
        // The whole of a name, though it is a part of another one.
        assert_eq!(meant("film 2020"), path("Film.2020"));
        let several = meant("2020").unwrap_err();
        assert_eq!(
            several,
            "2020 is a part of 2 names: Film.2020, Film.2020.Extras"
        );
        let near = meant("Film 2021").unwrap_err();
        assert!(
            near.ends_with("the nearest: Film.2020, Film.2020.Extras"),
            "{near}"
        );
        let none = meant("quux").unwrap_err();
        assert!(none.contains("no download is called so"), "{none}");
        assert!(meant("...").is_err());
    }

    #[test]
    fn hashes_and_paths_mean_the_download_that_has_them() {
        let hash = "ab".repeat(20);
        let job = serde_json::json!({
            "hash": hash, "name": "Film", "category": "tv", "added": "2026-01-01T00:00:00Z",
            "changed": "2026-01-01T00:00:00Z", "step": "failed", "reason": "dead", "evidence": "dead",
            "save_path": "/downloads/tv", "action": "symlink", "uncached": "wait",
        });
        let jobs: [Arc<Job>; 1] = [Arc::new(serde_json::from_value(job).unwrap())];
        let found = |text: &str| match find_among(text, &Library::default(), &jobs, true) {
            Ok(Meant::Job(report)) => report.path.clone(),
            other => format!("{other:?}"),
        };
        for text in [
            &*hash,
            &hash.to_uppercase(),
            &format!(" {hash} "),
            "film",
            "/downloads/tv/Film/x.mkv",
            "/downloads/tv/Film",
        ] {
            assert_eq!(found(text), "Film", "{text}");
        }
        assert!(found(&"cd".repeat(20)).contains("no release and no download has the info-hash"));
        for text in ["/downloads/tv", "/downloads/tv/Film 2"] {
            assert!(found(text).contains("neither in the library nor"), "{text}");
        }
    }

    #[test]
    fn a_download_says_what_is_in_its_way() {
        let job = |step: &str, reason: Option<&str>| {
            let job = serde_json::json!({
                "hash": "ab".repeat(20), "name": "Film", "category": "tv", "step": step, "stopped": false,
                "progress": 0.5, "bytes": 1, "added": "2026-01-01T00:00:00Z", "path": "/d/tv/Film", "reason": reason,
            });
            of_download(&serde_json::from_value(job).unwrap())
        };
        let failed = job("failed", Some("dead"));
        assert_eq!(failed.state, WhyState::Bad);
        assert!(
            failed.summary.ends_with("failed: dead"),
            "{}",
            failed.summary
        );
        let held = job("probed", Some("/d cannot be made"));
        assert!(held.summary.contains("probed, 50 %): /d cannot be made"));
        assert_eq!(job("waiting", None).state, WhyState::NotKnownYet);
        let of = |more: serde_json::Value| {
            let mut job = serde_json::json!({
                "hash": "ab".repeat(20), "name": "Film", "category": "tv", "step": "waiting", "stopped": false,
                "progress": 0.5, "bytes": 1, "added": "2026-01-01T00:00:00Z", "path": "/d/tv/Film",
            });
            let job_fields = job.as_object_mut().unwrap();
            job_fields.extend(more.as_object().unwrap().clone());
            of_download(&serde_json::from_value(job).unwrap()).summary
        };
        let there =
            of(serde_json::json!({ "provider": "ad", "route": "at ad, which has it cached" }));
        assert!(
            there.ends_with("waiting, 50 % (at ad, which has it cached)"),
            "{there}"
        );
        let blocked = of(serde_json::json!({ "step": "failed", "blocked": true, "reason": "451" }));
        assert_eq!(blocked, "a download that is blocked: 451");
    }
}
