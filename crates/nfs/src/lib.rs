//! The library over NFSv3 (RFC 1813), with MOUNT v3 on the same port: read-only, over TCP, from the [`Vfs`](debridfs_vfs::Vfs)
//! and never through the mount.
//!
//! | question | decided in |
//! |---|---|
//! | what a handle is made of, and whose it is | `handle`; where its key comes from: `key` |
//! | who may use an export, and as which user | `export` |
//! | where a call ends, and what it says | `record`, `rpc`, `arguments` |
//! | how calls of one connection go on beside each other | `connection`, `reply` |
//! | what a call of which program is answered | `server`, `nfs` with `attributes`, `directory`, `read`; `mount` |
//! | when a client has to ask again, and when no more | `patience`, with what is remembered in `delayed` |
//! | what each client may have, and has had | `clients`, `open_files` |
//! | how each kind of client mounts an export | `client_lines` |
//! | which directory an export is | `tops` |
//! | who is told of the port | `rpcbind` |
//! | which failure becomes which status | `status` |
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests touch files wherever they run"
    )
)]
#![forbid(unsafe_code)]

mod arguments;
mod attributes;
mod client_lines;
mod clients;
mod connection;
mod counts;
mod delayed;
mod directory;
mod export;
#[cfg(test)]
mod fuzz;
mod handle;
mod key;
mod mount;
mod nfs;
mod open_files;
mod patience;
mod read;
mod record;
mod reply;
mod rpc;
mod rpcbind;
mod server;
mod status;
mod tops;

pub use arguments::{Arguments, Garbage};
pub use client_lines::client_lines;
pub use clients::ClientReport;
pub use counts::OperationReport;
pub use export::{Export, NotAdmitted, Squash};
pub use handle::{Foreign, HANDLE_LEN, KEY_LEN, Seal};
pub use key::{Key, KeyChange, KeyError};
pub use record::{LONGEST, Records, TooLong};
pub use rpc::{Call, NoCall, UnixUser};
pub use rpcbind::{RpcbindError, keep_registered, register, unregister};
pub use server::{NfsReport, NfsServer, RTMAX, WTMAX};
