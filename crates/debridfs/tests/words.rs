//! What commands print of an engine that quotes the worst words of others: names of releases, reasons, answers of providers. No
//! terminal may obey any of them, and none may begin a line of its own.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output};

use debridfs_base::terminal::is_obeyed;
use debridfs_base::{Attention, AttentionKind, Down};
use debridfs_control::{
    CacheStatus, ContentStatus, CopiesStatus, CopyLine, EngineState, EngineStatus, HeldLoss,
    KeeperStatus, KeyStatus, LastError, LibraryStatus, MountStatus, ProviderStatus, QueueStatus,
    ReaderStatus, RefusedCopy, RepairStatus, Status, StepStatus, Verdict,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Writes the clipboard, hides what follows, forges a line, and turns letters around; ESC and CSI of one byte, and a mark for tests.
const EVIL: &str = "WORDS\u{1b}]52;c;ZWNobyBwd25lZA==\u{7}\u{1b}[8m\r\nFORGED line\u{9b}31m\u{7f}\u{202e}gpj\u{2066}\u{2028}";

fn evil() -> String {
    EVIL.to_owned()
}

fn copy() -> CopyLine {
    CopyLine {
        provider: evil(),
        id: evil(),
        key: Some(evil()),
        health: evil(),
        verdict: Some(Verdict {
            said: evil(),
            words: evil(),
            at: Timestamp::UNIX_EPOCH,
        }),
    }
}

fn status() -> Status {
    let error = LastError {
        at: Timestamp::UNIX_EPOCH,
        message: evil(),
    };
    Status {
        version: evil(),
        healthy: true,
        problems: vec![evil()],
        attention: vec![Attention::new(AttentionKind::Port, EVIL, EVIL, EVIL)],
        keeper: KeeperStatus {
            last_death: Some(evil()),
            ..KeeperStatus::default()
        },
        engine: EngineStatus {
            pid: Some(1),
            state: EngineState::Serving,
            started: None,
            listen: None,
            resident: Some(1),
        },
        mount: MountStatus {
            path: EVIL.into(),
            since: None,
            trouble: Some(evil()),
        },
        backend: evil(),
        library: Some(library()),
        providers: vec![ProviderStatus {
            name: evil(),
            kind: evil(),
            last_error: Some(error.clone()),
            keys: vec![KeyStatus {
                id: evil(),
                refused: Some(evil()),
                ..KeyStatus::default()
            }],
            ..ProviderStatus::default()
        }],
        content: Some(ContentStatus {
            readers: vec![ReaderStatus {
                class: evil(),
                readers: 1,
                ..ReaderStatus::default()
            }],
            cache: Some(CacheStatus::default()),
            ..ContentStatus::default()
        }),
        queue: Some(QueueStatus {
            jobs: vec![StepStatus {
                step: evil(),
                jobs: 1,
            }],
            ..QueueStatus::default()
        }),
        repair: Some(RepairStatus {
            stages: BTreeMap::from([(evil(), 1)]),
            bad: vec![evil()],
            held: vec![evil()],
            ..RepairStatus::default()
        }),
        fuse: None,
        callers: None,
        nfs: None,
        down: vec![Down {
            part: evil(),
            words: evil(),
            help: evil(),
            since: Timestamp::UNIX_EPOCH,
            tries: 1,
        }],
        moved_aside: vec![EVIL.into()],
        volumes: Vec::new(),
        last_error: Some(error),
    }
}

fn library() -> LibraryStatus {
    LibraryStatus {
        held: vec![HeldLoss {
            provider: evil(),
            releases: 1,
            names: vec![evil()],
            since: None,
        }],
        copies: CopiesStatus {
            refused: 1,
            lines: vec![RefusedCopy {
                release: evil(),
                copy: copy(),
            }],
            ..CopiesStatus::default()
        },
        ..LibraryStatus::default()
    }
}

fn why() -> Value {
    let at = Timestamp::UNIX_EPOCH;
    json!({
        "path": EVIL, "state": "fine", "summary": EVIL, "advice": [EVIL], "omitted": 0,
        "release": { "name": EVIL, "hash": EVIL, "providers": [EVIL], "reason": EVIL, "repair": EVIL, "copies": [copy()] },
        "files": [{ "path": EVIL, "size": 1, "sources": 1, "state": "fine",
                    "events": [{ "first": at, "last": at, "count": 1, "what": EVIL, "provider": EVIL, "detail": EVIL }] }],
    })
}

/// What an engine answers to `call`, with its code.
fn answer(call: &str) -> (u16, Value) {
    let at = Timestamp::UNIX_EPOCH;
    let path = call.split('?').next().unwrap_or_default();
    let good = match path {
        "/status" => json!(status()),
        "/why" if call.contains("refused") => return (404, json!({ "error": EVIL })),
        "/why" => why(),
        "/queue" => json!({ "jobs": [{
            "hash": EVIL, "name": EVIL, "category": EVIL, "step": "complete", "stopped": true, "progress": 0.5, "bytes": 1,
            "added": at, "completed": null, "path": EVIL, "evidence": null, "told": null, "reason": EVIL,
        }]}),
        "/queue/add" => json!({ "hash": EVIL, "name": EVIL }),
        "/cache" => json!([{
            "path": EVIL, "id": 1, "size": 1, "cached": 1, "class": EVIL, "pinned": false, "used": 1,
        }]),
        "/repair" => json!({
            "patients": [{
                "hash": "ab".repeat(20), "name": EVIL, "stage": "suspect", "since": at, "next": at, "files": [EVIL],
                "providers": [EVIL], "evidence": [{ "at": at, "words": EVIL }],
            }],
            "quiet": [[EVIL, EVIL]], "held": [EVIL], "spent": 0, "per_hour": 0, "healed": 0,
        }),
        "/repair/check" => json!({ "name": EVIL, "found": "well", "words": EVIL }),
        "/tokens" => json!({ "tokens": [{ "name": EVIL, "created": at }] }),
        _ => return (409, json!({ "error": EVIL })),
    };
    (200, good)
}

/// Serves a control socket until the test ends.
fn serve(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A caller that is gone is none of ours.
            let _ = reply(&stream.unwrap());
        }
    });
}

fn reply(stream: &UnixStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (code, body) = answer(first.split(' ').nth(1).unwrap_or_default());
    let body = body.to_string();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn run(dir: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .args(words)
        .arg("--socket")
        .arg(dir.join("control.sock"))
        .env("HOME", dir)
        .output()
        .unwrap()
}

/// Nothing that a terminal obeys but ends of lines, and none of those from the words.
fn assert_plain(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    let obeyed: Vec<char> = text
        .chars()
        .filter(|c| *c != '\n' && is_obeyed(*c))
        .collect();
    assert!(obeyed.is_empty(), "{what}: {obeyed:?} in {text:?}");
    let forged = text
        .lines()
        .any(|line| line.trim_start().starts_with("FORGED"));
    assert!(!forged, "{what}: {text}");
}

#[test]
fn no_command_prints_what_a_terminal_obeys() {
    let dir = tempfile::tempdir().unwrap();
    serve(&dir.path().join("control.sock"));
    let reports: &[&[&str]] = &[
        &["status"],
        &["why", "__all__/x"],
        &["queue", "ls"],
        &["cache", "ls"],
        &["repair", "ls"],
        &["token", "ls"],
    ];
    for words in reports {
        let text = run(dir.path(), words);
        assert!(text.status.success(), "{words:?}: {text:?}");
        assert!(
            String::from_utf8_lossy(&text.stdout).contains("WORDS"),
            "{words:?}"
        );
        assert_plain(&words.join(" "), &text.stdout);
        let json = run(dir.path(), &[words, &["--json"][..]].concat());
        assert_plain(&format!("{words:?} --json"), &json.stdout);
        let value: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert!(
            value.to_string().contains(&json!(EVIL).to_string()),
            "{words:?}: the same words"
        );
    }
    let others: &[&[&str]] = &[
        &["queue", "ls", "--watch"],
        &["queue", "add", "magnet:?xt=x"],
        &["queue", "rm", EVIL],
        &["repair", "check", "__all__/x"],
        &["repair", "run"],
        &["cache", "pin", "__all__/x"],
        &["cache", "purge", "--all"],
        &["cache", "warm", "__all__/x"],
        &["token", "new", EVIL],
        &["token", "revoke", EVIL],
        &["library", "accept"],
        &["why", "refused"],
        &["trace", "record", "-o", "/nowhere/trace"],
        &["import", "check-links", "/nowhere"],
        &["upgrade"],
    ];
    for words in others {
        let said = run(dir.path(), words);
        assert_plain(&words.join(" "), &said.stdout);
        assert_plain(&words.join(" "), &said.stderr);
    }
}

#[test]
fn links_with_the_worst_names_are_listed_as_plain_lines() {
    let dir = tempfile::tempdir().unwrap();
    serve(&dir.path().join("control.sock"));
    let media = dir.path().join("media");
    std::fs::create_dir(&media).unwrap();
    std::os::unix::fs::symlink(format!("/nowhere/{EVIL}"), media.join(EVIL)).unwrap();
    let said = run(
        dir.path(),
        &["import", "check-links", media.to_str().unwrap()],
    );
    assert_plain("check-links", &said.stdout);
    assert_plain("check-links", &said.stderr);
}

#[test]
fn what_an_import_cannot_carry_over_is_listed_as_plain_lines() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = include_str!("import/decypharr-1.json");
    let mut theirs: Value = serde_json::from_str(theirs).unwrap();
    theirs[EVIL] = json!(EVIL);
    let file = dir.path().join("config.json");
    std::fs::write(&file, theirs.to_string()).unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_debridfs"))
        .args(["import", "decypharr"])
        .arg(&file)
        .env("HOME", dir.path())
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("WORDS"));
    assert_plain("import", &said.stdout);
}
