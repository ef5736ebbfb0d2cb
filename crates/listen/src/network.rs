//! Who is one caller: an address, or all of an IPv6 network that one household is given.

use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that name the network: whoever has one address of a /64 has all of them
/// (RFC 4291, section 2.5.1; RFC 6177).
const PREFIX: u32 = 64;

/// An IPv4 address, or a /64 of IPv6: what is counted as one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network of `address`. An IPv4 address that is written as IPv6 is that IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(six) if !six.is_loopback() => {
                let bits = six.to_bits() >> (u128::BITS - PREFIX) << (u128::BITS - PREFIX);
                Ipv6Addr::from_bits(bits).into()
            }
            one => one,
        })
    }

    /// Whether it is this machine: a proxy here, or a program that could do worse than to call.
    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_household_is_one_caller() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "::2", false),
        ] {
            assert_eq!(of(one) == of(other), same, "{one} {other}");
        }
        assert!(of("::1").is_loopback() && of("127.0.0.2").is_loopback());
        assert!(of("::ffff:127.0.0.1").is_loopback());
        assert!(!of("2001:db8::1").is_loopback() && !of("192.168.0.1").is_loopback());
    }
}
