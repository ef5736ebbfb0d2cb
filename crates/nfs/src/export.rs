//! What is exported, to whom, and as which user a client's programs read.

use std::net::IpAddr;
use std::time::Duration;

use debridfs_vfs::{Attr, Kind};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rpc::UnixUser;

/// Source ports below this one are for root alone on most clients.
const PRIVILEGED: u16 = 1024;

/// Whose requests are carried out as somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Squash {
    /// Those of root.
    #[default]
    Root,
    /// Everybody's.
    All,
    /// Nobody's.
    None,
}

/// One export.
#[derive(Debug, Clone)]
pub struct Export {
    /// What clients mount: `/NAME`.
    pub name: String,
    /// The directory of the library, relative to its root; empty for all of it.
    pub path: String,
    /// Tells it from others in handles and in `stat`: the same on every server.
    pub fsid: u64,
    /// Who may use it; IPv4 addresses are not written as IPv6.
    pub networks: Vec<IpNet>,
    /// Whose requests are carried out as `anonymous`, with those without a user.
    pub squash: Squash,
    /// User and group.
    pub anonymous: (u32, u32),
    /// Whether requests may come from ports of 1024 and above.
    pub insecure: bool,
    /// How long a request waits before its client is told to ask again.
    pub patience: Duration,
}

/// Why a client may not use an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// By its address.
    Address,
    /// By its port.
    Port,
}

impl Export {
    /// The `fsid` of an export that is given none: by its name, so it is the same everywhere.
    pub fn default_fsid(name: &str) -> u64 {
        let digest = Sha256::digest(name.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        // Some clients show it as a signed number.
        u64::from_be_bytes(first) >> 1
    }

    /// Whether an address may use it at all.
    pub fn admits_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Whether a request from there may be answered.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub fn admit(&self, address: IpAddr, port: u16) -> Result<(), NotAdmitted> {
        if !self.admits_address(address) {
            return Err(NotAdmitted::Address);
        }
        match self.insecure || port < PRIVILEGED {
            true => Ok(()),
            false => Err(NotAdmitted::Port),
        }
    }

    /// As whom a request is carried out.
    pub fn user(&self, user: Option<UnixUser>) -> UnixUser {
        let squashed = || UnixUser {
            uid: self.anonymous.0,
            gid: self.anonymous.1,
            gids: Vec::new(),
        };
        match (self.squash, user) {
            (Squash::All, _) | (_, None) => squashed(),
            (Squash::Root, Some(user)) if user.uid == 0 => squashed(),
            (_, Some(user)) => user,
        }
    }
}

/// Bit of a mode for reading.
pub(crate) const READ: u16 = 4;
/// Bit of a mode for running, and for looking up names.
pub(crate) const EXECUTE: u16 = 1;

/// Whether `user` has that bit of the node's mode. Root has what anybody can have.
pub(crate) fn permits(user: &UnixUser, attr: &Attr, bit: u16) -> bool {
    if user.uid == 0 {
        return bit == READ || attr.kind == Kind::Directory || attr.mode & 0o111 != 0;
    }
    let shift = match () {
        () if user.uid == attr.uid => 6,
        () if user.gid == attr.gid || user.gids.contains(&attr.gid) => 3,
        () => 0,
    };
    attr.mode >> shift & bit != 0
}

#[cfg(test)]
mod tests {
    use debridfs_vfs::NodeId;
    use jiff::Timestamp;

    use super::*;

    fn export() -> Export {
        Export {
            name: "media".into(),
            path: String::new(),
            fsid: 1,
            networks: vec![
                "192.0.2.0/24".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            squash: Squash::Root,
            anonymous: (65534, 65534),
            insecure: false,
            patience: Duration::from_secs(10),
        }
    }

    fn user(uid: u32, gid: u32) -> UnixUser {
        UnixUser {
            uid,
            gid,
            gids: vec![50],
        }
    }

    #[test]
    fn clients_are_admitted_by_address_and_port() {
        let export = export();
        let admit = |text: &str, port| export.admit(text.parse().unwrap(), port);
        assert_eq!(admit("192.0.2.9", 1023), Ok(()));
        assert_eq!(admit("::ffff:192.0.2.9", 700), Ok(()));
        assert_eq!(admit("2001:db8::9", 700), Ok(()));
        assert_eq!(admit("192.0.3.9", 700), Err(NotAdmitted::Address));
        assert_eq!(admit("::1", 700), Err(NotAdmitted::Address));
        assert_eq!(admit("192.0.2.9", 1024), Err(NotAdmitted::Port));
        let insecure = Export {
            insecure: true,
            ..export
        };
        let any = "192.0.2.9".parse().unwrap();
        assert_eq!(insecure.admit(any, 60_000), Ok(()));
    }

    #[test]
    fn root_is_squashed_and_so_is_everybody_where_it_is_said() {
        let with = |squash| Export { squash, ..export() };
        let nobody = UnixUser {
            uid: 65534,
            gid: 65534,
            gids: Vec::new(),
        };
        for (squash, given, expected) in [
            (Squash::Root, Some(user(0, 0)), nobody.clone()),
            (Squash::Root, Some(user(7, 0)), user(7, 0)),
            (Squash::Root, None, nobody.clone()),
            (Squash::All, Some(user(7, 7)), nobody.clone()),
            (Squash::None, Some(user(0, 0)), user(0, 0)),
            (Squash::None, None, nobody),
        ] {
            assert_eq!(with(squash).user(given), expected, "{squash:?}");
        }
    }

    #[test]
    fn modes_hold_for_owner_group_and_others() {
        let attr = |mode| Attr {
            id: NodeId(9),
            kind: Kind::File,
            mode,
            nlink: 1,
            uid: 7,
            gid: 50,
            size: 1,
            mtime: Timestamp::UNIX_EPOCH,
        };
        let may = |uid, gid, mode| permits(&user(uid, gid), &attr(mode), READ);
        assert!(may(7, 1, 0o400) && !may(7, 50, 0o044));
        assert!(may(8, 1, 0o040), "by a further group");
        let stranger = UnixUser {
            gids: Vec::new(),
            ..user(8, 1)
        };
        assert!(permits(&stranger, &attr(0o004), READ));
        assert!(!permits(&stranger, &attr(0o440), READ));
        assert!(may(0, 0, 0) && !permits(&user(0, 0), &attr(0o444), EXECUTE));
    }
}
