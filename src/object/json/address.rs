//! Internet addresses in words, as V1 keeps them: each word in network order, read as a number of the host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address in these words: one is IPv4, four are IPv6. `None` for any other number of words.
///
/// IPv6 is compressed as Python does it: the first longest run of at least two zeros, never a dotted tail.
pub(crate) fn text(words: &[u32]) -> Option<String> {
    match words {
        [word] => Some(Ipv4Addr::from(word.to_le_bytes()).to_string()),
        [_, _, _, _] => {
            let mut parts = [0u16; 8];
            for (pair, word) in parts.chunks_exact_mut(2).zip(words) {
                let [a, b, c, d] = word.to_le_bytes();
                pair.copy_from_slice(&[u16::from(a) << 8 | u16::from(b), u16::from(c) << 8 | u16::from(d)]);
            }
            Some(compressed(&parts))
        }
        _ => None,
    }
}

fn compressed(parts: &[u16; 8]) -> String {
    let mut longest = (0, 0);
    let mut run = (0, 0);
    for (position, &part) in parts.iter().enumerate() {
        run = match (part, run.1) {
            (0, 0) => (position, 1),
            (0, length) => (run.0, length + 1),
            _ => (0, 0),
        };
        if run.1 > longest.1 {
            longest = run;
        }
    }
    let hex = |parts: &[u16]| parts.iter().map(|part| format!("{part:x}")).collect::<Vec<_>>().join(":");
    match longest {
        (start, length @ 2..) => {
            let head = parts.get(..start).unwrap_or_default();
            let tail = parts.get(start + length..).unwrap_or_default();
            format!("{}::{}", hex(head), hex(tail))
        }
        _ => hex(parts),
    }
}

/// The words of an address; `None` if `text` is none.
pub(crate) fn words(text: &str) -> Option<Vec<u32>> {
    Some(match text.parse().ok()? {
        IpAddr::V4(address) => vec![u32::from_le_bytes(address.octets())],
        IpAddr::V6(address) => {
            let octets = Ipv6Addr::octets(&address);
            octets.chunks_exact(4).filter_map(|word| Some(u32::from_le_bytes(word.try_into().ok()?))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_writes_them() {
        let cases: [(&[u32], &str); 6] = [
            (&[16_777_343], "127.0.0.1"),
            (&[0, 0, 0, 0x0100_0000], "::1"),
            (&[0, 0, 0, 0], "::"),
            (&[0xb80d_0120, 0, 0, 0x0100_0000], "2001:db8::1"),
            (&[0, 0, 0xffff_0000, 0x0100_007f], "::ffff:7f00:1"),
            (&[0x0000_0100, 0x0000_0200, 0x0000_0300, 0x0000_0400], "1:0:2:0:3:0:4:0"),
        ];
        for (numbers, expected) in cases {
            assert_eq!(text(numbers).as_deref(), Some(expected));
            assert_eq!(words(expected).as_deref(), Some(numbers));
        }
        assert_eq!(text(&[1, 2]), None);
        assert_eq!(words("localhost"), None);
    }
}
