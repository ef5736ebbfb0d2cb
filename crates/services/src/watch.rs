//! Looks, now and then, whether arrs answer.

use std::sync::Arc;
use std::time::Duration;

use debridfs_base::{AttentionKind, Board};
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::Arr;

/// How often they are asked how they do.
const EVERY: Duration = Duration::from_secs(60);
/// How soon what is wrong is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// Asks `arrs` for ever how they do, and tells `board` which do not answer or refuse the key.
pub async fn watch_arrs(arrs: &[Arc<Arr>], board: &Board) {
    loop {
        let mut is_well = true;
        let asked = arrs
            .iter()
            .map(|arr| async move { (arr, arr.ping().await) });
        for (arr, answer) in join_all(asked).await {
            match answer {
                Ok(()) => board.is_well(AttentionKind::Arr, arr.name()),
                Err(error) => {
                    is_well = false;
                    let trouble = error.trouble(&format!("arr.{}", arr.name()));
                    board.tell(AttentionKind::Arr, arr.name(), trouble);
                }
            }
        }
        sleep(if is_well { EVERY } else { AGAIN }).await;
    }
}
