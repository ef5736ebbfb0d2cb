//! Each kind of filter, holding and not, and how they are written.

use std::collections::BTreeMap;

use super::{Filter, FilterError, FolderConfig, Subject, SubjectFile, Verdict};
use crate::testing::{at, now};
use crate::{FolderNaming, RulesError, ViewRules};

const NAME: &str = "One.Piece.S01.1080p-GRP";

fn filter(toml: &str) -> Filter {
    let config: FolderConfig =
        toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    Filter::new(&config.filters).unwrap_or_else(|error| panic!("{toml}: {error}"))
}

/// What the filter says of a season of two episodes of 600 and 400 MiB.
fn check(toml: &str, known: bool) -> Verdict {
    let files = [
        SubjectFile {
            dir: "",
            name: "One.Piece.S01E01.mkv",
            size: 600 << 20,
        },
        SubjectFile {
            dir: "",
            name: "e02.sample.mkv",
            size: 400 << 20,
        },
    ];
    let subject = Subject {
        name: NAME,
        bytes: 1000 << 20,
        added: at(100_000 - 3600),
        files: known.then_some(&files),
    };
    filter(toml).check(&subject, now()).0
}

#[test]
fn each_kind_of_filter_holds_and_does_not() {
    // Condition, a value that holds, one that does not, whether it needs to know the files.
    let table: &[(&str, &str, &str, bool)] = &[
        ("include", "'Piece'", "'piece'", false),
        ("exclude", "'piece'", "'Piece'", false),
        ("starts_with", "'One.'", "'one.'", false),
        ("not_starts_with", "'Two'", "'One'", false),
        ("ends_with", "'-GRP'", "'GR'", false),
        ("not_ends_with", "'GR'", "'GRP'", false),
        (
            "exact_match",
            "'One.Piece.S01.1080p-GRP'",
            "'One.Piece'",
            false,
        ),
        (
            "not_exact_match",
            "'One.Piece'",
            "'One.Piece.S01.1080p-GRP'",
            false,
        ),
        ("regex", "'S\\d\\d'", "'s\\d\\d'", false),
        ("regex", "'/s\\d\\d/i'", "'/s\\d\\d/'", false),
        ("not_regex", "'2160p'", "'1080p'", false),
        ("size_gt", "'999MB'", "'1000MB'", false),
        ("size_lt", "'1001MB'", "1048576000", false),
        ("size_gte", "'1000MB'", "'1001MB'", false),
        ("size_lte", "'1000MB'", "'999MB'", false),
        ("last_added", "'1h'", "'59m'", false),
        ("file_count_gt", "1", "'2'", true),
        ("file_count_lt", "'3'", "2", true),
        ("files_regex", "'S01E01'", "'S01E02'", true),
        ("any_file_inside_regex", "'/s01e01/i'", "'/^s01/i'", true),
        ("not_files_regex", "'S01E02'", "'S01E01'", true),
        (
            "any_file_inside_not_regex",
            "'/\\.txt$/'",
            "'/\\.mkv$/'",
            true,
        ),
        ("contains", "'one.PIECE'", "'naruto'", false),
        ("contains_strict", "'Piece'", "'piece'", false),
        ("not_contains", "'naruto'", "'PIECE'", false),
        ("not_contains_strict", "'PIECE'", "'Piece'", false),
        ("any_file_inside_contains", "'SAMPLE'", "'trailer'", true),
        (
            "any_file_inside_contains_strict",
            "'sample'",
            "'SAMPLE'",
            true,
        ),
        (
            "any_file_inside_not_contains",
            "'trailer'",
            "'Sample'",
            true,
        ),
        (
            "any_file_inside_not_contains_strict",
            "'SAMPLE'",
            "'sample'",
            true,
        ),
        ("any_file_inside_size_gte", "'600MB'", "'601MB'", true),
        ("any_file_inside_size_lte", "'400MB'", "'399MB'", true),
        ("has_episodes", "true", "false", true),
        ("is_music", "false", "true", true),
    ];
    for (key, holds, fails, needs_files) in table {
        let toml = |value: &str| format!("filters.{key} = {value}");
        assert_eq!(check(&toml(holds), true), Verdict::Yes, "{key} = {holds}");
        assert_eq!(check(&toml(fails), true), Verdict::No, "{key} = {fails}");
        let unknown = check(&toml(fails), false);
        assert_eq!(
            unknown == Verdict::Unknown,
            *needs_files,
            "{key} with unknown files"
        );
    }
}

#[test]
fn a_release_has_episodes_by_its_name_or_by_its_files() {
    let says = |name: &str, files: Option<&[SubjectFile<'_>]>| {
        let subject = Subject {
            name,
            bytes: 0,
            added: now(),
            files,
        };
        filter("filters.has_episodes = true")
            .check(&subject, now())
            .0
    };
    let row = ["Show 1.mkv", "Show 2.mkv", "Show 3.mkv"].map(|name| SubjectFile {
        dir: "",
        name,
        size: 1,
    });
    assert_eq!(says("Show.S01E02", None), Verdict::Yes);
    assert_eq!(says("Show", None), Verdict::Unknown);
    assert_eq!(says("Show", Some(&row)), Verdict::Yes);
    assert_eq!(says("Show", Some(&row[..1])), Verdict::No);
}

#[test]
fn tables_need_all_and_lists_need_one() {
    assert_eq!(
        check("filters = { include = 'One', exclude = 'GRP' }", true),
        Verdict::No
    );
    assert_eq!(
        check("filters = { include = 'One', exclude = 'XXX' }", true),
        Verdict::Yes
    );
    assert_eq!(
        check(
            "filters = [ { include = 'Two' }, { exclude = 'XXX' } ]",
            true
        ),
        Verdict::Yes
    );
    assert_eq!(
        check(
            "filters = [ { include = 'Two' }, { exclude = 'One' } ]",
            true
        ),
        Verdict::No
    );
    assert_eq!(
        check("filters = [ { include = 'One', exclude = 'One' } ]", true),
        Verdict::No
    );
    let nested = "filters = [ { and = [ { contains = 'one' }, { or = [ { regex = '/xx/' }, { size_gt = 1 } ] } ] } ]";
    assert_eq!(check(nested, true), Verdict::Yes);
    assert_eq!(check(&nested.replace("'one'", "'two'"), true), Verdict::No);
    assert_eq!(
        check(&nested.replace("size_gt = 1", "size_lt = 1"), true),
        Verdict::No
    );
}

#[test]
fn regex_and_files_regex_are_alternatives() {
    assert_eq!(
        check("filters = { regex = 'nope', files_regex = 'E01' }", true),
        Verdict::Yes
    );
    assert_eq!(
        check("filters = { regex = 'One', files_regex = 'nope' }", true),
        Verdict::Yes
    );
    assert_eq!(
        check("filters = { regex = 'nope', files_regex = 'nope' }", true),
        Verdict::No
    );
    assert_eq!(
        check(
            "filters = { regex = 'One', files_regex = 'x', exclude = 'One' }",
            true
        ),
        Verdict::No
    );
}

#[test]
fn what_is_decided_without_files_does_not_wait_for_them() {
    let unknown = |toml| check(toml, false);
    assert_eq!(
        unknown("filters = { include = 'Two', file_count_gt = 1 }"),
        Verdict::No
    );
    assert_eq!(
        unknown("filters = { include = 'One', file_count_gt = 1 }"),
        Verdict::Unknown
    );
    assert_eq!(
        unknown("filters = [ { file_count_gt = 1 }, { include = 'One' } ]"),
        Verdict::Yes
    );
    assert_eq!(
        unknown("filters = [ { file_count_gt = 1 }, { include = 'Two' } ]"),
        Verdict::Unknown
    );
}

#[test]
fn last_added_tells_when_it_ends() {
    let subject = Subject {
        name: NAME,
        bytes: 0,
        added: at(0),
        files: None,
    };
    let filter = filter("filters.last_added = '1d'");
    let (verdict, until) = filter.check(&subject, at(86_400));
    assert_eq!(verdict, Verdict::Yes);
    let until = until.unwrap();
    assert!(until > at(86_400) && until < at(86_401));
    assert_eq!(filter.check(&subject, until), (Verdict::No, None));
}

#[test]
fn mistakes_are_told() {
    let config = |toml: &str| toml::from_str::<FolderConfig>(toml);
    for (toml, words) in [
        ("filters.sise_gt = 1", "sise_gt"),
        ("filters = [ { sise_gt = 1 } ]", "sise_gt"),
        ("filters = 'x'", "a table of conditions, or a list"),
        ("filters.size_gt = 'big'", "\"big\" is not a size"),
        ("filters.size_gt = -1", "not negative"),
        ("filters.last_added = '7'", "\"7\" is not a length of time"),
        (
            "filters.file_count_gt = 'many'",
            "\"many\" is not a number of files",
        ),
        ("filters.regex = 5", "string"),
        ("group = 'x'", "filters"),
        ("filters.regex = 'x'\nfoo = 1", "foo"),
    ] {
        let error = config(toml).unwrap_err().to_string();
        assert!(error.contains(words), "{toml}: {error}");
    }
    for toml in [
        "filters = {}",
        "filters = []",
        "filters = [ {} ]",
        "filters.or = []",
    ] {
        let config = config(toml).unwrap();
        assert!(
            matches!(Filter::new(&config.filters), Err(FilterError::Empty)),
            "{toml}"
        );
    }
}

#[test]
fn a_bad_folder_is_named() {
    let rules = |name: &str, toml: &str| {
        let folders = BTreeMap::from([(name.to_owned(), toml::from_str(toml).unwrap())]);
        ViewRules::new(FolderNaming::default(), vec!["rd".into()], &folders)
    };
    let error = rules("movies", "filters.regex = '('")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("\"movies\"") && error.contains("unclosed group"),
        "{error}"
    );
    for name in ["__all__", "__bad__", "version.txt", "rd"] {
        assert_eq!(
            rules(name, "filters.regex = 'x'").unwrap_err(),
            RulesError::Reserved(name.into())
        );
    }
    for name in ["", ".", "..", "a/b", "a\nb", " a"] {
        assert_eq!(
            rules(name, "filters.regex = 'x'").unwrap_err(),
            RulesError::IllegalName(name.into())
        );
    }
    let provider = ViewRules::new(
        FolderNaming::default(),
        vec!["a/b".into()],
        &BTreeMap::new(),
    );
    assert_eq!(provider.unwrap_err(), RulesError::Provider("a/b".into()));
}
