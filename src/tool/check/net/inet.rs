//! Internet sockets, and the image that each connection has.

use crate::base::Result;
use crate::image::Kind;
use crate::object::Look;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::net::Context;
use crate::tool::check::spot::Spot;

const INETSK: i32 = 4;
const TCP: u64 = 6;
const LISTEN: u64 = 10;

/// Families, and the least and the most words of an address: v0.1 had four of any.
const FAMILIES: [(u64, usize, usize); 2] = [(2, 1, usize::MAX), (10, 4, 4)];

/// Types: stream, dgram, raw.
const TYPES: [u64; 3] = [1, 2, 3];

/// The inode of a TCP socket that is connected: it has an image of its own.
pub(super) fn connection(file_type: i32, part: &Look<'_>) -> Option<u32> {
    let is_tcp = file_type == INETSK && part.number("proto") == Some(TCP);
    let is_connected = is_tcp && part.number("dst_port").is_some_and(|port| port != 0);
    if is_connected { part.word("ino") } else { None }
}

pub(super) fn look(
    context: &Context<'_>,
    _: u32,
    spot: Spot<'_>,
    part: &Look<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let mut wrong = |field: &str, what: String, advice: &str| {
        findings.add(spot.field(field, Finding::error("inet-socket", what).advice(advice)))
    };
    let refuses = "CRIU refuses to restore it";
    if let Some(kind) = part.number("type").filter(|kind| !TYPES.contains(kind)) {
        wrong("type", format!("expected a socket of type 1 (stream), 2 (dgram) or 3 (raw), found {kind}"), refuses)?;
    }
    let family = part.number("family").unwrap_or(0);
    match FAMILIES.iter().find(|(known, ..)| *known == family) {
        None => wrong("family", format!("expected family 2 (inet) or 10 (inet6), found {family}"), refuses)?,
        Some((_, least, most)) => {
            for field in ["src_addr", "dst_addr"] {
                let words = part.numbers(field).count();
                if words < *least || words > *most {
                    wrong(field, format!("expected an address of {least} words, found {words}"), refuses)?;
                }
            }
        }
    }
    for field in ["src_port", "dst_port"] {
        // a raw socket has the number of its protocol there
        if let Some(port) = part.number(field).filter(|port| *port > u64::from(u16::MAX)) {
            wrong(field, format!("expected a port below 65536, found {port}"), "the port is cut to 16 bits")?;
        }
    }
    let (state, proto) = (part.number("state").unwrap_or(0), part.number("proto").unwrap_or(0));
    if state == LISTEN && proto != TCP {
        wrong("state", format!("expected only TCP sockets to listen, found protocol {proto}"), refuses)?;
    }
    if state == 0 || state > 12 {
        wrong("state", format!("expected a state of TCP, from 1 to 12, found {state}"), refuses)?;
    }
    match connection(INETSK, part) {
        Some(ino) if !context.tcp_close && !context.subject.dump.has(Kind::TcpStream, u64::from(ino)) => {
            let name = Kind::TcpStream.file_name(u64::from(ino)).unwrap_or_default();
            let what = format!("expected the state of the connection in {name}, found no such image");
            let advice = "CRIU cannot restore the connection; with --tcp-close it is restored closed";
            findings.add(spot.field("ino", Finding::error("tcp-stream-missing", what).advice(advice)))
        }
        _ => Ok(()),
    }
}
