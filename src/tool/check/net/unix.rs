//! Unix sockets: names, states, and who is connected to whom.

use std::collections::{HashMap, HashSet};

use crate::base::Result;
use crate::checkpoint::file::FileType;
use crate::checkpoint::roll::FileImage;
use crate::object::Look;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::net::Context;
use crate::tool::check::spot::{self, Spot};

const UNIXSK: FileType = FileType(5);

/// Types: stream, dgram, raw (which the kernel takes for dgram), seqpacket.
const TYPES: [u64; 4] = [1, 2, 3, 5];
const STREAM: u64 = 1;
const DGRAM: u64 = 2;
const SEQPACKET: u64 = 5;
const LISTEN: u64 = 10;

/// In CRIU's flags of a socket: it is not in the dump, but found again outside. Its other fields are made up.
const OUTSIDE: u64 = 1 | 1 << 2 | 1 << 3;

/// Bytes of the longest name.
const NAME: usize = 108;

/// What rules need of other sockets than the one they look at.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    by_ino: HashMap<u32, Other>,
    /// Inodes of those that are not in the dump.
    outside: HashSet<u32>,
    /// By number of the file: whether anybody is connected to it, or may send to it.
    pub(super) ids: HashSet<u32>,
    /// Abstract names that more than one socket listens on: namespace, type, name.
    twice: HashSet<(u64, u64, Vec<u8>)>,
}

fn is_outside(part: &Look<'_>) -> bool {
    part.number("uflags").is_some_and(|flags| flags & OUTSIDE != 0)
}

/// What rules need of the other end.
#[derive(Clone, Copy, Debug)]
struct Other {
    kind: u64,
    state: u64,
    peer: u32,
}

/// What the kernel finds a socket by: nobody else in the namespace may be bound to it.
fn address(part: &Look<'_>) -> Option<(u64, u64, Vec<u8>)> {
    let (kind, state) = (part.number("type")?, part.number("state")?);
    // an accepted connection has the name of the socket that listens
    let is_bound = state == LISTEN || kind == DGRAM;
    let name = part.bytes("name").filter(|name| is_bound && name.first() == Some(&0) && name.len() <= NAME)?;
    Some((part.number("ns_id").unwrap_or(0), kind, name.to_vec()))
}

impl Sockets {
    pub(super) fn read(files: &[FileImage]) -> Result<Self> {
        let mut sockets = Self::default();
        let mut names = HashSet::new();
        for images in files {
            spot::each(&images.image, |_, look, _| {
                let Some((UNIXSK, id, Some((_, part)))) = images.part(look) else { return Ok(()) };
                sockets.ids.insert(id);
                if is_outside(&part) {
                    sockets.outside.extend(part.word("ino"));
                    return Ok(());
                }
                if let Some(ino) = part.word("ino") {
                    let (kind, state) = (part.number("type").unwrap_or(0), part.number("state").unwrap_or(0));
                    sockets.by_ino.insert(ino, Other { kind, state, peer: part.word("peer").unwrap_or(0) });
                }
                if let Some(address) = address(&part)
                    && !names.insert(address.clone())
                {
                    sockets.twice.insert(address);
                }
                Ok(())
            })?;
        }
        Ok(sockets)
    }
}

pub(super) fn look(
    context: &Context<'_>,
    _: u32,
    spot: Spot<'_>,
    part: &Look<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    if is_outside(part) {
        return Ok(());
    }
    let mut wrong = |rule: &'static str, field: &str, what: String, advice: &str| {
        findings.add(spot.field(field, Finding::error(rule, what).advice(advice)))
    };
    let refuses = "CRIU refuses to restore it";
    let (kind, state) = (part.number("type").unwrap_or(0), part.number("state").unwrap_or(0));
    let name = part.bytes("name").unwrap_or_default();
    if !TYPES.contains(&kind) {
        let what = format!("expected a socket of type 1 (stream), 2 (dgram) or 5 (seqpacket), found {kind}");
        wrong("unix-socket", "type", what, refuses)?;
    }
    if name.len() > NAME {
        let what = format!("expected a name of at most {NAME} bytes, found {}", name.len());
        wrong("unix-name", "name", what, refuses)?;
    }
    if part.flag("deleted") && name.first().is_none_or(|first| *first == 0) {
        let what = "expected the path that was deleted, found none".to_owned();
        wrong("unix-name", "name", what, refuses)?;
    }
    if state == LISTEN && name.is_empty() {
        let what = "expected the name that the socket listens on, found none".to_owned();
        wrong("unix-listen", "name", what, "the kernel lets only sockets with a name listen")?;
    }
    if state == LISTEN && kind == DGRAM {
        let what = "expected a socket with connections to listen, found one of type 2 (dgram)".to_owned();
        wrong("unix-listen", "state", what, "the kernel refuses it")?;
    }
    if address(part).is_some_and(|address| context.unix.twice.contains(&address)) {
        let what = "expected one socket bound to the abstract name, found several".to_owned();
        wrong("unix-name-twice", "name", what, "the kernel binds only the first")?;
    }
    let Some(ino) = part.word("peer").filter(|peer| *peer != 0 && !context.unix.outside.contains(peer)) else {
        return Ok(());
    };
    let Some(other) = context.unix.by_ino.get(&ino) else {
        let what = format!("expected socket {ino}, which it is connected to, found none");
        return wrong("unix-peer-missing", "peer", what, "CRIU refuses the dump: the entry of the peer is lost");
    };
    if other.kind != kind {
        let what = format!("expected a peer of its own type, {kind}, found one of type {}", other.kind);
        return wrong("unix-peer-type", "peer", what, "the kernel connects only sockets of one type");
    }
    // anybody may send datagrams to a socket, and who listens has not accepted the connection yet
    let is_mutual = Some(other.peer) == part.word("ino") || other.state == LISTEN;
    if matches!(kind, STREAM | SEQPACKET) && !is_mutual {
        let what =
            format!("expected socket {ino}, its peer, to be connected to it, found it connected to {}", other.peer);
        return wrong("unix-peer-back", "peer", what, "CRIU cannot connect to a socket that does not listen");
    }
    Ok(())
}
