//! Attributes as NFS has them.

use debridfs_vfs::{Attr, Kind};
use jiff::Timestamp;
use nfs3_types::nfs3::{Nfs3Option, fattr3, ftype3, nfstime3, post_op_attr, specdata3};

/// Bytes of a block: what `du` shows is counted in them.
const BLOCK: u64 = 512;

/// The attributes of a node in the export `fsid`.
pub(crate) fn fattr(attr: &Attr, fsid: u64) -> fattr3 {
    let time = time(attr.mtime);
    fattr3 {
        type_: match attr.kind {
            Kind::Directory => ftype3::NF3DIR,
            Kind::File => ftype3::NF3REG,
        },
        mode: u32::from(attr.mode),
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        size: attr.size,
        used: attr
            .size
            .checked_next_multiple_of(BLOCK)
            .unwrap_or(attr.size),
        rdev: specdata3::default(),
        fsid,
        fileid: attr.id.0,
        atime: time,
        mtime: time,
        ctime: time,
    }
}

/// The same where they may be left out.
pub(crate) fn post_op(attr: &Attr, fsid: u64) -> post_op_attr {
    Nfs3Option::Some(fattr(attr, fsid))
}

/// NFS has times from 1970 to 2106.
fn time(time: Timestamp) -> nfstime3 {
    let seconds = time.as_second();
    match u32::try_from(seconds) {
        Ok(seconds) => nfstime3 {
            seconds,
            nseconds: time.subsec_nanosecond().unsigned_abs(),
        },
        Err(_) => nfstime3 {
            seconds: if seconds < 0 { 0 } else { u32::MAX },
            nseconds: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use debridfs_vfs::NodeId;

    use super::*;

    #[test]
    fn times_and_sizes_that_nfs_cannot_hold_come_as_near_as_can_be() {
        let with = |mtime: &str, size| {
            let attr = Attr {
                id: NodeId(9),
                kind: Kind::File,
                mode: 0o444,
                nlink: 1,
                uid: 7,
                gid: 8,
                size,
                mtime: mtime.parse().unwrap(),
            };
            let attr = fattr(&attr, 5);
            assert_eq!((attr.fsid, attr.fileid, attr.nlink), (5, 9, 1));
            (attr.mtime.seconds, attr.mtime.nseconds, attr.used)
        };
        assert_eq!(
            with("2024-01-01T00:00:00.5Z", 513),
            (1_704_067_200, 500_000_000, 1024)
        );
        assert_eq!(with("1960-01-01T00:00:00Z", 0), (0, 0, 0));
        assert_eq!(
            with("2200-01-01T00:00:00Z", u64::MAX),
            (u32::MAX, 0, u64::MAX)
        );
    }
}
