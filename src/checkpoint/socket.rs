//! Sockets: unix, internet, netlink, packet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Serialize, Serializer};

use crate::base::Name;
use crate::checkpoint::names;
use crate::object::v1;

/// An internet socket.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct InetSocket {
    /// Its inode.
    pub ino: u32,
    /// `inet` or `inet6`, else the number.
    pub family: String,
    /// `stream`, `dgram`...
    #[serde(rename = "socket_type")]
    pub kind: String,
    /// `tcp`, `udp`...
    pub protocol: String,
    /// `established`, `listen`, `unconnected`...
    pub state: String,
    /// Its own address; `None` where the dump has none. The port of a raw socket is the number of its protocol.
    pub local: Option<SocketAddr>,
    /// Where it is connected to.
    pub remote: Option<SocketAddr>,
    /// How many may wait to be accepted.
    pub backlog: u32,
    /// Whether it serves IPv6 alone.
    pub v6only: bool,
    /// The device it is bound to.
    pub ifname: Option<Name>,
    /// Its network namespace.
    pub ns_id: Option<u32>,
    /// Directions that are shut: `read`, `write`, `both`.
    pub shutdown: Option<&'static str>,
}

/// A unix socket.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct UnixSocket {
    /// Its inode.
    pub ino: u32,
    /// `stream`, `dgram`, `seqpacket`.
    #[serde(rename = "socket_type")]
    pub kind: String,
    /// `established`, `listen`, `closed`, `unconnected`.
    pub state: String,
    /// Its address.
    pub name: UnixName,
    /// Its address as images have it: an abstract name behind a NUL, a path before one.
    #[serde(skip)]
    pub stored_name: Name,
    /// The directory that a relative address is meant from.
    pub name_dir: Option<Name>,
    /// Inode of the socket it is connected to; 0 is none.
    pub peer: u32,
    /// How many may wait to be accepted.
    pub backlog: u32,
    /// Whether its path no longer leads to it.
    pub deleted: bool,
    /// Whether it belongs to a process that was not dumped: one end of a connection to the outside.
    #[serde(skip)]
    pub is_outside: bool,
    /// Its network namespace.
    pub ns_id: Option<u32>,
    /// Directions that are shut: `read`, `write`, `both`.
    pub shutdown: Option<&'static str>,
}

/// The address of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixName {
    /// It has none.
    Unnamed,
    /// A path.
    Path(Name),
    /// A name that no file system has, without the NUL in front. NULs at its end are part of it.
    Abstract(Name),
}

/// A netlink socket.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NetlinkSocket {
    /// Its inode.
    pub ino: u32,
    /// `route`, `kobject_uevent`...
    pub protocol: String,
    /// Its own port.
    pub portid: u32,
    /// Multicast groups it is in, as words of bits.
    pub groups: Vec<u32>,
    /// The port it is connected to.
    pub dst_portid: u32,
    /// Its network namespace.
    pub ns_id: Option<u32>,
}

/// A packet socket.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PacketSocket {
    /// `raw`, `dgram`, `packet`.
    #[serde(rename = "socket_type")]
    pub kind: String,
    /// The Ethernet protocol that it takes, such as 0x0800; 3 is all.
    pub protocol: u16,
    /// Number of the network device; 0 is all.
    pub ifindex: u32,
    /// Its network namespace.
    pub ns_id: Option<u32>,
}

/// What waits in a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Packets, or pieces of a stream.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Descriptors on their way.
    pub descriptors: u64,
}

/// What waits in a TCP connection, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TcpQueues {
    /// Received, not yet read.
    pub received: u32,
    /// Written, not yet acknowledged.
    pub sent: u32,
    /// Of these: not yet sent.
    pub unsent: u32,
}

fn shutdown(value: Option<v1::SkShutdown>) -> Option<&'static str> {
    match value? {
        v1::SkShutdown::None => None,
        v1::SkShutdown::Read => Some("read"),
        v1::SkShutdown::Write => Some("write"),
        v1::SkShutdown::Both => Some("both"),
    }
}

/// The kernel calls a socket that is not connected closed; only one for streams may have been.
fn state(kind: u32, state: u32) -> String {
    const DGRAM: u32 = 2;
    const RAW: u32 = 3;
    match (kind, state) {
        (DGRAM | RAW, 7) => "unconnected".to_owned(),
        _ => names::code_or_number(u64::from(state), names::SOCKET_STATES),
    }
}

/// An address whose words are in the order of the network.
fn address(words: &[u32], port: u32) -> Option<SocketAddr> {
    let port = u16::try_from(port).ok()?;
    let ip = match words {
        [v4] => IpAddr::V4(Ipv4Addr::from(v4.to_le_bytes())),
        [a, b, c, d, ..] => {
            let mut bytes = [0; 16];
            for (to, word) in bytes.chunks_exact_mut(4).zip([a, b, c, d]) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

impl InetSocket {
    /// What people call it: `tcp`, `udp`; `raw tcp` for one that takes the protocol's packets as they are.
    pub fn name(&self) -> String {
        match self.kind.as_str() {
            "raw" => format!("raw {}", self.protocol),
            _ => self.protocol.clone(),
        }
    }

    pub(crate) fn new(entry: &v1::InetSkEntry) -> Self {
        let is_connected = entry.dst_port != 0;
        Self {
            ino: entry.ino,
            family: match entry.family {
                2 => "inet".to_owned(),
                10 => "inet6".to_owned(),
                other => other.to_string(),
            },
            kind: names::code_or_number(u64::from(entry.r#type), names::SOCKET_TYPES),
            protocol: names::code_or_number(u64::from(entry.proto), names::PROTOCOLS),
            state: state(entry.r#type, entry.state),
            local: address(&entry.src_addr, entry.src_port),
            remote: address(&entry.dst_addr, entry.dst_port).filter(|_| is_connected),
            backlog: entry.backlog,
            v6only: entry.v6only.unwrap_or(false),
            ifname: entry.ifname.clone().map(Name::from),
            ns_id: entry.ns_id,
            shutdown: shutdown(entry.shutdown.and_then(|value| value.try_into().ok())),
        }
    }
}

/// Of the flags of a unix socket: it is another process's.
const USK_EXTERN: u32 = 1;

impl UnixSocket {
    pub(crate) fn new(entry: &v1::UnixSkEntry) -> Self {
        Self {
            ino: entry.ino,
            kind: names::code_or_number(u64::from(entry.r#type), names::SOCKET_TYPES),
            state: state(entry.r#type, entry.state),
            name: UnixName::new(&entry.name),
            stored_name: entry.name.clone().into(),
            name_dir: entry.name_dir.clone().map(Name::from),
            peer: entry.peer,
            backlog: entry.backlog,
            deleted: entry.deleted.unwrap_or(false),
            is_outside: entry.uflags & USK_EXTERN != 0,
            ns_id: entry.ns_id,
            shutdown: shutdown(entry.shutdown.and_then(|value| value.try_into().ok())),
        }
    }
}

impl UnixName {
    fn new(name: &bytes::Bytes) -> Self {
        match name.split_first() {
            None => Self::Unnamed,
            Some((0, rest)) => Self::Abstract(name.slice_ref(rest).into()),
            // the NUL that ends a path is stored with it
            Some(_) => Self::Path(name.slice_ref(name.strip_suffix(b"\0").unwrap_or(name)).into()),
        }
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str("unnamed"),
            Self::Path(path) => write!(f, "{path}"),
            Self::Abstract(name) => {
                // programs often bind the whole buffer
                let bytes = name.as_bytes();
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
                let zeros = bytes.len().saturating_sub(end);
                f.write_str("@")?;
                match bytes.get(..end) {
                    Some(text) if zeros > 3 => {
                        crate::base::name::escape(text, f)?;
                        write!(f, "\\x00{{{zeros}}}")
                    }
                    _ => write!(f, "{name}"),
                }
            }
        }
    }
}

impl Serialize for UnixName {
    /// As `{"path": ...}`, `{"abstract": ...}`, or null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unnamed => serializer.serialize_none(),
            Self::Path(name) => serializer.serialize_newtype_variant("UnixName", 0, "path", name),
            Self::Abstract(name) => serializer.serialize_newtype_variant("UnixName", 1, "abstract", name),
        }
    }
}

impl fmt::Display for InetSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(local) = self.local {
            write!(f, " {local}")?;
        }
        if let Some(remote) = self.remote {
            write!(f, " -> {remote}")?;
        }
        write!(f, " {}", self.state)
    }
}

impl fmt::Display for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix {}", self.kind)?;
        if self.name != UnixName::Unnamed {
            write!(f, " {}", self.name)?;
        }
        if self.deleted {
            f.write_str(" (deleted)")?;
        }
        write!(f, " {}", self.state)
    }
}

impl PacketSocket {
    pub(crate) fn new(entry: &v1::PacketSockEntry) -> Self {
        // the low half has the bytes in the order of the network
        let [a, b, ..] = entry.protocol.to_le_bytes();
        Self {
            kind: names::code_or_number(u64::from(entry.r#type), names::SOCKET_TYPES),
            protocol: u16::from(a) << 8 | u16::from(b),
            ifindex: entry.ifindex,
            ns_id: entry.ns_id,
        }
    }
}

impl NetlinkSocket {
    pub(crate) fn new(entry: &v1::NetlinkSkEntry) -> Self {
        Self {
            ino: entry.ino,
            protocol: names::code_or_number(u64::from(entry.protocol), names::NETLINK),
            portid: entry.portid,
            groups: entry.groups.clone(),
            dst_portid: entry.dst_portid,
            ns_id: entry.ns_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(name: &'static [u8]) -> String {
        UnixName::new(&bytes::Bytes::from_static(name)).to_string()
    }

    #[test]
    fn names_of_unix_sockets() {
        assert_eq!(unix(b""), "unnamed");
        assert_eq!(unix(b"/run/x\0"), "/run/x");
        assert_eq!(unix(b"\0abs=\xc3\xa9\0\x1b\xff"), "@abs=\u{e9}\\x00\\x1b\\xff");
        assert_eq!(unix(b"\0a\0\0\0\0"), "@a\\x00{4}");
        assert_eq!(unix(b"\0"), "@");
    }

    #[test]
    fn addresses() {
        assert_eq!(address(&[16_777_343], 80).unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(address(&[0, 0, 0, 0x0100_0000], 1).unwrap().to_string(), "[::1]:1");
        assert_eq!(address(&[1, 2], 1), None);
        assert_eq!(address(&[1], 65536), None);
    }
}
