//! Registration with rpcbind (RFC 1833, version 4), for clients that ask a portmapper for the port.
//!
//! It is asked over its Unix socket, or else over TCP at 127.0.0.1: it lets only this machine register.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use nfs3_types::{mount, nfs3};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::arguments::{Arguments, Garbage};
use crate::rpc::put;
use crate::server::VERSION;

/// Where rpcbind listens.
const SOCKET: &str = "/run/rpcbind.sock";
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 111);
const PROGRAM: u32 = 100_000;
const RPCBIND_VERSION: u32 = 4;
const SET: u32 = 1;
const UNSET: u32 = 2;
const DUMP: u32 = 4;
/// Our programs.
const PROGRAMS: [u32; 2] = [nfs3::PROGRAM, mount::PROGRAM];
/// How long one answer may take. It is on this machine.
const LIMIT: Duration = Duration::from_secs(5);
/// How often it is told.
const AGAIN: Duration = Duration::from_secs(60);
/// Bytes of a reply, at most: it lists all programs.
const LONGEST: usize = 256 << 10;

/// Why a server is not registered.
#[derive(Debug, thiserror::Error)]
pub enum RpcbindError {
    /// There is no rpcbind.
    #[error("no rpcbind listens at {SOCKET} or {ADDRESS}: {0}")]
    Absent(io::Error),
    /// It does not answer, or not as the protocol has it.
    #[error("rpcbind: {0}")]
    Silent(io::Error),
    /// Another server has the place.
    #[error("rpcbind has another server of program {program} over {netid}, at {address}")]
    Taken {
        /// The program's number: 100003 is NFS, 100005 MOUNT.
        program: u32,
        /// The transport: `tcp` or `tcp6`.
        netid: &'static str,
        /// As rpcbind writes it: the port is 256 times the last number but one, and the last.
        address: String,
    },
    /// It allows nobody like this process to register.
    #[error("rpcbind refuses to register program {program} over {netid}")]
    Refused {
        /// The program's number.
        program: u32,
        /// The transport.
        netid: &'static str,
    },
}

/// A way in which a server is reached, as rpcbind writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    netid: &'static str,
    address: String,
}

/// Registers NFS and MOUNT, version 3, which listen at `listen`. Once they are, this changes nothing.
///
/// # Errors
/// [`RpcbindError`]. What a server left that listens no more is replaced.
pub async fn register(listen: SocketAddr) -> Result<(), RpcbindError> {
    let mut rpcbind = Rpcbind::connect().await?;
    for way in ways(listen) {
        for program in PROGRAMS {
            rpcbind.set(program, &way).await?;
        }
    }
    Ok(())
}

/// Keeps NFS and MOUNT registered until `end`, and takes that back then. It is said again every minute, as rpcbind may have been
/// started anew.
///
/// # Errors
/// [`RpcbindError`]: they are not registered.
pub async fn keep_registered(
    listen: SocketAddr,
    end: impl Future<Output = ()>,
) -> Result<(), RpcbindError> {
    let registering = async {
        loop {
            if let Err(error) = register(listen).await {
                return error;
            }
            sleep(AGAIN).await;
        }
    };
    tokio::select! {
        error = registering => Err(error),
        () = end => unregister(listen).await,
    }
}

/// Takes back what [`register`] did; leaves what another server registered since.
///
/// # Errors
/// [`RpcbindError::Absent`] and [`RpcbindError::Silent`].
pub async fn unregister(listen: SocketAddr) -> Result<(), RpcbindError> {
    let mut rpcbind = Rpcbind::connect().await?;
    for way in ways(listen) {
        for program in PROGRAMS {
            if rpcbind.address(program, &way).await? == way.address {
                rpcbind.ask(UNSET, program, &way).await?;
            }
        }
    }
    Ok(())
}

/// The ways to a listener. One of `[::]` is reached by IPv4 as well.
fn ways(listen: SocketAddr) -> Vec<Way> {
    let port = listen.port();
    let way = |netid, ip: IpAddr| Way {
        netid,
        address: format!("{ip}.{}.{}", port >> 8, port & 0xff),
    };
    match listen.ip() {
        IpAddr::V4(ip) => vec![way("tcp", ip.into())],
        IpAddr::V6(ip) if ip.is_unspecified() => {
            vec![
                way("tcp6", ip.into()),
                way("tcp", Ipv4Addr::UNSPECIFIED.into()),
            ]
        }
        IpAddr::V6(ip) => vec![way("tcp6", ip.into())],
    }
}

trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// A connection to it.
struct Rpcbind {
    stream: Box<dyn Connection>,
    xid: u32,
}

impl Rpcbind {
    async fn connect() -> Result<Self, RpcbindError> {
        let connect = async {
            if let Ok(stream) = UnixStream::connect(Path::new(SOCKET)).await {
                return Ok(Box::new(stream) as _);
            }
            let stream = TcpStream::connect(ADDRESS).await?;
            Ok(Box::new(stream) as _)
        };
        let connected: Result<io::Result<Box<dyn Connection>>, _> = timeout(LIMIT, connect).await;
        let stream = connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(RpcbindError::Absent)?;
        Ok(Self { stream, xid: 0 })
    }

    async fn set(&mut self, program: u32, way: &Way) -> Result<(), RpcbindError> {
        let Way { netid, .. } = *way;
        if self.is_done(SET, program, way).await? {
            return Ok(());
        }
        let address = self.address(program, way).await?;
        if address.is_empty() {
            return Err(RpcbindError::Refused { program, netid });
        }
        if is_served(&address).await {
            return Err(RpcbindError::Taken {
                program,
                netid,
                address,
            });
        }
        // Of a server that was killed, or had another port.
        self.ask(UNSET, program, way).await?;
        match self.is_done(SET, program, way).await? {
            true => Ok(()),
            false => Err(RpcbindError::Refused { program, netid }),
        }
    }

    async fn is_done(
        &mut self,
        procedure: u32,
        program: u32,
        way: &Way,
    ) -> Result<bool, RpcbindError> {
        let results = self.ask(procedure, program, way).await?;
        Arguments::new(&results)
            .u32()
            .map(|done| done == 1)
            .map_err(|_| nonsense())
    }

    /// Where `program` is registered, as its server said it; empty where it is not. GETADDR would tell what this caller can use.
    async fn address(&mut self, program: u32, way: &Way) -> Result<String, RpcbindError> {
        let results = self.ask(DUMP, program, way).await?;
        let address = listed(&results, program, way.netid);
        address.map_err(|Garbage| nonsense())
    }

    /// The results of a call.
    async fn ask(
        &mut self,
        procedure: u32,
        program: u32,
        way: &Way,
    ) -> Result<Vec<u8>, RpcbindError> {
        self.xid += 1;
        let xid = self.xid;
        let call = call(xid, procedure, program, way);
        let stream = &mut self.stream;
        let exchange = async {
            stream.write_all(&call).await?;
            let length = (stream.read_u32().await? & !(1 << 31)) as usize;
            if length > LONGEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut reply = vec![0; length];
            stream.read_exact(&mut reply).await?;
            Ok(reply)
        };
        let reply: Result<io::Result<Vec<u8>>, _> = timeout(LIMIT, exchange).await;
        let reply = reply.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let reply = reply.map_err(RpcbindError::Silent)?;
        // xid, REPLY, MSG_ACCEPTED, an empty verifier, SUCCESS.
        let mut head = Vec::new();
        put(&mut head, [xid, 1, 0, 0, 0, 0]);
        match reply.strip_prefix(&head[..]) {
            Some(results) => Ok(results.to_vec()),
            None => Err(nonsense()),
        }
    }
}

/// The address of `program` over `netid` in all that is registered.
fn listed(results: &[u8], program: u32, netid: &str) -> Result<String, Garbage> {
    let mut results = Arguments::new(results);
    while results.u32()? == 1 {
        let is_program = [results.u32()?, results.u32()?] == [program, VERSION];
        let is_way = results.opaque(LONGEST)? == netid.as_bytes();
        let address = results.opaque(LONGEST)?;
        let _owner = results.opaque(LONGEST)?;
        if is_program && is_way {
            return Ok(String::from_utf8_lossy(address).into_owned());
        }
    }
    Ok(String::new())
}

fn nonsense() -> RpcbindError {
    RpcbindError::Silent(io::Error::other("what it answers is no reply to this call"))
}

/// A record: a call with `struct rpcb` (RFC 1833, section 2.1) for its arguments.
fn call(xid: u32, procedure: u32, program: u32, way: &Way) -> Vec<u8> {
    let mut call = Vec::new();
    put(&mut call, [0]);
    put(
        &mut call,
        [xid, 0, 2, PROGRAM, RPCBIND_VERSION, procedure, 0, 0, 0, 0],
    );
    put(&mut call, [program, VERSION]);
    // It fills in the owner itself.
    for text in [way.netid, &way.address, ""] {
        put(&mut call, [text.len() as u32]);
        call.extend_from_slice(text.as_bytes());
        call.resize(call.len().next_multiple_of(4), 0);
    }
    let mark = (call.len() - 4) as u32 | 1 << 31;
    call[..4].copy_from_slice(&mark.to_be_bytes());
    call
}

/// Whether something listens at an address that rpcbind told.
async fn is_served(address: &str) -> bool {
    let mut parts = address.rsplitn(3, '.');
    let (low, high, ip) = (parts.next(), parts.next(), parts.next());
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u8>().ok());
    let ip = ip.and_then(|ip| ip.parse::<IpAddr>().ok());
    let (Some(low), Some(high), Some(ip)) = (number(low), number(high), ip) else {
        return true;
    };
    let port = u16::from_be_bytes([high, low]);
    let connected = timeout(LIMIT, TcpStream::connect((ip, port))).await;
    !matches!(connected, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_the_ways_by_which_it_is_reached() {
        let ways = |listen: &str| -> Vec<String> {
            let ways = ways(listen.parse().unwrap()).into_iter();
            ways.map(|way| format!("{} {}", way.netid, way.address))
                .collect()
        };
        assert_eq!(ways("192.0.2.1:2049"), ["tcp 192.0.2.1.8.1"]);
        assert_eq!(ways("[2001:db8::1]:111"), ["tcp6 2001:db8::1.0.111"]);
        assert_eq!(
            ways("[::]:65535"),
            ["tcp6 ::.255.255", "tcp 0.0.0.0.255.255"]
        );
    }
}
