//! Waiting for something to be seen, and what it means when it is not.

use std::path::Path;
use std::time::Duration;

use debridfs_base::mountinfo::{self, Mount};
use tokio::time::{Instant, sleep};

use crate::code::Code;
use crate::level::Level;
use crate::processes::Helpers;
use crate::task::{Sight, Where};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks until `enough`, or until the time is over; the last sight.
pub(crate) async fn look_until(
    helpers: &Helpers,
    place: Where,
    mount: &Path,
    limit: Duration,
    enough: impl Fn(&Sight) -> bool,
) -> Sight {
    let end = Instant::now() + limit;
    loop {
        let sight = helpers.look(place, Level::Own, mount).await;
        // A hung look has used up its own limit; another would be stuck beside it.
        if enough(&sight) || sight == Sight::Hung || Instant::now() >= end {
            return sight;
        }
        sleep(PAUSE).await;
    }
}

/// True for the marker with this nonce.
pub(crate) fn is_marker(sight: &Sight, nonce: &str) -> bool {
    matches!(sight, Sight::Marker(marker) if marker.nonce == nonce)
}

/// Why the marker is not seen; `missing` when nothing is there at all.
pub(crate) fn reason(sight: &Sight, mounts: &[Mount], mount: &Path, missing: Code) -> Code {
    let ours = mountinfo::top(&mountinfo::layers(mounts.to_vec(), mount)).filter(Mount::is_ours);
    match sight {
        Sight::Marker(_) | Sight::Dead => Code::StaleAfterRestart,
        Sight::Hung => Code::MountHung,
        Sight::Denied(_, code) => match ours {
            Some(mount) if mount.has_super_option("allow_other") => *code,
            Some(_) => Code::NoAllowOther,
            // The empty mount point denies entry to users.
            None => missing,
        },
        Sight::Missing | Sight::Failed(_) => missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marker::Marker;

    #[test]
    fn a_denial_is_judged_by_the_mount_that_denies() {
        let table = |options: &str| {
            let text = format!(
                "1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /v/dfs ro master:3 - fuse.debridfs d {options}"
            );
            mountinfo::parse(text.as_bytes())
        };
        let denied = Sight::Denied("Permission denied".into(), Code::Selinux);
        let judge = |mounts: &[Mount], at: &str| {
            reason(&denied, mounts, Path::new(at), Code::NotPropagatedToHost)
        };
        assert_eq!(judge(&table("ro"), "/v/dfs"), Code::NoAllowOther);
        assert_eq!(judge(&table("ro,allow_other"), "/v/dfs"), Code::Selinux);
        assert_eq!(judge(&table("ro"), "/v"), Code::NotPropagatedToHost);
    }

    #[test]
    fn what_is_seen_in_place_of_the_marker_has_its_reason() {
        let mounts = mountinfo::parse(b"1 0 8:1 / / rw - ext4 a rw");
        let judge = |sight: &Sight| {
            let missing = Code::NotPropagatedToHost;
            reason(sight, &mounts, Path::new("/v/dfs"), missing)
        };
        let marker = Marker {
            nonce: "other".into(),
            ..Marker::fresh().unwrap()
        };
        assert!(is_marker(&Sight::Marker(marker.clone()), "other"));
        assert!(!is_marker(&Sight::Marker(marker.clone()), "this"));
        for (sight, code) in [
            (Sight::Marker(marker), Code::StaleAfterRestart),
            (Sight::Dead, Code::StaleAfterRestart),
            (Sight::Hung, Code::MountHung),
            (Sight::Missing, Code::NotPropagatedToHost),
            (Sight::Failed("EIO".into()), Code::NotPropagatedToHost),
        ] {
            assert_eq!(judge(&sight), code, "{sight}");
        }
    }
}
