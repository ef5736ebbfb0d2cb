//! NFSv3 of our own server, by `nfs3_client`, one call at a time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use debridfs_behaviour::{Capability, Front, Kind, Stat, Write};
use nfs3_client::nfs3_types::nfs3::{
    CREATE3args, GETATTR3args, LINK3args, LOOKUP3args, MKDIR3args, Nfs3Option, Nfs3Result,
    READ3args, READDIR3args, READLINK3args, REMOVE3args, RENAME3args, RMDIR3args, SETATTR3args,
    SYMLINK3args, WRITE3args, cookieverf3, createhow3, diropargs3, fattr3, filename3, ftype3,
    nfs_fh3, nfspath3, nfsstat3, sattr3, stable_how, symlinkdata3,
};
use nfs3_client::nfs3_types::rpc::{auth_unix, opaque_auth};
use nfs3_client::nfs3_types::xdr_codec::Opaque;
use nfs3_client::tokio::{TokioConnector, TokioIo};
use nfs3_client::{Nfs3Connection, Nfs3ConnectionBuilder};
use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use super::all_but;

/// Bytes that are asked for at a time.
const PIECE: u32 = 64 * 1024;
/// Bytes of a listing that are asked for at a time: some names.
const NAMES: u32 = 1024;

/// An export that is mounted, as unprivileged ports go.
pub struct Export {
    runtime: Runtime,
    connection: Mutex<Nfs3Connection<TokioIo<TcpStream>>>,
}

/// POSIX's number of an NFS status; most are the same.
fn errno(status: nfsstat3) -> Errno {
    match status {
        nfsstat3::NFS3ERR_NAMETOOLONG => Errno::NAMETOOLONG,
        nfsstat3::NFS3ERR_STALE | nfsstat3::NFS3ERR_BADHANDLE => Errno::STALE,
        nfsstat3::NFS3ERR_JUKEBOX => Errno::AGAIN,
        other => Errno::from_raw_os_error(other as i32),
    }
}

fn checked<T, E>(result: Nfs3Result<T, E>) -> Result<T, Errno> {
    match result {
        Nfs3Result::Ok(value) => Ok(value),
        Nfs3Result::Err((status, _)) => Err(errno(status)),
    }
}

fn name(text: &str) -> filename3<'static> {
    filename3(Opaque::owned(text.as_bytes().to_vec()))
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

impl Export {
    /// Mounts `/export` of the server.
    pub fn mount(server: SocketAddr, export: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let who = auth_unix {
            stamp: 0,
            machinename: Opaque::borrowed(b"suite"),
            uid: 1000,
            gid: 1000,
            gids: vec![],
        };
        let mounting = Nfs3ConnectionBuilder::new(TokioConnector, server.ip().to_string(), export)
            .mount_port(server.port())
            .nfs3_port(server.port())
            .connect_from_privileged_port(false)
            .credential(opaque_auth::auth_unix(&who))
            .mount();
        let connection = runtime.block_on(mounting).expect("mounted");
        Self {
            runtime,
            connection: Mutex::new(connection),
        }
    }

    /// One call, asked again for as long as the server says "later", as clients do.
    fn call<T>(
        &self,
        mut one: impl AsyncFnMut(&mut Nfs3Connection<TokioIo<TcpStream>>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.runtime.block_on(async {
            loop {
                let outcome = one(&mut *self.connection.lock().await).await;
                if !matches!(outcome, Err(Errno::AGAIN)) {
                    return outcome;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    }

    fn find(&self, path: &str) -> Result<nfs_fh3, Errno> {
        let mut handle = self.runtime.block_on(self.connection.lock()).root_nfs_fh3();
        for part in parts(path) {
            handle = self.call(async |nfs| {
                let what = diropargs3 {
                    dir: handle.clone(),
                    name: name(part),
                };
                let found = nfs.lookup(&LOOKUP3args { what }).await.expect("an answer");
                Ok(checked(found)?.object)
            })?;
        }
        Ok(handle)
    }

    fn attributes(&self, path: &str) -> Result<fattr3, Errno> {
        let object = self.find(path)?;
        self.call(async |nfs| {
            let arguments = GETATTR3args {
                object: object.clone(),
            };
            let told = nfs.getattr(&arguments).await.expect("an answer");
            Ok(checked(told)?.obj_attributes)
        })
    }

    fn names(&self, path: &str, between: &mut dyn FnMut()) -> Result<Vec<String>, Errno> {
        let dir = self.find(path)?;
        let (mut names, mut cookie, mut verifier) = (Vec::new(), 0, cookieverf3::default());
        let mut told = false;
        loop {
            let page = self.call(async |nfs| {
                let arguments = READDIR3args {
                    dir: dir.clone(),
                    cookie,
                    cookieverf: verifier,
                    count: NAMES,
                };
                checked(nfs.readdir(&arguments).await.expect("an answer"))
            })?;
            verifier = page.cookieverf;
            for entry in page.reply.entries.into_inner() {
                cookie = entry.cookie;
                let name = String::from_utf8_lossy(&entry.name.0).into_owned();
                if name != "." && name != ".." {
                    names.push(name);
                }
            }
            if page.reply.eof {
                return Ok(names);
            }
            if !told {
                told = true;
                between();
            }
        }
    }
}

impl Front for Export {
    fn capabilities(&self) -> BTreeSet<Capability> {
        all_but(&[])
    }

    fn stat(&self, path: &str) -> Result<Stat, Errno> {
        let told = self.attributes(path)?;
        Ok(Stat {
            kind: match told.type_ {
                ftype3::NF3DIR => Kind::Directory,
                ftype3::NF3REG => Kind::File,
                _ => Kind::Other,
            },
            size: told.size,
            links: Some(told.nlink.into()),
            mode: Some(told.mode),
            inode: Some(told.fileid),
            modified: Some(told.mtime.seconds.into()),
        })
    }

    fn list(&self, path: &str) -> Result<Vec<(String, Option<Kind>)>, Errno> {
        let names = self.names(path, &mut || {})?;
        Ok(names.into_iter().map(|name| (name, None)).collect())
    }

    fn list_in_parts(&self, path: &str, between: &mut dyn FnMut()) -> Result<Vec<String>, Errno> {
        self.names(path, between)
    }

    fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let file = self.find(path)?;
        let mut bytes = Vec::with_capacity(length);
        loop {
            let left = length - bytes.len();
            let count = u32::try_from(left).unwrap_or(PIECE).min(PIECE);
            let offset = offset + bytes.len() as u64;
            let (data, end) = self.call(async |nfs| {
                let arguments = READ3args {
                    file: file.clone(),
                    offset,
                    count,
                };
                let read = checked(nfs.read(&arguments).await.expect("an answer"))?;
                assert_eq!(read.count as usize, read.data.len(), "{path} at {offset}");
                Ok((read.data.to_vec(), read.eof))
            })?;
            bytes.extend_from_slice(&data);
            if end || bytes.len() == length {
                return Ok(bytes);
            }
            assert!(
                !data.is_empty(),
                "{path} at {offset}: nothing, and not the end"
            );
        }
    }

    fn read_link(&self, path: &str) -> Result<String, Errno> {
        let symlink = self.find(path)?;
        self.call(async |nfs| {
            let arguments = READLINK3args {
                symlink: symlink.clone(),
            };
            let target = checked(nfs.readlink(&arguments).await.expect("an answer"))?;
            Ok(String::from_utf8_lossy(&target.data.0).into_owned())
        })
    }

    fn write(&self, what: Write, path: &str) -> Result<(), Errno> {
        let object = self.find(path)?;
        let (above, own) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.find(above)?;
        let place = |dir: &nfs_fh3, text: &str| diropargs3 {
            dir: dir.clone(),
            name: name(text),
        };
        let new = || place(&object, "new");
        let (this, beside) = (|| place(&above, own), || place(&above, "beside"));
        self.call(async |nfs| match what {
            Write::Create => {
                let how = createhow3::UNCHECKED(sattr3::default());
                checked(
                    nfs.create(&CREATE3args { where_: new(), how })
                        .await
                        .expect("an answer"),
                )
                .map(drop)
            }
            Write::MakeDirectory => {
                let attributes = sattr3::default();
                checked(
                    nfs.mkdir(&MKDIR3args {
                        where_: new(),
                        attributes,
                    })
                    .await
                    .expect("an answer"),
                )
                .map(drop)
            }
            Write::Symlink => {
                let symlink = symlinkdata3 {
                    symlink_attributes: sattr3::default(),
                    symlink_data: nfspath3(Opaque::borrowed(b"x")),
                };
                checked(
                    nfs.symlink(&SYMLINK3args {
                        where_: new(),
                        symlink,
                    })
                    .await
                    .expect("an answer"),
                )
                .map(drop)
            }
            Write::Link => {
                let file = object.clone();
                checked(
                    nfs.link(&LINK3args {
                        file,
                        link: beside(),
                    })
                    .await
                    .expect("an answer"),
                )
                .map(drop)
            }
            Write::Remove => checked(
                nfs.remove(&REMOVE3args { object: this() })
                    .await
                    .expect("an answer"),
            )
            .map(drop),
            Write::RemoveDirectory => checked(
                nfs.rmdir(&RMDIR3args { object: this() })
                    .await
                    .expect("an answer"),
            )
            .map(drop),
            Write::Rename => checked(
                nfs.rename(&RENAME3args {
                    from: this(),
                    to: beside(),
                })
                .await
                .expect("an answer"),
            )
            .map(drop),
            Write::Open => {
                let arguments = WRITE3args {
                    file: object.clone(),
                    offset: 0,
                    count: 1,
                    stable: stable_how::FILE_SYNC,
                    data: Opaque::borrowed(b"x"),
                };
                checked(nfs.write(&arguments).await.expect("an answer")).map(drop)
            }
            Write::Truncate | Write::Chmod => {
                let mut new_attributes = sattr3::default();
                match what {
                    Write::Truncate => new_attributes.size = Nfs3Option::Some(0),
                    _ => new_attributes.mode = Nfs3Option::Some(0o777),
                }
                let arguments = SETATTR3args {
                    object: object.clone(),
                    new_attributes,
                    guard: Nfs3Option::None,
                };
                checked(nfs.setattr(&arguments).await.expect("an answer")).map(drop)
            }
        })
    }
}
