//! `debridfs mounts`: how others mount what is exported over NFS.

use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

use clap::Args;
use debridfs_nfs::client_lines;

use super::say;
use crate::failure::{Failure, USAGE};
use debridfs_config::Environment;

/// An address that is nobody's (RFC 5737): to ask by which of ours others are reached.
const NOBODY: &str = "192.0.2.1:9";

/// Arguments of `mounts`.
#[derive(Debug, Args)]
pub struct MountsArgs {
    /// The exports to print; all when absent.
    #[arg(value_name = "EXPORT")]
    pub exports: Vec<String>,
    /// The name or address at which other machines reach this one; its address when absent.
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// The mount point on the other machine; the path of the mount here when absent.
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
    let exports = nfs.exports().into_iter();
    let is_wanted = |name: &String| args.exports.is_empty() || args.exports.contains(name);
    for export in exports.filter(|export| is_wanted(&export.name)) {
        say(&client_lines(&export, &host, listen.port(), at));
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
