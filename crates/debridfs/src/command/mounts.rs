//! `debridfs mounts`: how others mount what is exported over NFS.

use std::fmt::Write;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

use clap::Args;
use debridfs_base::terminal::escaped;

use super::say;
use crate::failure::{Failure, USAGE};
use debridfs_config::{Environment, NfsSection};

/// An address that is nobody's (RFC 5737): to ask by which of ours others are reached.
const NOBODY: &str = "192.0.2.1:9";

/// Arguments of `mounts`.
#[derive(Debug, Args)]
pub struct MountsArgs {
    /// The exports to print; all when absent.
    #[arg(value_name = "EXPORT")]
    pub exports: Vec<String>,
    /// How this machine is reached; its address when absent.
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Where it is mounted there; the path of the mount here when absent.
    #[arg(long, value_name = "DIR")]
    pub at: Option<PathBuf>,
}

/// Prints the lines.
pub fn run(args: &MountsArgs, file: Option<&Path>) -> Result<(), Failure> {
    let config = debridfs_config::load(file, &Environment::of_process())?.config;
    let nfs = &config.nfs;
    let usage = |words: String, help: &str| Failure::new(words, Some(help)).with_code(USAGE);
    let Some(listen) = nfs.listen else {
        let help = "set `nfs.listen` and an [nfs.export.NAME] (docs/sharing.md)";
        return Err(usage("nothing is exported over NFS".into(), help));
    };
    if let Some(unknown) = args
        .exports
        .iter()
        .find(|name| !nfs.export.contains_key(*name))
    {
        let words = format!("there is no export {unknown:?}");
        return Err(usage(words, "`debridfs config show` lists them"));
    }
    let host = match &args.host {
        Some(host) => host.clone(),
        None => own_address(listen.ip()).to_string(),
    };
    let at = args.at.as_deref().unwrap_or(&config.mount.path);
    let names = nfs.export.keys();
    for name in names.filter(|name| args.exports.is_empty() || args.exports.contains(name)) {
        say(&lines(nfs, name, &host, listen.port(), at));
    }
    Ok(())
}

/// By which address others reach this machine, as far as it can tell.
fn own_address(listen: IpAddr) -> IpAddr {
    if !listen.is_unspecified() {
        return listen;
    }
    let asked = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        // Sends nothing.
        socket.connect(NOBODY)?;
        socket.local_addr()
    });
    asked.map_or(listen, |address| address.ip())
}

fn lines(nfs: &NfsSection, name: &str, host: &str, port: u16, at: &Path) -> String {
    let six = host.contains(':');
    let (server, tcp) = match six {
        true => (format!("[{}]", host.trim_matches(['[', ']'])), "tcp6"),
        false => (host.to_owned(), "tcp"),
    };
    let source = format!("{server}:/{name}");
    let options =
        format!("vers=3,proto={tcp},port={port},mountport={port},mountproto={tcp},nolock,ro,hard");
    let at = at.display().to_string();
    let networks: Vec<String> = nfs.export[name]
        .networks
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "# {name}: for {networks}\n\
         \n# Linux\n\
         mount -t nfs -o {options} {source} {at}\n\
         \n# /etc/fstab\n\
         {fstab_source} {fstab_at} nfs {options},_netdev 0 0\n\
         \n# /etc/systemd/system/{unit}.mount\n\
         [Unit]\nWants=network-online.target\nAfter=network-online.target\n\
         [Mount]\nWhat={source}\nWhere={at}\nType=nfs\nOptions={options}\n\
         [Install]\nWantedBy=remote-fs.target\n\
         \n# Kubernetes (an address: the kubelet does not know the cluster's names)\n\
         {volume}\
         \n# macOS\n\
         sudo mount -t nfs -o vers=3,tcp,port={port},mountport={port},nolocks,resvport,rdonly,hard {source} {at}\n\
         \n# players and libnfs\n\
         nfs://{server}/{name}?version=3&nfsport={port}&mountport={port}\n",
        networks = networks.join(", "),
        fstab_source = fstab(&source),
        fstab_at = fstab(&at),
        unit = unit(&at),
        volume = volume(name, host.trim_matches(['[', ']']), &options),
    );
    if !nfs.export[name].insecure {
        out.push_str("# (from user space only as root, as `insecure` is not set)\n");
    }
    escaped_each(&out)
}

/// Names are of the configuration, and may hold what a terminal would obey.
fn escaped_each(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(escaped).collect();
    lines.join("\n") + "\n"
}

/// As fstab(5) has blanks.
fn fstab(text: &str) -> String {
    text.replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
}

/// The name of a unit for a path, as systemd-escape(1) makes it.
fn unit(path: &str) -> String {
    let path = path.trim_matches('/');
    let mut out = String::new();
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'/' => out.push('-'),
            b'.' if at > 0 => out.push('.'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b':' => out.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

fn volume(name: &str, host: &str, options: &str) -> String {
    let options: String = options
        .split(',')
        .map(|option| format!("    - {option}\n"))
        .collect();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let object: String = name.chars().map(plain).collect();
    format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata:\n  name: debridfs-{}\nspec:\n\
         \x20 capacity:\n    storage: 1Ti\n  accessModes: [ReadOnlyMany]\n  persistentVolumeReclaimPolicy: Retain\n\
         \x20 storageClassName: \"\"\n  mountOptions:\n{options}\
         \x20 nfs:\n    server: \"{host}\"\n    path: {:?}\n    readOnly: true\n",
        object.trim_matches('-'),
        format!("/{name}")
    )
}

#[cfg(test)]
mod tests {
    use debridfs_config::ExportSection;

    use super::*;

    fn section(name: &str) -> NfsSection {
        let export = ExportSection {
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            ..ExportSection::default()
        };
        let mut nfs = NfsSection::default();
        nfs.export.insert(name.to_owned(), export);
        nfs
    }

    #[test]
    fn each_kind_of_client_has_its_line() {
        let nfs = section("my films");
        let text = lines(
            &nfs,
            "my films",
            "192.168.1.10",
            2049,
            Path::new("/mnt/my dfs"),
        );
        let options = "vers=3,proto=tcp,port=2049,mountport=2049,mountproto=tcp,nolock,ro,hard";
        for line in [
            format!("192.168.1.10:/my\\040films /mnt/my\\040dfs nfs {options},_netdev 0 0"),
            "# /etc/systemd/system/mnt-my\\x20dfs.mount".to_owned(),
            format!("Options={options}"),
            "  name: debridfs-my-films".to_owned(),
            "    server: \"192.168.1.10\"".to_owned(),
            "    path: \"/my films\"".to_owned(),
            "    - nolock".to_owned(),
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        let six = lines(&section("a"), "a", "fd00::1", 2050, Path::new("/mnt/dfs"));
        assert!(
            six.contains("mountproto=tcp6,nolock,ro,hard [fd00::1]:/a /mnt/dfs"),
            "{six}"
        );
        assert!(six.contains("server: \"fd00::1\""), "{six}");
    }
}
