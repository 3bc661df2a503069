//! The addresses that may connect to a module.
//! It must not look names up: what a name means can be changed by others.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A network, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// With zeros behind the prefix.
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    /// Whether `address` is in it. An IPv4 address that came in an IPv6 one is meant as such.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                masked(own.to_bits().into(), self.prefix_bits, 32)
                    == masked(other.to_bits().into(), self.prefix_bits, 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                masked(own.to_bits(), self.prefix_bits, 128)
                    == masked(other.to_bits(), self.prefix_bits, 128)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let wanted = || {
            "hosts lists addresses and networks, like 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32; names are not looked up"
                .to_owned()
        };
        let given: IpAddr = address.parse().map_err(|_| wanted())?;
        let width = if given.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => width,
            Some(bits)
                if !bits.is_empty()
                    && bits.len() <= 3
                    && bits.bytes().all(|b| b.is_ascii_digit()) =>
            {
                bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(wanted)?
            }
            Some(_) => return Err(wanted()),
        };
        Self { address: given, prefix_bits }.canonical().ok_or_else(|| {
            format!("the address has bits set behind the first {prefix_bits}; write the network or the address alone")
        })
    }
}

impl Network {
    /// Nothing, if there are bits behind the prefix: it is not clear then what is meant.
    fn canonical(self) -> Option<Self> {
        match self.address {
            IpAddr::V4(address) => {
                let bits = u128::from(address.to_bits());
                (masked(bits, self.prefix_bits, 32) == bits).then_some(self)
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                let own = (masked(bits, self.prefix_bits, 128) == bits).then_some(self)?;
                match address.to_ipv4_mapped() {
                    Some(inner) if self.prefix_bits >= MAPPED_BITS => Some(Self {
                        address: inner.into(),
                        prefix_bits: self.prefix_bits - MAPPED_BITS,
                    }),
                    // Peers are compared as IPv4 where they are, so a network that holds both would not match them.
                    _ if own.holds_mapped() => None,
                    _ => Some(own),
                }
            }
        }
    }

    fn holds_mapped(&self) -> bool {
        let IpAddr::V6(own) = self.address else { return false };
        let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0).to_bits();
        self.prefix_bits > 0
            && self.prefix_bits < MAPPED_BITS
            && masked(mapped, self.prefix_bits, 128) == own.to_bits()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix_bits == width {
            return write!(f, "{}", self.address);
        }
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

fn masked(bits: u128, prefix_bits: u32, width: u32) -> u128 {
    let dropped = width - prefix_bits;
    bits.checked_shr(dropped).and_then(|kept| kept.checked_shl(dropped)).unwrap_or(0)
}

/// Bits before the IPv4 address in an IPv6 address that stands for one.
const MAPPED_BITS: u32 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: Network = network.parse().expect("a network");
        network.contains(address.parse().expect("an address"))
    }

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        for (network, address, inside) in [
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::1", "2001:db8::1", true),
            ("::1", "::1", true),
        ] {
            assert_eq!(contains(network, address), inside, "{network} {address}");
        }
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_one_is_the_same() {
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.9"));
        assert!(contains("::ffff:192.0.2.0/120", "192.0.2.9"));
        assert!(contains("::ffff:192.0.2.0/120", "::ffff:192.0.2.9"));
        assert!(!contains("::ffff:192.0.2.0/120", "192.0.3.9"));
        let mapped: Network = "::ffff:192.0.2.1".parse().expect("a network");
        assert_eq!(mapped.to_string(), "192.0.2.1");
    }

    #[test]
    fn whatever_is_not_an_address_is_refused() {
        for text in [
            "",
            "localhost",
            "example.org",
            "192.0.2",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.0/-1",
            "192.0.2.0/+8",
            "192.0.2.0/255.255.255.0",
            "2001:db8::/129",
            "192.0.2.1/24",
            "/24",
            "*",
            "192.0.2.1 ",
            "[::1]",
            "::ffff:0:0/95",
            "2001:db8::1/32",
            "192.0.2.0/024x",
            "fe80::1%eth0",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
