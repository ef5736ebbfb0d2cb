//! What all three have.

use std::path::Path;

use serde_json::{Map, Value};

use crate::plan::{OurKind, Plan, joined};

/// Directories of other programs that are the library's root with something behind it.
pub const VIEWS: [&str; 4] = ["__all__", "__bad__", "torrents", "__unplayable__"];

/// An account of a vendor that we have.
pub struct Account<'a> {
    /// Its name, which is that of its view.
    pub name: &'a str,
    pub kind: OurKind,
    pub token: &'a str,
    /// Further keys; the token itself among them is passed over.
    pub download_tokens: &'a [String],
    /// Where its settings are: for the table of what was carried.
    pub theirs: &'a str,
}

/// Sets up the account, with its tokens in files of their own.
pub fn account(plan: &mut Plan, account: &Account<'_>, token_key: &str, list_key: &str) {
    let name = account.name;
    let kind = account.kind.word;
    plan.set(&["provider", name, "kind"], kind, account.theirs);
    let file = plan.keep_secret(&format!("{name}-token"), account.token);
    let theirs = joined(account.theirs, token_key);
    plan.set(&["provider", name, "token_file"], file, &theirs);
    let mut seen = vec![account.token.to_owned()];
    let mut files = Vec::new();
    for token in account.download_tokens {
        if !seen.contains(token) {
            seen.push(token.clone());
            let name = format!("{name}-download-token-{}", seen.len());
            files.push(toml::Value::from(plan.keep_secret(&name, token)));
        }
    }
    if !files.is_empty() {
        let theirs = joined(account.theirs, list_key);
        plan.set(&["provider", name, "download_token_files"], files, &theirs);
    }
}

/// `wanted`, or what tells an account apart from one of that name that was carried before.
pub fn free_name(plan: &Plan, wanted: &str) -> String {
    let mut name = wanted.to_owned();
    let mut number = 1;
    while plan.has(&["provider", &name]) {
        number += 1;
        name = format!("{wanted}-{number}");
    }
    name
}

/// Another provider than this version reads.
pub fn other_provider(plan: &mut Plan, theirs: &str, kind: &str) {
    let kinds: Vec<&str> = plan.ours.kinds.iter().map(|kind| kind.word).collect();
    let why = format!(
        "this version reads accounts of {}, not of {kind:?}",
        kinds.join(", ")
    );
    plan.leave_out(theirs, &why);
}

/// A limit of calls, at most the vendor's: theirs count other things.
pub fn calls_per_minute(plan: &mut Plan, name: &str, kind: OurKind, calls: u64, theirs: &str) {
    let most = u64::from(kind.calls_per_minute);
    if calls == 0 || calls >= most {
        let why = format!("the vendor's limit of {most} a minute holds by itself");
        plan.leave_out(theirs, &why);
    } else {
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        plan.set(&["provider", name, "calls_per_minute"], calls, theirs);
    }
}

/// A proxy, whose address may hold a password.
pub fn proxy(plan: &mut Plan, name: &str, url: &str, theirs: &str) {
    let key = ["provider", name, "proxy"];
    let known = ["http://", "https://", "socks5://", "socks5h://"];
    match known.iter().any(|scheme| url.starts_with(scheme)) {
        false => plan.leave_out(
            theirs,
            "a proxy is http://, https://, socks5:// or socks5h://",
        ),
        true if url.contains('@') => plan.set_hidden(&key, url, theirs),
        true => plan.set(&key, url, theirs),
    }
}

/// The root that a path of theirs is in: `/mnt/x/__all__/` lies in `/mnt/x`.
pub fn root_of(path: &str) -> Option<String> {
    let path = path.trim().trim_end_matches('*').trim_end_matches('/');
    let inside = Path::new(path)
        .file_name()
        .is_some_and(|last| VIEWS.iter().any(|view| last == *view));
    let root = match inside {
        true => Path::new(path).parent()?,
        false => Path::new(path),
    };
    let usable = root.is_absolute() && root.parent().is_some();
    usable.then(|| root.to_string_lossy().into_owned())
}

/// Where the library was mounted, so that links into it go on.
pub fn mount(plan: &mut Plan, path: &str, theirs: &str) {
    match root_of(path) {
        Some(root) => plan.set(&["mount", "path"], root, theirs),
        None => plan.leave_out(theirs, "not an absolute path below some directory"),
    }
}

/// What releases are called, in a word of `library.folder_naming`.
pub fn naming(plan: &mut Plan, word: &str, theirs: &str) {
    plan.set(&["library", "folder_naming"], word, theirs);
}

/// A folder by rule: carried when all of its conditions are ours as well, as it would show more without one of them.
pub fn folder(plan: &mut Plan, name: &str, table: Map<String, Value>, theirs: &str) {
    let folder = match toml::Value::try_from(Value::Object(table)) {
        Ok(value) => value,
        Err(error) => return plan.leave_out(theirs, &error.to_string()),
    };
    let taken = plan.takes(&["folders", name], &folder);
    match (taken, folder) {
        (Ok(()), toml::Value::Table(table)) => {
            for (key, value) in table {
                let theirs = joined(theirs, &key);
                plan.set(&["folders", name, &key], value, &theirs);
            }
        }
        (Err(why), _) => {
            let first = why.lines().next().unwrap_or_default();
            plan.leave_out(theirs, &format!("its filters are not ours: {first}"));
        }
        (Ok(()), _) => plan.leave_out(theirs, "not a folder"),
    }
}

/// Sets `key` from a size of theirs; 0 and nothing say that there is no limit.
pub fn size(plan: &mut Plan, key: &[&str], text: &str, theirs: &str) {
    match text.parse::<debridfs_base::ByteSize>() {
        Ok(size) if size.0 == 0 => plan.leave_out(theirs, "no limit, as by default"),
        Ok(_) => plan.set(key, text, theirs),
        Err(error) => plan.leave_out(theirs, &error.to_string()),
    }
}
