//! How each kind of client mounts an export.

use std::fmt::Write;
use std::path::Path;

use debridfs_base::terminal::escaped;

use crate::Export;

/// What to type, or to write where, on each kind of client of `export`: the server is reached at `host` and `port`, and its
/// library is to be seen at `at` there.
pub fn client_lines(export: &Export, host: &str, port: u16, at: &Path) -> String {
    let name = export.name.as_str();
    let six = host.contains(':');
    let (server, tcp) = match six {
        true => (format!("[{}]", host.trim_matches(['[', ']'])), "tcp6"),
        false => (host.to_owned(), "tcp"),
    };
    let source = format!("{server}:/{name}");
    let options =
        format!("vers=3,proto={tcp},port={port},mountport={port},mountproto={tcp},nolock,ro,hard");
    let at = at.display().to_string();
    let networks = export.networks.iter();
    let networks: Vec<String> = networks.map(ToString::to_string).collect();
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
    if !export.insecure {
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
    // The name of an object begins and ends with a letter or digit (RFC 1123).
    let object = format!("debridfs-{}", object.trim_matches('-'));
    format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata:\n  name: {}\nspec:\n\
         \x20 capacity:\n    storage: 1Ti\n  accessModes: [ReadOnlyMany]\n  persistentVolumeReclaimPolicy: Retain\n\
         \x20 storageClassName: \"\"\n  mountOptions:\n{options}\
         \x20 nfs:\n    server: \"{host}\"\n    path: {:?}\n    readOnly: true\n",
        object.trim_end_matches('-'),
        format!("/{name}")
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Squash;

    fn export(name: &str) -> Export {
        Export {
            name: name.to_owned(),
            path: String::new(),
            fsid: 1,
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            squash: Squash::Root,
            anonymous: (65_534, 65_534),
            insecure: false,
            patience: Duration::from_secs(1),
        }
    }

    #[test]
    fn each_kind_of_client_has_its_line() {
        let films = export("my films");
        let text = client_lines(&films, "192.168.1.10", 2049, Path::new("/mnt/my dfs"));
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
        let six = client_lines(&export("a"), "fd00::1", 2050, Path::new("/mnt/dfs"));
        assert!(
            six.contains("mountproto=tcp6,nolock,ro,hard [fd00::1]:/a /mnt/dfs"),
            "{six}"
        );
        assert!(six.contains("server: \"fd00::1\""), "{six}");
    }
}
