use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{AttentionKind, Board, Secret};
use debridfs_sim::InProcess;
use debridfs_sim::media_server::{Listener, MediaServer};

use super::{Hook, HookKind, PINGS};

#[tokio::test(start_paused = true)]
async fn a_media_server_that_does_not_answer_has_a_line_until_it_does() {
    let server = MediaServer::new(Listener::Jellyfin, "the token");
    server.fail_next(&[503, 503]);
    let board = Board::default();
    let hook = Hook::new(
        "home",
        HookKind::Jellyfin,
        &Secret::new("http://server:8096"),
        Some(Secret::new("the token")),
        Arc::new(InProcess::new(server.router())),
    );
    let hook = hook.with_board(board.clone());
    tokio::spawn(async move { hook.watch().await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    let lines = board.lines();
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(line.kind, AttentionKind::Hook);
    assert!(line.to_string().contains("hook.home"), "{line}");
    tokio::time::sleep(3 * PINGS).await;
    assert_eq!(board.lines(), []);
}
