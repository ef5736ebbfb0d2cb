//! Hooks against those they tell, with a paused clock.
#![allow(
    clippy::disallowed_methods,
    reason = "tests touch files wherever they run"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use debridfs_base::Secret;
use debridfs_services::{ChangeKind, Hook, HookKind, Notice};
use debridfs_sim::InProcess;
use debridfs_sim::media_server::{Listener, MediaServer};
use serde_json::Value;

const TOKEN: &str = "the-token";

struct Bed {
    server: MediaServer,
    hook: Arc<Hook>,
    believed: Arc<AtomicBool>,
}

impl Bed {
    fn new(kind: HookKind, listener: Listener) -> Self {
        let server = MediaServer::new(listener, TOKEN);
        let transport = Arc::new(InProcess::new(server.router()));
        let token = (kind != HookKind::Discord).then(|| Secret::new(TOKEN));
        let url = Secret::new("http://server:32400/");
        let hook = Arc::new(Hook::new("home", kind, &url, token, transport));
        let believed = Arc::new(AtomicBool::new(true));
        let (running, flag) = (hook.clone(), believed.clone());
        tokio::spawn(async move {
            running
                .run(move || flag.load(Ordering::Relaxed), || {})
                .await
        });
        Self {
            server,
            hook,
            believed,
        }
    }

    fn changed(&self, paths: &[&str]) {
        let updated = |path: &&str| (PathBuf::from(path), ChangeKind::Updated);
        self.hook.changed(paths.iter().map(updated));
    }
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn plex_scans_what_changed_where_it_is_and_nothing_else() {
    let bed = Bed::new(HookKind::Plex, Listener::Plex);
    bed.server.add_section("1", "/mnt/dfs/films");
    bed.server.add_section("2", "/mnt/dfs/shows");
    bed.changed(&[
        "/mnt/dfs/films/A & B (2024)",
        "/mnt/dfs/__all__/A & B (2024)",
    ]);
    seconds(3).await;
    // Once for all that comes together.
    bed.changed(&["/mnt/dfs/films/A & B (2024)", "/mnt/dfs/shows/C"]);
    assert_eq!(bed.server.told(), [""; 0], "it is gathered first");
    seconds(30).await;
    assert_eq!(
        bed.server.told(),
        ["1 /mnt/dfs/films/A & B (2024)", "2 /mnt/dfs/shows/C"]
    );
    seconds(3600).await;
    assert_eq!(bed.server.told().len(), 2);
    assert_eq!(bed.server.wrong(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn jellyfin_and_emby_hear_what_came_and_what_went() {
    for (kind, listener) in [
        (HookKind::Jellyfin, Listener::Jellyfin),
        (HookKind::Emby, Listener::Emby),
    ] {
        let bed = Bed::new(kind, listener);
        bed.changed(&["/mnt/dfs/films/A", "/mnt/dfs/films/B"]);
        let gone = (PathBuf::from("/mnt/dfs/films/B"), ChangeKind::Deleted);
        bed.hook.changed([gone]);
        seconds(60).await;
        let told = bed.server.told();
        assert_eq!((told.len(), bed.server.wrong()), (1, vec![]));
        let said: Value = serde_json::from_str(&told[0]).unwrap();
        assert_eq!(
            said["Updates"],
            serde_json::json!([
                { "Path": "/mnt/dfs/films/A", "UpdateType": "Modified" },
                { "Path": "/mnt/dfs/films/B", "UpdateType": "Deleted" },
            ])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_while_what_is_shown_cannot_be_believed_and_nothing_is_lost() {
    let bed = Bed::new(HookKind::Webhook, Listener::Webhook);
    bed.believed.store(false, Ordering::Relaxed);
    bed.changed(&["/mnt/dfs/films/A"]);
    seconds(24 * 3600).await;
    assert_eq!(bed.server.told(), [""; 0]);
    bed.changed(&["/mnt/dfs/films/B"]);
    bed.believed.store(true, Ordering::Relaxed);
    seconds(60).await;
    let told = bed.server.told();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("films/A") && told[0].contains("films/B"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_told_later_and_one_that_refuses_is_not_asked_again() {
    let bed = Bed::new(HookKind::Jellyfin, Listener::Jellyfin);
    bed.server.fail_next(&[503, 429, 500]);
    bed.changed(&["/mnt/dfs/films/A"]);
    seconds(15).await;
    assert_eq!(bed.server.told(), [""; 0]);
    bed.changed(&["/mnt/dfs/films/B"]);
    seconds(300).await;
    assert_eq!(bed.server.told().len(), 1, "both at once");
    assert!(bed.server.told()[0].contains("films/B"));

    bed.server.fail_next(&[401]);
    bed.changed(&["/mnt/dfs/films/C"]);
    seconds(3600).await;
    bed.changed(&["/mnt/dfs/films/D"]);
    seconds(60).await;
    let told = bed.server.told();
    assert_eq!(told.len(), 2);
    assert!(told[1].contains("films/D") && !told[1].contains("films/C"));
}

#[tokio::test(start_paused = true)]
async fn many_changes_fit_into_what_is_taken_at_once() {
    let names: Vec<String> = (0..2000)
        .map(|number| format!("/mnt/dfs/films/Number.{number:04}.{}", "x".repeat(40)))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let discord = Bed::new(HookKind::Discord, Listener::Discord);
    discord.changed(&names);
    seconds(600).await;
    assert_eq!(discord.server.wrong(), [""; 0]);
    assert_eq!(discord.server.told().len(), 4);
    assert!(discord.server.told()[0].contains("more"));
    let jellyfin = Bed::new(HookKind::Jellyfin, Listener::Jellyfin);
    jellyfin.changed(&names);
    seconds(600).await;
    let told = jellyfin.server.told();
    let told = told
        .iter()
        .map(|said| serde_json::from_str::<Value>(said).unwrap());
    let sizes: Vec<usize> = told
        .map(|said| said["Updates"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [500; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_notice_is_told_to_webhooks_and_chats_until_it_is_heard() {
    for (kind, listener, told) in [
        (HookKind::Webhook, Listener::Webhook, true),
        (HookKind::Discord, Listener::Discord, true),
        (HookKind::Plex, Listener::Plex, false),
    ] {
        let bed = Bed::new(kind, listener);
        // Nothing of the library is told meanwhile.
        bed.believed.store(false, Ordering::Relaxed);
        let telling = bed.hook.clone();
        tokio::spawn(async move { telling.tell_notices().await });
        bed.server.fail_next(&[500]);
        bed.hook.notice(Notice {
            event: "rollout",
            words: "fbrs was rolled back".into(),
            detail: serde_json::json!({ "to": "fbrs" }),
        });
        seconds(60).await;
        let heard = bed.server.told();
        let is_it = |line: &String| line.contains("fbrs was rolled back");
        assert_eq!(
            heard.iter().filter(|line| is_it(line)).count(),
            usize::from(told),
            "{heard:?}"
        );
        assert_eq!(bed.server.wrong(), Vec::<String>::new());
    }
}
