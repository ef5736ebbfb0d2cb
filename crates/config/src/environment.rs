//! Which environment variables are ours, which Kubernetes put there, and which look like a slip.

use std::ffi::OsString;

/// The prefix of variables that set a key.
const PREFIX: &str = "DEBRIDFS__";

/// Variables with a meaning of their own; they set no key.
const OTHERS: [&str; 4] = [
    "DEBRIDFS_CONFIG",
    "DEBRIDFS_CONTROL",
    debridfs_fuse::CRASH_VARIABLE,
    debridfs_fuse::ALLOW_VARIABLE,
];

/// What the environment says to us.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Keys that are set, with the name of the variable.
    pub keys: Vec<EnvKey>,
    /// Names of Kubernetes service links: ignored.
    pub service_links: Vec<String>,
    /// Names that begin like ours but set nothing.
    pub strangers: Vec<String>,
    /// `PUID`.
    pub puid: Option<String>,
    /// `PGID`.
    pub pgid: Option<String>,
    /// `UMASK`.
    pub umask: Option<String>,
    /// Root started this process, which is another user by now: its places are the service's.
    pub started_by_root: bool,
}

/// A key set by a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvKey {
    /// The variable's name.
    pub variable: String,
    /// Where it leads, in lower case.
    pub path: Vec<String>,
    /// Its value as it stands.
    pub value: String,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    /// Sorts `variables` by what they are for. Names and values that are not Unicode are none of ours.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut found = Self::default();
        for (name, value) in variables {
            let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else {
                continue;
            };
            match name.as_str() {
                "PUID" => found.puid = Some(value),
                "PGID" => found.pgid = Some(value),
                "UMASK" => found.umask = Some(value),
                other if OTHERS.contains(&other) || !other.starts_with("DEBRIDFS_") => {}
                _ if is_service_link(&name, &value) => found.service_links.push(name),
                _ => match name.strip_prefix(PREFIX) {
                    Some(rest) => found.keys.push(EnvKey {
                        path: rest.split("__").map(str::to_lowercase).collect(),
                        variable: name,
                        value,
                    }),
                    None => found.strangers.push(name),
                },
            }
        }
        found.keys.sort_by(|a, b| a.variable.cmp(&b.variable));
        found.service_links.sort();
        found.strangers.sort();
        found
    }
}

/// Whether Kubernetes (or Docker's links) made the variable for a service named `debridfs` or `debridfs-…`:
/// `X_SERVICE_HOST`, `X_SERVICE_PORT[_NAME]`, `X_PORT=tcp://…`, `X_PORT_80_TCP[_PROTO|_PORT|_ADDR]`.
fn is_service_link(name: &str, value: &str) -> bool {
    let protocol_url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && protocol_url)
        || is_numbered_port(name)
}

fn is_numbered_port(name: &str) -> bool {
    name.match_indices("_PORT_").any(|(at, found)| {
        let mut parts = name[at + found.len()..].split('_');
        let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
        let protocol = matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"));
        let tail = matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"));
        number && protocol && tail && parts.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Environment {
        Environment::of(
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn service_links_are_told_from_keys() {
        let found = of(&[
            ("DEBRIDFS_PORT", "tcp://10.43.0.7:8282"),
            ("DEBRIDFS_SERVICE_HOST", "10.43.0.7"),
            ("DEBRIDFS_SERVICE_PORT", "8282"),
            ("DEBRIDFS_SERVICE_PORT_HTTP", "8282"),
            ("DEBRIDFS_PORT_8282_TCP", "tcp://10.43.0.7:8282"),
            ("DEBRIDFS_PORT_8282_TCP_PROTO", "tcp"),
            ("DEBRIDFS_PORT_8282_TCP_ADDR", "10.43.0.7"),
            ("DEBRIDFS_STREAM_NFS_PORT", "udp://10.43.0.8:2049"),
            ("DEBRIDFS__X_PORT", "tcp://10.43.0.9:1"),
            ("DEBRIDFS__SERVER__LISTEN", "0.0.0.0:8282"),
        ]);
        assert_eq!(found.service_links.len(), 9);
        assert_eq!(found.keys.len(), 1);
        assert_eq!(found.keys[0].path, ["server", "listen"]);
        assert!(found.strangers.is_empty());
    }

    #[test]
    fn a_single_underscore_is_a_slip() {
        let found = of(&[("DEBRIDFS_SERVER_LISTEN", "x"), ("DEBRIDFS_CONTROL", "y")]);
        assert_eq!(found.strangers, ["DEBRIDFS_SERVER_LISTEN"]);
    }

    #[test]
    fn a_port_of_ours_is_no_service_link() {
        assert!(!is_service_link("DEBRIDFS_PORT", "8282"));
        assert!(!is_service_link("DEBRIDFS_PORT_NAME_TCP", "x"));
    }
}
