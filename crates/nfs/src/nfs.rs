//! The procedures of NFSv3, but for those that read directories and files.

use debridfs_vfs::{Attr, Kind, NodeId};
use nfs3_types::nfs3::{
    ACCESS3_EXECUTE, ACCESS3_LOOKUP, ACCESS3_READ, FSF3_HOMOGENEOUS, NFS_PROGRAM, nfs_fh3,
    nfsstat3, nfstime3,
};
use nfs3_types::rpc::accept_stat;
use nfs3_types::xdr_codec::{Opaque, Pack};

use crate::arguments::{Arguments, Garbage};
use crate::attributes::{fattr, post_op};
use crate::clients::Ended;
use crate::counts::Status;
use crate::delayed::{Asked, What};
use crate::export::{EXECUTE, Export, READ, permits};
use crate::handle::Foreign;
use crate::patience::told;
use crate::reply::Reply;
use crate::rpc::{Call, UnixUser, accepted, put};
use crate::server::{NfsServer, Peer, RTMAX, Results, WTMAX};

/// Bytes of a handle, at most.
const FHSIZE: usize = 64;
/// Bytes of a name, at most: longer ones are read to be refused.
const LONGEST_NAME: usize = 4096;
/// Bytes of a name that a directory can hold.
const NAME_MAX: u32 = 255;
/// What reads should be multiples of.
const BLOCK: u32 = 4096;
/// Bytes of a listing that suit.
pub(crate) const DTPREF: u32 = 64 << 10;

/// A node that a request is about.
pub(crate) struct Target<'a> {
    pub(crate) export: &'a Export,
    pub(crate) node: NodeId,
    pub(crate) user: UnixUser,
    pub(crate) peer: &'a Peer,
}

impl Target<'_> {
    /// What is remembered of a request that has to wait.
    pub(crate) fn asked(&self, what: What) -> Asked {
        Asked {
            client: self.peer.connected.0.network,
            fsid: self.export.fsid,
            node: self.node,
            what,
        }
    }
}

/// What a procedure comes to: results behind the status, or a status alone.
pub(crate) type Done<T> = std::result::Result<T, nfsstat3>;

/// How many zero words follow the status where a procedure fails: attributes that are left out.
fn absent(procedure: NFS_PROGRAM) -> usize {
    use NFS_PROGRAM as P;
    match procedure {
        P::NFSPROC3_NULL | P::NFSPROC3_GETATTR => 0,
        P::NFSPROC3_LOOKUP
        | P::NFSPROC3_ACCESS
        | P::NFSPROC3_READLINK
        | P::NFSPROC3_READ
        | P::NFSPROC3_READDIR
        | P::NFSPROC3_READDIRPLUS
        | P::NFSPROC3_FSSTAT
        | P::NFSPROC3_FSINFO
        | P::NFSPROC3_PATHCONF => 1,
        P::NFSPROC3_SETATTR
        | P::NFSPROC3_WRITE
        | P::NFSPROC3_CREATE
        | P::NFSPROC3_MKDIR
        | P::NFSPROC3_SYMLINK
        | P::NFSPROC3_MKNOD
        | P::NFSPROC3_REMOVE
        | P::NFSPROC3_RMDIR
        | P::NFSPROC3_COMMIT => 2,
        P::NFSPROC3_LINK => 3,
        P::NFSPROC3_RENAME => 4,
    }
}

/// Packs into a reply. Writing to memory does not fail, and nothing that is packed is longer than XDR can say.
pub(crate) fn pack(reply: &mut Vec<u8>, value: &impl Pack) {
    if let Err(error) = value.pack(reply) {
        tracing::error!(%error, "a reply over NFS could not be packed");
    }
}

fn ended(status: nfsstat3) -> Ended {
    match status {
        nfsstat3::NFS3ERR_JUKEBOX => Ended::Delayed,
        nfsstat3::NFS3ERR_IO
        | nfsstat3::NFS3ERR_STALE
        | nfsstat3::NFS3ERR_BADHANDLE
        | nfsstat3::NFS3ERR_SERVERFAULT => Ended::Failed,
        _ => Ended::Well,
    }
}

impl NfsServer {
    /// Carries out a call; nothing where there is no such procedure.
    pub(crate) async fn nfs(
        &self,
        peer: &Peer,
        call: Call,
        arguments: Arguments<'_>,
    ) -> Result<Option<Results>, Garbage> {
        let Ok(procedure) = NFS_PROGRAM::try_from(call.procedure) else {
            return Ok(None);
        };
        let mut reply = accepted(call.xid, accept_stat::SUCCESS);
        if matches!(procedure, NFS_PROGRAM::NFSPROC3_NULL) {
            return Ok(Some(Results::well(reply)));
        }
        let start = reply.len();
        put(&mut reply, [nfsstat3::NFS3_OK as u32]);
        let done = self
            .carry_out(peer, procedure, call.user, arguments, reply)
            .await?;
        Ok(Some(match done {
            Ok(reply) => Results::well(reply),
            Err(status) => {
                let mut reply = accepted(call.xid, accept_stat::SUCCESS);
                reply.truncate(start);
                put(&mut reply, [status as u32]);
                reply.resize(reply.len() + 4 * absent(procedure), 0);
                Results {
                    reply: reply.into(),
                    ended: ended(status),
                    status: Status::Of(status as u32),
                }
            }
        }))
    }

    async fn carry_out(
        &self,
        peer: &Peer,
        procedure: NFS_PROGRAM,
        user: Option<UnixUser>,
        mut arguments: Arguments<'_>,
        reply: Vec<u8>,
    ) -> Result<Done<Reply>, Garbage> {
        use NFS_PROGRAM as P;
        // Whatever it is about comes first, and is one handle.
        let handle = arguments.opaque(FHSIZE)?;
        let target = match self.target(peer, user, handle) {
            Ok(target) => target,
            Err(status) => return Ok(Err(status)),
        };
        Ok(match procedure {
            P::NFSPROC3_NULL => Ok(reply.into()),
            P::NFSPROC3_GETATTR => self.getattr(&target, reply).await,
            P::NFSPROC3_LOOKUP => {
                let name = arguments.opaque(LONGEST_NAME)?;
                self.lookup(&target, name, reply).await
            }
            P::NFSPROC3_ACCESS => self.access(&target, arguments.u32()?, reply).await,
            // There are no symbolic links.
            P::NFSPROC3_READLINK => match self.attr(&target).await {
                Ok(_) => Err(nfsstat3::NFS3ERR_INVAL),
                Err(status) => Err(status),
            },
            P::NFSPROC3_READ => {
                let (offset, count) = (arguments.u64()?, arguments.u32()?);
                self.read(&target, offset, count, reply).await
            }
            P::NFSPROC3_READDIR => self.readdir(&target, &mut arguments, reply).await?,
            P::NFSPROC3_READDIRPLUS => self.readdirplus(&target, &mut arguments, reply).await?,
            P::NFSPROC3_FSSTAT => self.fsstat(&target, reply).await,
            P::NFSPROC3_FSINFO => self.fsinfo(&target, reply).await,
            P::NFSPROC3_PATHCONF => self.pathconf(&target, reply).await,
            P::NFSPROC3_COMMIT => {
                let _range = (arguments.u64()?, arguments.u32()?);
                self.commit(&target, reply).await
            }
            P::NFSPROC3_SETATTR
            | P::NFSPROC3_WRITE
            | P::NFSPROC3_CREATE
            | P::NFSPROC3_MKDIR
            | P::NFSPROC3_SYMLINK
            | P::NFSPROC3_MKNOD
            | P::NFSPROC3_REMOVE
            | P::NFSPROC3_RMDIR
            | P::NFSPROC3_RENAME
            | P::NFSPROC3_LINK => Err(nfsstat3::NFS3ERR_ROFS),
        })
    }

    /// The node of a handle, if the client may use its export.
    pub(crate) fn target<'a>(
        &'a self,
        peer: &'a Peer,
        user: Option<UnixUser>,
        handle: &[u8],
    ) -> Done<Target<'a>> {
        let (fsid, node) = self.seal.open(handle).map_err(|foreign| match foreign {
            Foreign::Malformed => nfsstat3::NFS3ERR_BADHANDLE,
            Foreign::Unsealed => nfsstat3::NFS3ERR_STALE,
        })?;
        let export = self.exports.iter().find(|export| export.fsid == fsid);
        let export = export.ok_or(nfsstat3::NFS3ERR_STALE)?;
        let admitted = export.admit(peer.address, peer.port);
        admitted.map_err(|_| nfsstat3::NFS3ERR_ACCES)?;
        Ok(Target {
            user: export.user(user),
            export,
            node,
            peer,
        })
    }

    pub(crate) async fn attr(&self, target: &Target<'_>) -> Done<Attr> {
        let what = told(NFS_PROGRAM::NFSPROC3_GETATTR as u32, ());
        self.ask(target, what, self.vfs.attr(target.node)).await
    }

    /// The attributes of a directory in which the user may do that.
    pub(crate) async fn directory(&self, target: &Target<'_>, bit: u16) -> Done<Attr> {
        let attr = self.attr(target).await?;
        if attr.kind != Kind::Directory {
            return Err(nfsstat3::NFS3ERR_NOTDIR);
        }
        match permits(&target.user, &attr, bit) {
            true => Ok(attr),
            false => Err(nfsstat3::NFS3ERR_ACCES),
        }
    }

    pub(crate) fn fh(&self, target: &Target<'_>, node: NodeId) -> nfs_fh3 {
        let handle = self.seal.handle(target.export.fsid, node);
        nfs_fh3 {
            data: Opaque::owned(handle.to_vec()),
        }
    }

    async fn getattr(&self, target: &Target<'_>, mut reply: Vec<u8>) -> Done<Reply> {
        let attr = self.attr(target).await?;
        pack(&mut reply, &fattr(&attr, target.export.fsid));
        Ok(reply.into())
    }

    async fn lookup(&self, target: &Target<'_>, name: &[u8], mut reply: Vec<u8>) -> Done<Reply> {
        let fsid = target.export.fsid;
        let dir = self.directory(target, EXECUTE).await?;
        let found = self.named(target, name).await?;
        pack(&mut reply, &self.fh(target, found.id));
        pack(&mut reply, &post_op(&found, fsid));
        pack(&mut reply, &post_op(&dir, fsid));
        Ok(reply.into())
    }

    /// What a name stands for in a directory. Nothing above the export is to be had.
    async fn named(&self, target: &Target<'_>, name: &[u8]) -> Done<Attr> {
        if name.len() > NAME_MAX as usize {
            return Err(nfsstat3::NFS3ERR_NAMETOOLONG);
        }
        // Neither can be in a name here, and none is cut at them.
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return Err(nfsstat3::NFS3ERR_NOENT);
        }
        if name == b".." {
            return self.above(target).await;
        }
        let what = told(NFS_PROGRAM::NFSPROC3_LOOKUP as u32, name);
        self.ask(target, what, self.vfs.lookup(target.node, name))
            .await
    }

    /// What `..` is in a directory. At the top of an export it is the directory itself, and so it is in one outside of it: a
    /// handle may be older than the path of its export.
    pub(crate) async fn above(&self, target: &Target<'_>) -> Done<Attr> {
        let top = self.top(target).await?;
        if top.id == target.node {
            return Ok(top);
        }
        let above = self.up(target, target.node).await?;
        let mut at = above;
        while at.id != top.id {
            if at.id == NodeId::ROOT {
                return self.attr(target).await;
            }
            at = self.up(target, at.id).await?;
        }
        Ok(above)
    }

    async fn up(&self, target: &Target<'_>, node: NodeId) -> Done<Attr> {
        let what = told(NFS_PROGRAM::NFSPROC3_LOOKUP as u32, ("..", node));
        self.ask(target, what, self.vfs.lookup(node, b"..")).await
    }

    async fn access(&self, target: &Target<'_>, asked: u32, mut reply: Vec<u8>) -> Done<Reply> {
        let attr = self.attr(target).await?;
        let mut granted = 0;
        if permits(&target.user, &attr, READ) {
            granted |= ACCESS3_READ;
        }
        if permits(&target.user, &attr, EXECUTE) {
            granted |= match attr.kind {
                Kind::Directory => ACCESS3_LOOKUP,
                Kind::File => ACCESS3_EXECUTE,
            };
        }
        pack(&mut reply, &post_op(&attr, target.export.fsid));
        put(&mut reply, [asked & granted]);
        Ok(reply.into())
    }

    async fn fsstat(&self, target: &Target<'_>, mut reply: Vec<u8>) -> Done<Reply> {
        let attr = self.attr(target).await?;
        let stat = self.vfs.statfs();
        pack(&mut reply, &post_op(&attr, target.export.fsid));
        // Bytes and files: all there are, none free, none free for this user.
        for number in [stat.bytes, 0, 0, stat.files, 0, 0] {
            pack(&mut reply, &number);
        }
        put(&mut reply, [0]);
        Ok(reply.into())
    }

    async fn fsinfo(&self, target: &Target<'_>, mut reply: Vec<u8>) -> Done<Reply> {
        let attr = self.attr(target).await?;
        pack(&mut reply, &post_op(&attr, target.export.fsid));
        put(
            &mut reply,
            [RTMAX, RTMAX, BLOCK, WTMAX, WTMAX, BLOCK, DTPREF],
        );
        pack(&mut reply, &i64::MAX.unsigned_abs());
        let time_delta = nfstime3 {
            seconds: 0,
            nseconds: 1,
        };
        pack(&mut reply, &time_delta);
        put(&mut reply, [FSF3_HOMOGENEOUS]);
        Ok(reply.into())
    }

    async fn pathconf(&self, target: &Target<'_>, mut reply: Vec<u8>) -> Done<Reply> {
        let attr = self.attr(target).await?;
        pack(&mut reply, &post_op(&attr, target.export.fsid));
        // Links; names are refused and not cut; only root gives files away; case matters and stays.
        put(&mut reply, [1, NAME_MAX, 1, 1, 0, 1]);
        Ok(reply.into())
    }

    /// Nothing was written, so nothing is left to be.
    async fn commit(&self, target: &Target<'_>, mut reply: Vec<u8>) -> Done<Reply> {
        let attr = self.attr(target).await?;
        if attr.kind != Kind::File {
            return Err(nfsstat3::NFS3ERR_INVAL);
        }
        put(&mut reply, [0]);
        pack(&mut reply, &post_op(&attr, target.export.fsid));
        pack(&mut reply, &0_u64);
        Ok(reply.into())
    }
}
