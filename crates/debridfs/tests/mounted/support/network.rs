//! A network namespace behind one link that can be taken down.

use std::net::Ipv4Addr;
use std::process::Command;

use super::run;

/// Removed when dropped.
pub struct Network {
    name: String,
    link: String,
    host: Ipv4Addr,
}

impl Network {
    /// Both sides have an address of the range for benchmarks (RFC 2544), of which nothing else on a machine makes use.
    pub fn new() -> Self {
        let id = std::process::id();
        let [_, _, high, low] = id.to_be_bytes();
        let network = Self {
            name: format!("debridfs-test-{id}"),
            link: format!("dfs{id}"),
            host: Ipv4Addr::new(198, 18 + (high & 1), low, 1),
        };
        let [a, b, c, _] = network.host.octets();
        let (host, inner) = (
            format!("{}/24", network.host),
            format!("{a}.{b}.{c}.254/24"),
        );
        let (name, link) = (network.name.as_str(), network.link.as_str());
        run("ip", &["netns", "add", name]);
        run(
            "ip",
            &[
                "link", "add", link, "type", "veth", "peer", "name", "inner", "netns", name,
            ],
        );
        run("ip", &["address", "add", &host, "dev", link]);
        run("ip", &["link", "set", link, "up"]);
        run(
            "ip",
            &["-n", name, "address", "add", &inner, "dev", "inner"],
        );
        run("ip", &["-n", name, "link", "set", "inner", "up"]);
        run("ip", &["-n", name, "link", "set", "lo", "up"]);
        network
    }

    /// This side's address.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// What starts a program in it; only its network is another one.
    pub fn enter(&self) -> String {
        format!("nsenter --net=/run/netns/{}", self.name)
    }

    /// Pulls the plug.
    pub fn cut(&self) {
        run("ip", &["link", "set", &self.link, "down"]);
    }

    /// Puts it in again.
    pub fn mend(&self) {
        run("ip", &["link", "set", &self.link, "up"]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The other end goes with this one.
        let _ = Command::new("ip")
            .args(["link", "delete", &self.link])
            .status();
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .status();
    }
}
