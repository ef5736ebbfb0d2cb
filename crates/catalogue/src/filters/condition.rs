//! Filters made ready, and what they say of a release.

use debridfs_base::media;
use jiff::{SignedDuration, Timestamp};
use regex::{Regex, RegexBuilder};

use super::config::{Conditions, Filters};
use super::episodes::{are_episodes, is_episode};

/// A filter cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// An expression that is none.
    #[error("{key}: {message}")]
    Regex {
        /// The condition's name.
        key: &'static str,
        /// What is wrong with it, in several lines.
        message: String,
    },
    /// Nothing to decide on.
    #[error("no condition is given: it would show nothing or everything")]
    Empty,
}

/// What a filter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It depends on files that are not known yet.
    Unknown,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What a filter looks at.
pub(crate) struct Subject<'a> {
    pub name: &'a str,
    pub bytes: u64,
    pub added: Timestamp,
    /// `None` while unknown.
    pub files: Option<&'a [SubjectFile<'a>]>,
}

/// A file of a [`Subject`].
pub(crate) struct SubjectFile<'a> {
    /// Its directory in the release, empty for the release's own.
    pub dir: &'a str,
    pub name: &'a str,
    pub size: u64,
}

/// A filter made ready: expressions compiled, texts in lower case where case does not matter.
#[derive(Debug)]
pub(crate) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Name(Text),
    Size {
        more_than: Option<u64>,
        less_than: Option<u64>,
    },
    AddedWithin(SignedDuration),
    FileCount {
        more_than: Option<u64>,
        less_than: Option<u64>,
    },
    AnyFile(Text),
    AnyFileSize {
        at_least: u64,
        at_most: u64,
    },
    Episodes,
    Music,
}

/// A condition on a name.
#[derive(Debug)]
pub(crate) enum Text {
    Holds(String),
    HoldsInAnyCase(String),
    Begins(String),
    Ends(String),
    Is(String),
    Matches(Regex),
}

impl Text {
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::Holds(text) => name.contains(text.as_str()),
            Self::HoldsInAnyCase(text) => name.to_lowercase().contains(text.as_str()),
            Self::Begins(text) => name.starts_with(text.as_str()),
            Self::Ends(text) => name.ends_with(text.as_str()),
            Self::Is(text) => name == text,
            Self::Matches(regex) => regex.is_match(name),
        }
    }
}

impl Filter {
    pub(crate) fn new(filters: &Filters) -> Result<Self, FilterError> {
        match filters {
            Filters::All(conditions) => Self::all(conditions),
            Filters::Any(items) if items.is_empty() => Err(FilterError::Empty),
            Filters::Any(items) => items
                .iter()
                .map(Self::all)
                .collect::<Result<_, _>>()
                .map(Self::Any),
        }
    }

    /// All conditions of one table.
    fn all(given: &Conditions) -> Result<Self, FilterError> {
        let mut all = Vec::new();
        let not = |filter| Self::Not(Box::new(filter));
        let lower = |text: &String| Text::HoldsInAnyCase(text.to_lowercase());
        let exact = |text: &String| Text::Holds(text.clone());

        for text in [&given.include, &given.contains_strict]
            .into_iter()
            .flatten()
        {
            all.push(Self::Name(exact(text)));
        }
        for text in [&given.exclude, &given.not_contains_strict]
            .into_iter()
            .flatten()
        {
            all.push(not(Self::Name(exact(text))));
        }
        all.extend(given.contains.iter().map(|text| Self::Name(lower(text))));
        all.extend(
            given
                .not_contains
                .iter()
                .map(|text| not(Self::Name(lower(text)))),
        );
        all.extend(
            given
                .starts_with
                .iter()
                .map(|text| Self::Name(Text::Begins(text.clone()))),
        );
        all.extend(
            given
                .not_starts_with
                .iter()
                .map(|text| not(Self::Name(Text::Begins(text.clone())))),
        );
        all.extend(
            given
                .ends_with
                .iter()
                .map(|text| Self::Name(Text::Ends(text.clone()))),
        );
        all.extend(
            given
                .not_ends_with
                .iter()
                .map(|text| not(Self::Name(Text::Ends(text.clone())))),
        );
        all.extend(
            given
                .exact_match
                .iter()
                .map(|text| Self::Name(Text::Is(text.clone()))),
        );
        all.extend(
            given
                .not_exact_match
                .iter()
                .map(|text| not(Self::Name(Text::Is(text.clone())))),
        );

        let name_regex = compile("regex", given.regex.as_deref())?.map(Text::Matches);
        let files_regex = compile("files_regex", given.files_regex.as_deref())?.map(Text::Matches);
        match (name_regex, files_regex) {
            (Some(name), Some(files)) => {
                all.push(Self::Any(vec![Self::Name(name), Self::AnyFile(files)]));
            }
            (name, files) => {
                all.extend(name.map(Self::Name));
                all.extend(files.map(Self::AnyFile));
            }
        }
        if let Some(regex) = compile("not_regex", given.not_regex.as_deref())? {
            all.push(not(Self::Name(Text::Matches(regex))));
        }
        if let Some(regex) = compile("not_files_regex", given.not_files_regex.as_deref())? {
            all.push(not(Self::AnyFile(Text::Matches(regex))));
        }

        if let Some(bytes) = given.size_gt {
            all.push(Self::Size {
                more_than: Some(bytes.0),
                less_than: None,
            });
        }
        if let Some(bytes) = given.size_lt {
            all.push(Self::Size {
                more_than: None,
                less_than: Some(bytes.0),
            });
        }
        if let Some(bytes) = given.size_gte {
            all.push(not(Self::Size {
                more_than: None,
                less_than: Some(bytes.0),
            }));
        }
        if let Some(bytes) = given.size_lte {
            all.push(not(Self::Size {
                more_than: Some(bytes.0),
                less_than: None,
            }));
        }
        if let Some(age) = given.last_added {
            let age = SignedDuration::from_secs(age.0.as_secs().cast_signed());
            all.push(Self::AddedWithin(age));
        }
        if let Some(count) = given.file_count_gt {
            all.push(Self::FileCount {
                more_than: Some(count),
                less_than: None,
            });
        }
        if let Some(count) = given.file_count_lt {
            all.push(Self::FileCount {
                more_than: None,
                less_than: Some(count),
            });
        }

        all.extend(
            given
                .any_file_inside_contains
                .iter()
                .map(|text| Self::AnyFile(lower(text))),
        );
        all.extend(
            given
                .any_file_inside_contains_strict
                .iter()
                .map(|text| Self::AnyFile(exact(text))),
        );
        all.extend(
            given
                .any_file_inside_not_contains
                .iter()
                .map(|text| not(Self::AnyFile(lower(text)))),
        );
        all.extend(
            given
                .any_file_inside_not_contains_strict
                .iter()
                .map(|text| not(Self::AnyFile(exact(text)))),
        );
        if let Some(bytes) = given.any_file_inside_size_gte {
            all.push(Self::AnyFileSize {
                at_least: bytes.0,
                at_most: u64::MAX,
            });
        }
        if let Some(bytes) = given.any_file_inside_size_lte {
            all.push(Self::AnyFileSize {
                at_least: 0,
                at_most: bytes.0,
            });
        }
        for (wanted, filter) in [
            (given.has_episodes, Self::Episodes),
            (given.is_music, Self::Music),
        ] {
            match wanted {
                Some(true) => all.push(filter),
                Some(false) => all.push(not(filter)),
                None => {}
            }
        }

        for item in given.and.iter().flatten() {
            all.push(Self::all(item)?);
        }
        if let Some(items) = &given.or {
            if items.is_empty() {
                return Err(FilterError::Empty);
            }
            all.push(Self::Any(
                items.iter().map(Self::all).collect::<Result<_, _>>()?,
            ));
        }
        if all.is_empty() {
            Err(FilterError::Empty)
        } else {
            Ok(Self::All(all))
        }
    }

    /// What it says of `subject` at `now`, and from when on that may be different without anything else having changed.
    pub(crate) fn check(
        &self,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> (Verdict, Option<Timestamp>) {
        let known = |check: &dyn Fn(&[SubjectFile<'_>]) -> bool| match subject.files {
            Some(files) => Verdict::from(check(files)),
            None => Verdict::Unknown,
        };
        let between = |value: u64, more: Option<u64>, less: Option<u64>| {
            more.is_none_or(|bound| value > bound) && less.is_none_or(|bound| value < bound)
        };
        let verdict = match self {
            Self::All(filters) => return combine(filters, Verdict::No, subject, now),
            Self::Any(filters) => return combine(filters, Verdict::Yes, subject, now),
            Self::Not(filter) => {
                let (verdict, until) = filter.check(subject, now);
                let verdict = match verdict {
                    Verdict::Yes => Verdict::No,
                    Verdict::No => Verdict::Yes,
                    Verdict::Unknown => Verdict::Unknown,
                };
                return (verdict, until);
            }
            Self::AddedWithin(age) => {
                let Ok(end) = subject.added.checked_add(*age) else {
                    return (Verdict::Yes, None);
                };
                let within = now <= end;
                // The first moment at which it no longer holds.
                let change = end.checked_add(SignedDuration::from_nanos(1)).ok();
                return (within.into(), change.filter(|_| within));
            }
            Self::Name(text) => text.holds(subject.name).into(),
            Self::Size {
                more_than,
                less_than,
            } => between(subject.bytes, *more_than, *less_than).into(),
            Self::FileCount {
                more_than,
                less_than,
            } => known(&|files| between(files.len() as u64, *more_than, *less_than)),
            Self::AnyFile(text) => known(&|files| files.iter().any(|file| text.holds(file.name))),
            Self::AnyFileSize { at_least, at_most } => known(&|files| {
                files
                    .iter()
                    .any(|file| (*at_least..=*at_most).contains(&file.size))
            }),
            Self::Episodes if is_episode(subject.name) => Verdict::Yes,
            Self::Episodes => known(&|files| are_episodes(subject.name, files)),
            Self::Music => known(&|files| {
                files.iter().any(|file| media::is_audio(file.name))
                    && !files.iter().any(|file| media::is_video(file.name))
            }),
        };
        (verdict, None)
    }
}

/// `decisive` from one filter decides; otherwise one unknown makes it unknown.
fn combine(
    filters: &[Filter],
    decisive: Verdict,
    subject: &Subject<'_>,
    now: Timestamp,
) -> (Verdict, Option<Timestamp>) {
    let mut all = if decisive == Verdict::No {
        Verdict::Yes
    } else {
        Verdict::No
    };
    let mut until: Option<Timestamp> = None;
    for filter in filters {
        let (verdict, change) = filter.check(subject, now);
        until = [until, change].into_iter().flatten().min();
        if verdict == decisive {
            all = decisive;
        } else if verdict == Verdict::Unknown && all != decisive {
            all = Verdict::Unknown;
        }
    }
    (all, until)
}

/// An expression, bare or as `/…/flags` with the flags `i`, `m`, `s`, `x` and `U`.
fn compile(key: &'static str, text: Option<&str>) -> Result<Option<Regex>, FilterError> {
    let Some(text) = text else { return Ok(None) };
    let delimited = text
        .strip_prefix('/')
        .and_then(|rest| rest.rsplit_once('/'))
        .filter(|(_, flags)| flags.chars().all(|flag| "imsxU".contains(flag)));
    let (expression, flags) = delimited.unwrap_or((text, ""));
    RegexBuilder::new(expression)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .ignore_whitespace(flags.contains('x'))
        .swap_greed(flags.contains('U'))
        .build()
        .map(Some)
        .map_err(|error| FilterError::Regex {
            key,
            message: error.to_string(),
        })
}
