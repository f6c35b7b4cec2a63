//! What differs between the sockets of two dumps.
//!
//! A socket has no name of its own. One of the second dump is that of the first which has the same addresses, of
//! several the one with the same inode or the next in order; else the one that the same task has open under the same
//! number.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use crate::base::Result;
use crate::base::report::{Cell, Column, Row, Rows};
use crate::checkpoint::fd::Holder;
use crate::checkpoint::file::{File, What};
use crate::checkpoint::socket::UnixName;
use crate::view::diff::change::{Change, Facts, Field, text};
use crate::view::diff::facts::Known;
use crate::view::diff::summary::Tally;
use crate::view::diff::{named, of};

/// A socket that differs.
#[derive(Clone, Debug, Serialize)]
pub struct SocketDiff {
    /// What became of it.
    pub change: Change,
    /// What it is in the first dump, in one line; `None` if it is not there.
    pub what: Option<String>,
    /// What it is in the second.
    pub what_b: Option<String>,
    /// Who has it open in the first dump, or else in the second: the first of them.
    pub holder: Option<Holder>,
    /// What differs.
    pub fields: Vec<Field>,
}

impl Row for SocketDiff {
    const COLUMNS: &'static [Column] = &[
        Column::text("SOCKET", 0),
        Column::text("OPEN IN", 1),
        Column::long("WHAT", 0),
        Column::long("DIFFERENCE", 0),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(self.change.name()),
            Cell::maybe(self.holder.map(|holder| format!("{}/{}", holder.pid, holder.fd))),
            Cell::maybe(self.what.as_ref().or(self.what_b.as_ref())),
            Cell::text(text(&self.fields)),
        ]
    }
}

/// A socket of one dump, and what it is known by.
struct Socket<'d> {
    file: &'d File,
    ino: Option<u32>,
    /// Its kind and addresses.
    name: String,
    /// Its kind.
    kind: String,
    /// Who has it open, as the second dump numbers tasks, and as its own does.
    holder: Option<Holder>,
    shown: Option<Holder>,
}

/// Compares the sockets; with `pids` those that one of these tasks of the first dump has open, or of the second.
pub(super) fn sockets<R>(
    (a, b): (&mut Known<'_>, &mut Known<'_>),
    pids: Option<(&[u32], &[u32])>,
    out: &mut impl Rows<R>,
    mut each: impl FnMut(SocketDiff),
) -> Result<Tally> {
    for dump in [a.dump, b.dump] {
        let problems = of(dump, dump.files())?.problems.iter().chain(dump.queue_problems());
        out.problems(problems.map(|error| named(dump, error.clone())))?;
    }
    let these = list(a, pids.map(|(pids, _)| pids))?;
    let those = list(b, pids.map(|(_, pids)| pids))?;
    let mut tally = Tally::default();
    let matches = matches(&these, &those);
    let mut is_matched = vec![false; those.len()];
    for (this, that) in these.iter().zip(matches) {
        let that = that.and_then(|position| {
            if let Some(is_matched) = is_matched.get_mut(position) {
                *is_matched = true;
            }
            those.get(position)
        });
        let (change, fields) = match that {
            None => (Change::Gone, Vec::new()),
            Some(that) => (Change::Changed, facts(a, this)?.against(facts(b, that)?)),
        };
        if change == Change::Changed && fields.is_empty() {
            tally.same = tally.same.saturating_add(1);
            continue;
        }
        tally.count(change);
        each(SocketDiff {
            change,
            what: Some(this.file.what.to_string()),
            what_b: that.map(|that| that.file.what.to_string()),
            holder: this.shown,
            fields,
        });
    }
    for (that, _) in those.iter().zip(is_matched).filter(|(_, is_matched)| !is_matched) {
        tally.count(Change::Added);
        let what_b = Some(that.file.what.to_string());
        each(SocketDiff { change: Change::Added, what: None, what_b, holder: that.shown, fields: Vec::new() });
    }
    Ok(tally)
}

fn facts(known: &mut Known<'_>, socket: &Socket<'_>) -> Result<Facts> {
    let mut facts = Facts::default();
    known.facts(socket.file, &mut facts)?;
    let awaits_accept = known.dump.files()?.awaits_accept(socket.file);
    facts.add("awaits_accept", awaits_accept);
    Ok(facts)
}

fn list<'d>(known: &Known<'d>, pids: Option<&[u32]>) -> Result<Vec<Socket<'d>>> {
    let dump = known.dump;
    let mut found = Vec::new();
    for file in dump.files()? {
        let (ino, kind, name) = match &file.what {
            What::Inet(socket) => {
                let kind = format!("{} {}", socket.family, socket.name());
                let address = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
                (Some(socket.ino), kind, Some(format!("{:?} {:?}", address(socket.local), address(socket.remote))))
            }
            What::Unix(socket) => {
                let name =
                    (socket.name != UnixName::Unnamed).then(|| format!("{:?} {}", socket.name, socket.peer != 0));
                (Some(socket.ino), format!("unix {}", socket.kind), name)
            }
            What::Netlink(socket) => {
                (Some(socket.ino), format!("netlink {}", socket.protocol), Some(socket.portid.to_string()))
            }
            What::Packet(socket) => {
                (None, format!("packet {}", socket.kind), Some(format!("{} {}", socket.protocol, socket.ifindex)))
            }
            _ => continue,
        };
        if let Some(pids) = pids
            && !dump.holders(file)?.any(|holder| pids.contains(&holder.pid))
        {
            continue;
        }
        let shown = dump.holders(file)?.next();
        let holder = shown.map(|holder| known.translated(holder));
        // one without a name is known by who has it
        let name = match (name, holder) {
            (Some(name), _) => name,
            (None, Some(Holder { pid, fd })) => format!("of {pid}/{fd}"),
            (None, None) => String::new(),
        };
        found.push(Socket { file, ino, name: format!("{kind} {name}"), kind, holder, shown });
    }
    Ok(found)
}

/// For each of `these` which of `those` it is.
fn matches(these: &[Socket<'_>], those: &[Socket<'_>]) -> Vec<Option<usize>> {
    let mut found = vec![None; these.len()];
    let mut free: Vec<bool> = vec![true; those.len()];
    let keys: [fn(&Socket<'_>) -> Option<String>; 3] = [
        |socket| Some(format!("{} {}", socket.name, socket.ino?)),
        |socket| Some(socket.name.clone()),
        |socket| socket.holder.map(|holder| format!("{} {}/{}", socket.kind, holder.pid, holder.fd)),
    ];
    for key in keys {
        let mut by_key: HashMap<String, VecDeque<usize>> = HashMap::new();
        for (position, socket) in those.iter().enumerate().filter(|(position, _)| free.get(*position) == Some(&true)) {
            if let Some(key) = key(socket) {
                by_key.entry(key).or_default().push_back(position);
            }
        }
        for (socket, found) in these.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            *found = key(socket).and_then(|key| by_key.get_mut(&key)?.pop_front());
            if let Some(free) = found.and_then(|position| free.get_mut(position)) {
                *free = false;
            }
        }
    }
    found
}
