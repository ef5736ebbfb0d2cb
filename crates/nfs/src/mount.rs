//! The procedures of MOUNT v3: the handle of an export's directory, and who asked for one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use debridfs_vfs::{Attr, Kind, NodeId};
use nfs3_types::mount::{
    MOUNT_PROGRAM, dirpath, export_node, exports, fhandle3, mountbody, mountlist, mountres3,
    mountres3_ok, mountstat3, name as text,
};
use nfs3_types::nfs3::nfsstat3;
use nfs3_types::rpc::{accept_stat, auth_flavor};
use nfs3_types::xdr_codec::{List, Opaque};
use parking_lot::Mutex;

use crate::arguments::{Arguments, Garbage};
use crate::clients::Ended;
use crate::counts::Status;
use crate::export::Export;
use crate::nfs::{Target, pack};
use crate::patience::told;
use crate::rpc::{Call, accepted};
use crate::server::{NfsServer, Peer, Results};

/// Bytes of a path, at most.
const MNTPATHLEN: usize = 1024;
/// Mounts that are remembered, for `showmount`.
const REMEMBERED: usize = 512;

/// Who mounted what since the start; of no consequence but for `showmount -a`.
#[derive(Debug, Default)]
pub(crate) struct Mounted(Mutex<BTreeSet<(IpAddr, String)>>);

impl Mounted {
    fn add(&self, client: IpAddr, path: &str) {
        let mut mounted = self.0.lock();
        if mounted.len() < REMEMBERED {
            mounted.insert((client, path.to_owned()));
        }
    }

    fn remove(&self, client: IpAddr, path: Option<&str>) {
        let is_gone = |other: &str| path.is_none_or(|path| path == other);
        self.0
            .lock()
            .retain(|(address, path)| *address != client || !is_gone(path));
    }
}

impl NfsServer {
    /// Carries out a call; nothing where there is no such procedure.
    pub(crate) async fn mount(
        &self,
        peer: &Peer,
        call: Call,
        mut arguments: Arguments<'_>,
    ) -> Result<Option<Results>, Garbage> {
        let Ok(procedure) = MOUNT_PROGRAM::try_from(call.procedure) else {
            return Ok(None);
        };
        let mut reply = accepted(call.xid, accept_stat::SUCCESS);
        match procedure {
            MOUNT_PROGRAM::MOUNTPROC3_NULL => {}
            MOUNT_PROGRAM::MOUNTPROC3_MNT => {
                let path = arguments.opaque(MNTPATHLEN)?;
                return Ok(Some(self.mnt(peer, &call, path, reply).await));
            }
            MOUNT_PROGRAM::MOUNTPROC3_DUMP => self.dump(peer, &mut reply),
            MOUNT_PROGRAM::MOUNTPROC3_UMNT => {
                let path = String::from_utf8_lossy(arguments.opaque(MNTPATHLEN)?);
                self.mounted.remove(peer.address, Some(trimmed(&path)));
            }
            MOUNT_PROGRAM::MOUNTPROC3_UMNTALL => self.mounted.remove(peer.address, None),
            MOUNT_PROGRAM::MOUNTPROC3_EXPORT => self.list_exports(peer, &mut reply),
        }
        Ok(Some(Results::well(reply)))
    }

    async fn mnt(&self, peer: &Peer, call: &Call, path: &[u8], mut reply: Vec<u8>) -> Results {
        let found = self.mountable(peer, call, path).await;
        let (result, ended, status) = match found {
            Ok((export, node)) => {
                self.mounted
                    .add(peer.address, trimmed(&String::from_utf8_lossy(path)));
                let handle = self.seal.handle(export.fsid, node).to_vec();
                let ok = mountres3_ok {
                    fhandle: fhandle3(Opaque::owned(handle)),
                    auth_flavors: vec![auth_flavor::AUTH_UNIX as u32],
                };
                (mountres3::Ok(ok), Ended::Well, 0)
            }
            Err(status) => (mountres3::Err(status), Ended::Failed, status as u32),
        };
        pack(&mut reply, &result);
        Results {
            reply: reply.into(),
            ended,
            status: Status::Of(status),
        }
    }

    /// The export and the directory in it that a path names: `/NAME`, or one below.
    async fn mountable(
        &self,
        peer: &Peer,
        call: &Call,
        path: &[u8],
    ) -> Result<(&Export, NodeId), mountstat3> {
        let path = std::str::from_utf8(path).map_err(|_| mountstat3::MNT3ERR_NOENT)?;
        let mut names = path.split('/').filter(|name| !name.is_empty());
        let first = names.next().unwrap_or_default();
        let export = self.exports.iter().find(|export| export.name == first);
        let export = export.ok_or(mountstat3::MNT3ERR_NOENT)?;
        let admitted = export.admit(peer.address, peer.port);
        admitted.map_err(|not| {
            tracing::info!(client = %peer.address, export = export.name, ?not, "a mount over NFS was refused");
            mountstat3::MNT3ERR_ACCES
        })?;
        let mut target = Target {
            export,
            node: NodeId::ROOT,
            user: export.user(call.user.clone()),
            peer,
        };
        let mut attr = self.top(&target).await.map_err(mount_status)?;
        for name in names {
            target.node = attr.id;
            attr = self.below(&target, name).await?;
        }
        match attr.kind {
            Kind::Directory => Ok((export, attr.id)),
            Kind::File => Err(mountstat3::MNT3ERR_NOTDIR),
        }
    }

    async fn below(&self, target: &Target<'_>, name: &str) -> Result<Attr, mountstat3> {
        if matches!(name, "." | "..") || name.contains('\0') {
            return Err(mountstat3::MNT3ERR_NOENT);
        }
        let found = self.vfs.lookup(target.node, name.as_bytes());
        let what = told(MOUNT_PROGRAM::MOUNTPROC3_MNT as u32, name);
        self.ask(target, what, found).await.map_err(mount_status)
    }

    /// What others mounted is not their neighbours' business.
    fn dump(&self, peer: &Peer, reply: &mut Vec<u8>) {
        let mounted = self.mounted.0.lock();
        let own = mounted.iter().filter(|(client, _)| *client == peer.address);
        let list = own.map(|(client, path)| mountbody {
            ml_hostname: text(Opaque::owned(client.to_string().into_bytes())),
            ml_directory: dirpath(Opaque::borrowed(path.as_bytes())),
        });
        let list: mountlist<'_, '_> = List(list.collect());
        pack(reply, &list);
    }

    /// The exports that this client may use, with their networks.
    fn list_exports(&self, peer: &Peer, reply: &mut Vec<u8>) {
        let own = self.exports.iter();
        let own = own.filter(|export| export.admits_address(peer.address));
        let list = own.map(|export| {
            let groups = export.networks.iter();
            let groups =
                groups.map(|network| text(Opaque::owned(network.to_string().into_bytes())));
            export_node {
                ex_dir: dirpath(Opaque::owned(format!("/{}", export.name).into_bytes())),
                ex_groups: List(groups.collect()),
            }
        });
        let list: exports<'_, '_> = List(list.collect());
        pack(reply, &list);
    }
}

fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// MOUNT has no status for "later": with this one `mount` says that the server is at fault, and may be tried again.
fn mount_status(status: nfsstat3) -> mountstat3 {
    match status {
        nfsstat3::NFS3ERR_NOENT => mountstat3::MNT3ERR_NOENT,
        nfsstat3::NFS3ERR_NOTDIR => mountstat3::MNT3ERR_NOTDIR,
        nfsstat3::NFS3ERR_NAMETOOLONG => mountstat3::MNT3ERR_NAMETOOLONG,
        nfsstat3::NFS3ERR_ACCES => mountstat3::MNT3ERR_ACCES,
        nfsstat3::NFS3ERR_JUKEBOX => mountstat3::MNT3ERR_SERVERFAULT,
        _ => mountstat3::MNT3ERR_IO,
    }
}
