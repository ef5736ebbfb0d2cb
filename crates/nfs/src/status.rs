//! The one place where a failure becomes a status of NFS.

use debridfs_vfs::ErrorKind;
use nfs3_types::nfs3::nfsstat3;

/// What a failed operation of the file system is answered.
///
/// `NFS3ERR_STALE` ends what a client has open, so it is for what is gone for good alone; while nobody can tell it is
/// `NFS3ERR_JUKEBOX`, after which clients ask again.
pub(crate) fn of_kind(kind: ErrorKind) -> nfsstat3 {
    match kind {
        ErrorKind::NotFound => nfsstat3::NFS3ERR_NOENT,
        ErrorKind::Stale => nfsstat3::NFS3ERR_STALE,
        ErrorKind::NotDirectory => nfsstat3::NFS3ERR_NOTDIR,
        ErrorKind::IsDirectory => nfsstat3::NFS3ERR_ISDIR,
        ErrorKind::ReadOnly => nfsstat3::NFS3ERR_ROFS,
        ErrorKind::NameTooLong => nfsstat3::NFS3ERR_NAMETOOLONG,
        ErrorKind::NotYet => nfsstat3::NFS3ERR_JUKEBOX,
        ErrorKind::Unavailable | ErrorKind::Lost | ErrorKind::TimedOut | ErrorKind::Interrupted => {
            nfsstat3::NFS3ERR_IO
        }
        ErrorKind::NoAttribute | ErrorKind::Unsupported => nfsstat3::NFS3ERR_NOTSUPP,
        ErrorKind::Invalid => nfsstat3::NFS3ERR_INVAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_status() {
        for (kind, status) in [
            (ErrorKind::NotFound, nfsstat3::NFS3ERR_NOENT),
            (ErrorKind::Stale, nfsstat3::NFS3ERR_STALE),
            (ErrorKind::NotDirectory, nfsstat3::NFS3ERR_NOTDIR),
            (ErrorKind::IsDirectory, nfsstat3::NFS3ERR_ISDIR),
            (ErrorKind::ReadOnly, nfsstat3::NFS3ERR_ROFS),
            (ErrorKind::NoAttribute, nfsstat3::NFS3ERR_NOTSUPP),
            (ErrorKind::NameTooLong, nfsstat3::NFS3ERR_NAMETOOLONG),
            (ErrorKind::Unavailable, nfsstat3::NFS3ERR_IO),
            (ErrorKind::Lost, nfsstat3::NFS3ERR_IO),
            (ErrorKind::NotYet, nfsstat3::NFS3ERR_JUKEBOX),
            (ErrorKind::TimedOut, nfsstat3::NFS3ERR_IO),
            (ErrorKind::Interrupted, nfsstat3::NFS3ERR_IO),
            (ErrorKind::Unsupported, nfsstat3::NFS3ERR_NOTSUPP),
            (ErrorKind::Invalid, nfsstat3::NFS3ERR_INVAL),
        ] {
            assert_eq!(of_kind(kind), status, "{kind:?}");
        }
    }
}
