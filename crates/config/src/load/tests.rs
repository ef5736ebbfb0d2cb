//! What is loaded, and what is refused with which words.

use debridfs_base::HumanDuration;

use super::*;
use crate::testing::loaded;

fn problems(text: &str, variables: &[(&str, &str)]) -> Vec<Problem> {
    match loaded(text, variables) {
        Err(ConfigError::Invalid { problems, .. }) => problems,
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn orders_name_providers_that_are_there() {
    let accounts = "provider.b.token = 'x'\nprovider.a.token = 'x'\nprovider.c.token = 'x'\n";
    let order = |order: &str| format!("library.order = {order}\n{accounts}");
    let config = loaded(&order("['c', 'a']"), &[]).unwrap().config;
    assert_eq!(config.providers_in_order(), ["c", "a", "b"]);
    let folder = "[folders.films]\norder = ['e']\nfilters = { include = 'x' }";
    let found = problems(&format!("{}{folder}", order("['d']")), &[]);
    let messages: Vec<_> = found.into_iter().map(|found| found.message).collect();
    assert_eq!(
        messages,
        [
            "`library.order` names \"d\", which is no provider",
            "`folders.films.order` names \"e\", which is no provider"
        ]
    );
}

#[test]
fn what_is_missing_or_misplaced_is_told_with_what_to_write() {
    let told = |text: &str| {
        let found = problems(text, &[("DEBRIDFS__PROVIDER__RD__TOKEN", "x")]);
        assert_eq!(found.len(), 1, "{found:?}");
        let Problem { message, help, .. } = found.into_iter().next().unwrap();
        format!("{message} -> {}", help.unwrap_or_default())
    };
    for (text, words) in [
        (
            "[hook.plex]\nurl = 'http://plex'",
            "`hook.plex` has no `kind` -> add `kind = \"plex\"`",
        ),
        (
            "provider.token = 'x'",
            "`provider.token` stands in no `[provider.NAME]` -> write `[provider.rd]`",
        ),
        (
            "arr.url = 'x'",
            "`arr.url` stands in no `[arr.NAME]` -> write `[arr.sonarr]`",
        ),
        (
            "hook.kind = 'plex'",
            "`hook.kind` stands in no `[hook.NAME]` -> write `[hook.plex]`",
        ),
        ("provider.rd.token_file = 5", "`provider.rd.token_file`: "),
        ("keeper.threads = 'many'", "-> docs/configuration.md tells"),
    ] {
        let said = told(text);
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn grabs_have_an_order_of_their_own() {
    let accounts = "provider.b.token = 'x'\nprovider.a.token = 'x'\n";
    let queue = |text: &str| {
        let text = format!("{accounts}[acquire]\ndownloads = '/d'\n{text}");
        let config = loaded(&text, &[]).unwrap().config;
        config.acquire.queue(Path::new("/state")).unwrap()
    };
    assert!(queue("").order.is_empty(), "all, in the library's order");
    assert_eq!(queue("provider = 'b'").order, ["b"]);
    let both = queue("order = ['b', 'a']\n[acquire.category.tv]\norder = ['a']\n");
    assert_eq!(both.order, ["b", "a"]);
    let own = both.categories["tv"].order.as_ref().unwrap();
    assert_eq!(*own, ["a"]);

    let wrong = "[acquire]\norder = ['c']\nprovider = 'a'\n[acquire.category.tv]\norder = ['d']\n";
    let found = problems(&format!("{accounts}{wrong}"), &[]);
    let messages: Vec<_> = found.into_iter().map(|found| found.message).collect();
    for expected in [
        "`acquire.order` names \"c\", which is no provider",
        "`acquire.category.tv.order` names \"d\", which is no provider",
        "`acquire.provider` and `acquire.order` are both set",
    ] {
        assert!(
            messages.iter().any(|message| message == expected),
            "{messages:?}"
        );
    }
}

#[test]
fn a_token_by_environment_is_enough() {
    let config = loaded("", &[("DEBRIDFS__PROVIDER__RD__TOKEN", "0123")])
        .unwrap()
        .config;
    let keys = &config.provider["rd"];
    assert_eq!(keys.token.as_ref().unwrap().expose(), "0123");
    assert_eq!(keys.name, "rd");
}

#[test]
fn an_engine_that_root_started_uses_the_services_places() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("debridfs.toml");
    std::fs::write(
        &file,
        "cache_dir = \"/srv/cache\"\n[provider.rd]\ntoken = \"x\"",
    )
    .unwrap();
    let variables = [("DEBRIDFS__STATE_DIR".into(), "/srv/state".into())];
    let environment = Environment {
        started_by_root: true,
        ..Environment::of(variables)
    };
    let config = load(Some(&file), &environment).unwrap().config;
    assert_eq!(config.runtime_dir, Path::new("/run/debridfs"));
    assert_eq!(config.cache_dir, Path::new("/srv/cache"));
    assert_eq!(config.state_dir, Path::new("/srv/state"));
}

#[test]
fn a_category_has_each_key_of_its_own_or_that_of_all() {
    let text = "[provider.rd]\ntoken = \"x\"\n[acquire]\ndownloads = \"/d\"\nmin_size = \"50MiB\"\nextensions = [\".MKV\"]\n\
                [acquire.category.tv]\nsamples = true\nmin_size = \"1MiB\"\n[acquire.category.music]\nextensions = [\"flac\"]\n";
    let config = loaded(text, &[]).unwrap().config;
    let queue = config.acquire.queue(Path::new("/state")).unwrap();
    let of = |name: &str| {
        let filter = queue.categories[name].filter.clone().unwrap();
        (
            filter.extensions.join(","),
            filter.min_size >> 20,
            filter.samples,
        )
    };
    assert_eq!(of("tv"), ("mkv".to_owned(), 1, true));
    assert_eq!(of("music"), ("flac".to_owned(), 50, false));
    assert_eq!(
        (queue.filter.min_size >> 20, queue.filter.samples),
        (50, false)
    );
}

#[test]
fn a_front_without_a_downloads_folder_is_told_of() {
    let notes = |text: &str| loaded(text, &[]).unwrap().notes.join("\n");
    let told = notes("[qbittorrent]\npassword = \"x\"\n");
    assert!(
        told.contains("[qbittorrent] without effect: `acquire.downloads`"),
        "{told}"
    );
    let set = "[acquire]\ndownloads = \"/d\"\n[qbittorrent]\npassword = \"x\"\n";
    assert_eq!(notes(set), "");
    assert_eq!(notes(""), "");
}

#[test]
fn variables_win_over_the_file_and_have_the_types_of_their_keys() {
    let config = loaded(
        "[mount]\npath = \"/mnt/a\"\nallow_other = true\n[keeper]\nthreads = 2\n",
        &[
            ("DEBRIDFS__MOUNT__PATH", "/mnt/b"),
            ("DEBRIDFS__MOUNT__ALLOW_OTHER", "false"),
            ("DEBRIDFS__MOUNT__UID", "1000"),
            ("DEBRIDFS__KEEPER__THREADS", "4"),
            ("DEBRIDFS__CONTENT__MEMORY", "64MiB"),
            ("DEBRIDFS__MOUNT__READ_DEADLINE", "5"),
            ("DEBRIDFS__STATE_DIR", "/tmp/state"),
            ("UMASK", "077"),
            ("PUID", "7"),
            ("PGID", "8"),
        ],
    )
    .unwrap()
    .config;
    assert_eq!(config.mount.path, Path::new("/mnt/b"));
    assert!(!config.mount.allow_other);
    assert_eq!(config.mount.uid, Some(1000));
    assert_eq!(config.mount.gid, Some(8));
    assert_eq!(config.keeper.engine_uid, Some(7));
    assert_eq!(config.mount.umask, Umask(0o077));
    assert_eq!(config.keeper.threads, Some(4));
    assert_eq!(config.content.memory.0, 64 << 20);
    assert_eq!(config.mount.read_deadline.0.as_secs(), 5);
    assert_eq!(config.state_dir, Path::new("/tmp/state"));
}

#[test]
fn all_unknown_keys_are_found_with_their_place_and_a_suggestion() {
    let found = problems(
        "[mount]\npaht = \"/x\"\n\n[provider.rd]\ntoken = \"t\"\ncolour = 1\n",
        &[
            ("DEBRIDFS__SERVER__LISTN", "x"),
            ("DEBRIDFS__MONUT__PATH", "/"),
        ],
    );
    let told: Vec<_> = found
        .iter()
        .map(|problem| (problem.message.as_str(), problem.origin.clone()))
        .collect();
    let variable = |name: &str| Origin::Variable(name.into());
    assert!(
        told.contains(&("unknown key `mount.paht`", Origin::Line(2))),
        "{told:?}"
    );
    assert!(told.contains(&("unknown key `provider.rd.colour`", Origin::Line(6))));
    assert!(told.contains(&(
        "unknown key `server.listn`",
        variable("DEBRIDFS__SERVER__LISTN")
    )));
    assert!(told.contains(&("unknown key `monut`", variable("DEBRIDFS__MONUT__PATH"))));
    let help: Vec<_> = found.iter().filter_map(|p| p.help.as_deref()).collect();
    assert!(help.contains(&"did you mean `path`?"), "{help:?}");
    assert!(help.contains(&"did you mean `listen`?"));
    assert!(help.contains(&"did you mean `mount`?"));
}

#[test]
fn wrong_values_are_told_with_their_place_and_secrets_are_not() {
    let found = problems(
        "[library]\nlayout = \"flta\"\n[provider.rd]\ntoken = 31337\n",
        &[],
    );
    assert!(found.iter().any(|problem| problem.origin == Origin::Line(2)
        && problem.help.as_deref() == Some("did you mean `flat`?")));
    assert!(!format!("{found:?}").contains("31337"), "{found:?}");
    let found = problems("[mount]\nread_deadline = \"soon\"\n", &[]);
    assert_eq!(found[0].origin, Origin::Line(2));
    let found = problems("a = \n", &[]);
    assert_eq!(found[0].origin, Origin::Line(1));
}

#[test]
fn a_provider_needs_a_token_or_a_file_of_it() {
    let found = problems("[provider.rd]\n", &[]);
    assert!(found[0].message.contains("no token"));
    let config = loaded(
        "",
        &[("DEBRIDFS__PROVIDER__RD__TOKEN_FILE", "/run/secrets/rd")],
    )
    .unwrap()
    .config;
    let keys = &config.provider["rd"];
    assert_eq!(
        keys.token_file.as_deref(),
        Some(Path::new("/run/secrets/rd"))
    );
    let config = loaded(
        "[provider.rd]\ntoken_file = \"/shared\"\n",
        &[("DEBRIDFS__PROVIDER__RD__TOKEN", "t")],
    );
    let keys = &config.unwrap().config.provider["rd"];
    assert_eq!(keys.token_file, None);
}

#[test]
fn further_keys_and_limits_of_traffic_may_come_by_environment() {
    let config = loaded(
        "[provider.rd]\ntoken = \"t\"\n",
        &[
            ("DEBRIDFS__PROVIDER__RD__DOWNLOAD_TOKENS", "one, two"),
            (
                "DEBRIDFS__PROVIDER__RD__DOWNLOAD_TOKEN_FILES",
                "[\"/run/secrets/three\"]",
            ),
            ("DEBRIDFS__PROVIDER__RD__DAILY_TRAFFIC", "1.5 TiB"),
            ("DEBRIDFS__PROVIDER__RD__TRAFFIC_RESERVE_PERCENT", "5"),
        ],
    );
    let keys = &config.unwrap().config.provider["rd"];
    let tokens: Vec<_> = keys.download_tokens.iter().map(|t| t.expose()).collect();
    assert_eq!(tokens, ["one", "two"]);
    assert_eq!(keys.download_token_files, [Path::new("/run/secrets/three")]);
    assert_eq!(keys.daily_traffic.unwrap().0, 3 << 39);
    assert_eq!(keys.traffic_reserve_percent, 5);
    for text in ["download_tokens = 31337", "download_tokens = [31337]"] {
        let text = format!("[provider.rd]\ntoken = \"t\"\n{text}\n");
        let found = problems(&text, &[]);
        assert!(!format!("{found:?}").contains("31337"), "{found:?}");
    }
}

#[test]
fn numbers_of_providers_may_come_by_environment_and_kinds_are_checked() {
    let config = loaded(
        "[provider.rd]\ntoken = \"t\"\n",
        &[("DEBRIDFS__PROVIDER__RD__CALLS_PER_MINUTE", "60")],
    );
    let keys = &config.unwrap().config.provider["rd"];
    assert_eq!(keys.calls_per_minute, 60);
    let found = problems("[provider.rd]\nkind = \"realdebrid\"\ntoken = \"t\"\n", &[]);
    assert_eq!(found[0].origin, Origin::Line(2));
    assert_eq!(
        found[0].help.as_deref(),
        Some("did you mean `real-debrid`?")
    );
    let found = problems("[provider.rd]\nkind = \"offcloud\"\ntoken = \"t\"\n", &[]);
    let help = found[0].help.as_deref().unwrap_or_default();
    assert!(
        help.contains("not supported yet; only: real-debrid"),
        "{help}"
    );
}

#[test]
fn an_account_without_a_name_is_told_how_it_is_written() {
    let found = problems("[provider]\ntoken = \"31337\"\n", &[]);
    let said = format!("{found:?}");
    assert!(
        said.contains("write `[provider.rd]`") && !said.contains("31337"),
        "{said}"
    );
}

#[test]
fn what_is_no_address_is_told_with_its_line() {
    let hook = |url: &str| format!("[hook.h]\nkind = \"webhook\"\nurl = \"{url}\"\n");
    let arr = |url: &str| format!("[arr.a]\napi_key = \"k\"\nurl = \"{url}\"\n");
    let http = |url: &str| format!("[http]\n\nurl = \"{url}\"\n");
    for text in [hook, arr, http] {
        for bad in [
            "sonarr:8989",
            "sonarr",
            "//sonarr:8989",
            "ftp://sonarr",
            "http://",
            "http//sonarr",
            "a b",
        ] {
            let found = problems(&text(bad), &[]);
            assert_eq!(found[0].origin, Origin::Line(3), "{found:?}");
            assert!(found[0].message.contains("is no address"), "{found:?}");
        }
        for good in [
            "http://sonarr:8989",
            "https://10.0.0.1/base/",
            "HTTP://[::1]:1",
        ] {
            assert!(loaded(&text(good), &[]).is_ok(), "{good}");
        }
    }
}

#[test]
fn no_combination_of_variables_panics() {
    for name in [
        "DEBRIDFS__",
        "DEBRIDFS____",
        "DEBRIDFS__A__",
        "DEBRIDFS__MOUNT",
        "DEBRIDFS__MOUNT__PATH__X",
    ] {
        assert!(
            loaded("[mount]\npath = \"/m\"\n", &[(name, "1")]).is_err(),
            "{name}"
        );
    }
}

#[test]
fn downloads_are_not_open_to_the_network_by_mistake() {
    let problems = problems(
        "[acquire]\ndownloads = \"/mnt/dfs/x\"\nprovider = \"no\"\n\
         [qbittorrent]\nlisten = \"0.0.0.0:8283\"\n[sabnzbd]\nlisten = \"127.0.0.1:8285\"\n[acquire.category.tv]\nfolder = \"tv\"\n",
        &[],
    );
    let lines: Vec<_> = problems.iter().map(|found| found.origin.clone()).collect();
    for line in [2, 3, 5, 7] {
        assert!(lines.contains(&Origin::Line(line)), "{problems:?}");
    }
    let problems = self::problems("[arr.sonarr]\nurl = \"http://sonarr\"\n", &[]);
    assert!(problems[0].message.contains("api_key"), "{problems:?}");
    let config = loaded(
        "[acquire]\ndownloads = \"/d\"\nuncached = \"30m\"\n[qbittorrent]\nlisten = \"0.0.0.0:8283\"\n",
        &[("DEBRIDFS__QBITTORRENT__PASSWORD", "hush")],
    );
    let config = config.unwrap().config;
    let shown = toml::to_string(&config).unwrap();
    assert!(
        !shown.contains("hush") && shown.contains("uncached = \"30m\""),
        "{shown}"
    );
    let problems = self::problems("[acquire]\nuncached = \"soon\"\n", &[]);
    assert_eq!(problems[0].origin, Origin::Line(2));
}

#[test]
fn pages_need_a_hash_not_a_password_and_a_login_to_be_seen_from_elsewhere() {
    let found = problems("[web]\n\npassword_hash = \"hunter2\"\n", &[]);
    assert_eq!(found[0].origin, Origin::Line(3));
    assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    let found = problems("[web]\npassword_hash = 31337\n", &[]);
    assert!(!format!("{found:?}").contains("31337"), "{found:?}");

    let open = "[server]\nlisten = \"0.0.0.0:8282\"\n";
    let notes = |variables: &[(&str, &str)]| loaded(open, variables).unwrap().notes;
    assert!(notes(&[])[0].contains("the pages are not"));
    assert!(notes(&[("DEBRIDFS__WEB__TOKEN", "hush")]).is_empty());
    let config = loaded(open, &[("DEBRIDFS__WEB__TOKEN", "hush")]);
    let config = config.unwrap().config;
    assert!(!config.web.login().unwrap().is_open());
    assert!(!toml::to_string(&config).unwrap().contains("hush"));
}

/// Keys and defaults of the tables in docs/configuration.md; defaults that are told in words are left out.
fn documented() -> Vec<(String, String)> {
    let document = include_str!("../../../../docs/configuration.md");
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let name = heading.split(['[', ']']).nth(1);
            section = name.map_or_else(String::new, |name| format!("{name}."));
            section = section.replace("NAME", "rd");
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        let [keys, defaults, ..] = cells[..] else {
            continue;
        };
        let keys: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
        let defaults: Option<Vec<&str>> = defaults.split(", ").map(literal).collect();
        let defaults = defaults.unwrap_or_default();
        for (at, key) in keys.iter().enumerate() {
            let section = if key.contains('.') { "" } else { &section };
            let default = match defaults[..] {
                [all] => all,
                _ if defaults.len() == keys.len() => defaults[at],
                _ => continue,
            };
            found.push((format!("{section}{key}"), default.to_owned()));
        }
    }
    found
}

/// A value, if `text` is one.
fn literal(text: &str) -> Option<&str> {
    let quoted = text
        .strip_prefix('`')
        .and_then(|text| text.strip_suffix('`'));
    let plain = || text.parse::<toml::Value>().is_ok() || text.parse::<HumanDuration>().is_ok();
    quoted
        .filter(|text| !text.contains('`'))
        .or_else(|| plain().then_some(text))
}

#[test]
fn every_default_is_taken_as_the_document_writes_it() {
    let base = "provider.rd.token = \"x\"\nacquire.downloads = \"/d\"\n";
    let table = |text: &str| {
        let config = loaded(text, &[]);
        let config = config.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        toml::Table::try_from(&config.config).unwrap()
    };
    let defaults = table(base);
    // A user has no default password.
    let with_user = format!("{base}user.rd.password_file = \"/p\"\n");
    let of_user = table(&with_user);
    let documented = documented();
    for (key, value) in &documented {
        let (base, defaults) = match key.starts_with("user.") {
            true => (&*with_user, &of_user),
            false => (base, &defaults),
        };
        let quoted = match value.parse::<toml::Value>() {
            Ok(_) => value.clone(),
            Err(_) => format!("{value:?}"),
        };
        let with = table(&format!("{base}{key} = {quoted}\n"));
        // The one that holds a word to be replaced.
        if key != "provider.rd.user_agent" {
            assert_eq!(&with, defaults, "{key} = {quoted}");
        }
    }
    let has = |name: &str| documented.iter().any(|(key, _)| key == name);
    for key in [
        "acquire.trash_time",
        "provider.rd.connect_timeout",
        "content.cache.size",
        "server.listen",
    ] {
        assert!(has(key), "{key}: {documented:?}");
    }
}

#[test]
fn service_links_and_slips_are_notes() {
    let notes = loaded(
        "",
        &[
            ("DEBRIDFS_PORT", "tcp://1.2.3.4:1"),
            ("DEBRIDFS_MOUNT_PATH", "/x"),
        ],
    )
    .unwrap()
    .notes;
    assert_eq!(notes.len(), 2);
    assert!(notes[0].contains("DEBRIDFS_PORT"));
    assert!(notes[1].contains("DEBRIDFS__MOUNT__PATH"));
}
