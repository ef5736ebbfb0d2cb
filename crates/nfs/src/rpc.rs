//! Calls and replies of ONC RPC (RFC 5531), without their arguments and results.

use nfs3_types::rpc::{accept_stat, auth_flavor, auth_stat, msg_type, reject_stat, reply_stat};

use crate::arguments::{Arguments, Garbage};

/// The version of RPC.
const RPC_VERSION: u32 = 2;
/// Bytes of credentials, at most (RFC 5531, section 8.2).
const LONGEST_AUTH: usize = 400;
/// Bytes of a machine's name, and groups, in AUTH_UNIX at most (RFC 5531, appendix A).
const LONGEST_MACHINE: usize = 255;
const MOST_GROUPS: u32 = 16;

/// Who a client says its user is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnixUser {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub gids: Vec<u32>,
}

/// The head of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// To be repeated in the reply.
    pub xid: u32,
    /// Program.
    pub program: u32,
    /// Its version.
    pub version: u32,
    /// Its procedure.
    pub procedure: u32,
    /// The user; none with AUTH_NONE.
    pub user: Option<UnixUser>,
}

/// Why there is no call to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCall {
    /// The bytes are none, or a reply: the sender speaks another protocol.
    Malformed,
    /// A call that is refused in these words.
    Refused(Vec<u8>),
}

impl From<Garbage> for NoCall {
    fn from(_: Garbage) -> Self {
        Self::Malformed
    }
}

impl Call {
    /// Reads the head of a call; what is left of `arguments` are those of its procedure.
    ///
    /// # Errors
    /// [`NoCall`].
    pub fn read(arguments: &mut Arguments<'_>) -> Result<Self, NoCall> {
        let xid = arguments.u32()?;
        if arguments.u32()? != msg_type::CALL as u32 {
            return Err(NoCall::Malformed);
        }
        if arguments.u32()? != RPC_VERSION {
            let mut reply = denied(xid, reject_stat::RPC_MISMATCH);
            put(&mut reply, [RPC_VERSION, RPC_VERSION]);
            return Err(NoCall::Refused(reply));
        }
        let (program, version) = (arguments.u32()?, arguments.u32()?);
        let procedure = arguments.u32()?;
        let flavor = arguments.u32()?;
        let credentials = arguments.opaque(LONGEST_AUTH)?;
        let _verifier = (arguments.u32()?, arguments.opaque(LONGEST_AUTH)?);
        let refused = |why: auth_stat| {
            let mut reply = denied(xid, reject_stat::AUTH_ERROR);
            put(&mut reply, [why as u32]);
            NoCall::Refused(reply)
        };
        let user = match flavor {
            _ if flavor == auth_flavor::AUTH_NULL as u32 => None,
            _ if flavor == auth_flavor::AUTH_UNIX as u32 => {
                let user = unix_user(Arguments::new(credentials));
                Some(user.map_err(|_| refused(auth_stat::AUTH_BADCRED))?)
            }
            _ => return Err(refused(auth_stat::AUTH_TOOWEAK)),
        };
        Ok(Self {
            xid,
            program,
            version,
            procedure,
            user,
        })
    }
}

fn unix_user(mut body: Arguments<'_>) -> Result<UnixUser, Garbage> {
    let _stamp = body.u32()?;
    let _machine = body.opaque(LONGEST_MACHINE)?;
    let (uid, gid) = (body.u32()?, body.u32()?);
    let count = body.u32()?;
    if count > MOST_GROUPS {
        return Err(Garbage);
    }
    let gids: Result<_, _> = (0..count).map(|_| body.u32()).collect();
    Ok(UnixUser {
        uid,
        gid,
        gids: gids?,
    })
}

/// Appends integers.
pub fn put<const N: usize>(reply: &mut Vec<u8>, numbers: [u32; N]) {
    for number in numbers {
        reply.extend_from_slice(&number.to_be_bytes());
    }
}

fn denied(xid: u32, why: reject_stat) -> Vec<u8> {
    let mut reply = Vec::new();
    let [message, denied] = [msg_type::REPLY as u32, reply_stat::MSG_DENIED as u32];
    put(&mut reply, [xid, message, denied, why as u32]);
    reply
}

/// Begins the reply to a call that was taken; behind it come the results, if it went well.
pub fn accepted(xid: u32, how: accept_stat) -> Vec<u8> {
    let mut reply = Vec::with_capacity(256);
    let [message, accepted] = [msg_type::REPLY as u32, reply_stat::MSG_ACCEPTED as u32];
    // An empty verifier of AUTH_NONE.
    put(&mut reply, [xid, message, accepted, 0, 0, how as u32]);
    reply
}

/// The reply to a call of a version that is not spoken, of a program that has `version` alone.
pub fn version_mismatch(xid: u32, version: u32) -> Vec<u8> {
    let mut reply = accepted(xid, accept_stat::PROG_MISMATCH);
    put(&mut reply, [version, version]);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(version: u32, flavor: u32, credentials: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, [9, 0, version, 100_003, 3, 1, flavor]);
        put(&mut bytes, [credentials.len() as u32]);
        bytes.extend_from_slice(credentials);
        put(&mut bytes, [0, 0]);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Call, NoCall> {
        Call::read(&mut Arguments::new(bytes))
    }

    fn user(groups: u32) -> Vec<u8> {
        let mut body = Vec::new();
        put(&mut body, [1, 3]);
        body.extend_from_slice(b"abc\0");
        put(&mut body, [1000, 100, groups]);
        (0..groups.min(20)).for_each(|group| put(&mut body, [group]));
        body
    }

    #[test]
    fn users_are_read_and_nobody_is_one_too() {
        let anybody = read(&call(2, 0, b"")).unwrap();
        assert_eq!((anybody.user, anybody.procedure), (None, 1));
        let known = read(&call(2, 1, &user(2))).unwrap().user.unwrap();
        assert_eq!((known.uid, known.gid, known.gids), (1000, 100, vec![0, 1]));
    }

    #[test]
    fn what_is_no_call_is_refused_with_its_reason() {
        let refusal = |bytes: &[u8]| match read(bytes) {
            Err(NoCall::Refused(reply)) => {
                let words = reply.chunks(4).map(|word| word[3]);
                words.collect::<Vec<u8>>()
            }
            other => panic!("{other:?}"),
        };
        // xid, REPLY, MSG_DENIED, then why.
        assert_eq!(refusal(&call(3, 0, b"")), [9, 1, 1, 0, 2, 2]);
        let [bad, weak] = [[9, 1, 1, 1, 1], [9, 1, 1, 1, 5]];
        assert_eq!(refusal(&call(2, 6, b"")), weak);
        assert_eq!(refusal(&call(2, 1, b"")), bad);
        assert_eq!(refusal(&call(2, 1, &user(17))), bad);
        assert_eq!(refusal(&call(2, 1, &user(u32::MAX))), bad);
        let whole = call(2, 1, &user(1));
        for length in 0..whole.len() {
            let read = read(&whole[..length]);
            assert_eq!(read, Err(NoCall::Malformed), "{length} bytes");
        }
        assert_eq!(read(&call(2, 0, &[0; 404])), Err(NoCall::Malformed));
        let mut reply = whole;
        reply[7] = 1;
        assert_eq!(read(&reply), Err(NoCall::Malformed));
    }
}
