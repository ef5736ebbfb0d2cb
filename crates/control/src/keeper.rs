//! What a keeper tells of an instance.

use std::path::Path;

use debridfs_base::{Attention, AttentionKind};
use debridfs_handover as handover;
use jiff::Timestamp;

use crate::{EngineState, EngineStatus, KeeperStatus, MountStatus, Status};

/// The one that serves when no engine tells.
const BACKEND: &str = "native";

pub(crate) fn moment(millis: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()
}

/// Why nothing is mounted at `mount`, as somebody has to look at it.
pub fn of_mount(mount: &Path, trouble: &handover::MountTrouble) -> Attention {
    let words = format!(
        "the library is not mounted at {}, and all else is served: {}",
        mount.display(),
        trouble.reason
    );
    let help = format!("{}; it is mounted by itself once it can be", trouble.help);
    Attention::new(AttentionKind::Engine, "mount", words, help).since(moment(trouble.since))
}

/// The part of a status that a keeper knows.
pub(crate) fn keeper_part(
    status: &handover::KeeperStatus,
) -> (KeeperStatus, EngineStatus, MountStatus) {
    let since = moment(status.mounted_at).filter(|_| status.mounted);
    let state = match status.engine_state {
        handover::EngineState::Absent => EngineState::Down,
        handover::EngineState::Starting => EngineState::Starting,
        _ if !status.mounted => EngineState::Unmounted,
        handover::EngineState::Serving | handover::EngineState::Stalled => EngineState::Serving,
    };
    (
        KeeperStatus {
            pid: Some(status.keeper_pid),
            restarts: status.restarts,
            last_death: status.last_death.clone(),
        },
        EngineStatus {
            pid: status.engine_pid,
            state,
            started: None,
            listen: None,
            resident: None,
        },
        MountStatus {
            path: status.mount.clone(),
            since,
            trouble: (status.mount_trouble.as_ref())
                .map(|trouble| format!("{}; {}", trouble.reason, trouble.help)),
        },
    )
}

/// What a keeper says of an instance whose engine does not answer; `why` tells why.
pub fn without_engine(said: &handover::KeeperStatus, why: &str) -> Status {
    let (keeper, engine, mount) = keeper_part(said);
    let mut attention = Vec::new();
    if said.engine_state == handover::EngineState::Stalled {
        let words = "the engine takes no requests; the keeper stands in";
        attention.push(Attention::new(AttentionKind::Engine, "stalled", words, ""));
    }
    let missing = said.mount_trouble.as_ref();
    attention.extend(missing.map(|trouble| of_mount(&said.mount, trouble)));
    let words = format!("the engine does not answer: {why}");
    attention.push(Attention::new(AttentionKind::Engine, "silent", words, ""));
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        healthy: false,
        problems: Vec::new(),
        attention,
        keeper,
        engine,
        mount,
        backend: BACKEND.into(),
        library: None,
        providers: Vec::new(),
        content: None,
        queue: None,
        repair: None,
        fuse: None,
        callers: None,
        nfs: None,
        down: Vec::new(),
        moved_aside: Vec::new(),
        volumes: Vec::new(),
        last_error: None,
    }
    .judged()
}
