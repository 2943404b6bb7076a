//! Which addresses count, and which count as one.

use std::net::{IpAddr, Ipv6Addr};

/// Addresses from which no client comes over the Internet: most likely a proxy's.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let carrier = a == 100 && b & 0xc0 == 64;
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || carrier
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
    }
}

/// What one subscriber has: an address, or a /64 of IPv6.
pub(super) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// Whether two addresses count as one.
pub(crate) fn is_same_place(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    one.zip(other).is_some_and(|(one, other)| subscriber(one) == subscriber(other))
}

#[cfg(test)]
mod tests {
    use super::{is_private, subscriber};

    #[test]
    fn addresses_that_are_most_likely_a_proxys_are_told_from_clients() {
        for proxy in [
            "127.0.0.1",
            "::1",
            "10.2.3.4",
            "192.168.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(proxy.parse().unwrap()), "{proxy}");
        }
        for client in ["8.8.8.8", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_private(client.parse().unwrap()), "{client}");
        }
    }

    #[test]
    fn the_addresses_of_one_ipv6_subscriber_count_as_one() {
        let key = |text: &str| subscriber(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2:ffff::"));
        assert_ne!(key("2001:db8:1:2::"), key("2001:db8:1:3::"));
        assert_eq!(key("::ffff:8.8.8.8"), key("8.8.8.8"));
    }
}
