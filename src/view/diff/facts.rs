//! The facts of an open file that can be compared between dumps.
//!
//! Numbers that the kernel or CRIU gives anew are left out: inodes, ids of mounts, namespaces, terminals. A dump of a
//! restored process has others, though nothing differs. What they lead to is compared instead: the path, and who has
//! the other end.

use std::collections::HashMap;

use serde_json::Value;

use crate::base::Result;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::fd::Holder;
use crate::checkpoint::file::{File, FileType, What};
use crate::checkpoint::socket::{TcpQueues, UnixName};
use crate::view::diff::change::Facts;

/// Members that are such numbers.
const GIVEN: [&str; 10] =
    ["ino", "inode", "inode_id", "pipe_id", "peer", "mnt_id", "ns_id", "shmid", "tty_info_id", "map_id"];

/// Members that number tasks.
const PIDS: [&str; 3] = ["pid", "sid", "pgrp"];

/// Of those who have another end, this many are compared; beyond, only how many.
const TOLD: usize = 16;

/// One dump's files, with what is found once for many descriptors.
pub(super) struct Known<'d> {
    pub(super) dump: &'d Checkpoint,
    /// What a task's number is in the second dump; the number itself, asked of the second dump.
    translate: Box<dyn Fn(u32) -> u32 + 'd>,
    ends: HashMap<(FileType, u32, bool), (Vec<Holder>, usize)>,
    tcp: HashMap<u32, Option<TcpQueues>>,
}

impl<'d> Known<'d> {
    pub(super) fn new(dump: &'d Checkpoint, translate: impl Fn(u32) -> u32 + 'd) -> Self {
        Self { dump, translate: Box::new(translate), ends: HashMap::new(), tcp: HashMap::new() }
    }

    /// A holder with the task's number in the second dump.
    pub(super) fn translated(&self, holder: Holder) -> Holder {
        Holder { pid: (self.translate)(holder.pid), fd: holder.fd }
    }

    /// Adds what can be compared of a file.
    ///
    /// Errors: the tasks cannot be listed.
    pub(super) fn facts(&mut self, file: &File, facts: &mut Facts) -> Result<()> {
        facts.add("type", file.file_type);
        facts.add("flags", file.flags);
        if let Ok(Value::Object(members)) = serde_json::to_value(&file.what) {
            for members in members.into_iter().map(|(_, members)| members) {
                let mut pids = Vec::new();
                facts.add_all(pruned(members, &mut pids), &|key, value| match (key, value) {
                    ("remap", Value::Object(remap)) => remap.keys().next().map(|how| how.as_str().into()),
                    (_, value) => Some(value),
                });
                for (name, pid) in pids {
                    let compared = u32::try_from(pid).map(|pid| (self.translate)(pid)).ok();
                    facts.add_as(name, pid, compared);
                }
            }
        }
        if let Some(data) = self.dump.pipe_data(file) {
            facts.add("pipe_data", data.bytes);
        }
        match &file.what {
            What::Unix(_) | What::Netlink(_) => {
                let queue = self.dump.queue(file);
                facts.add_all(queue, &|_, value| Some(value));
            }
            What::Inet(socket) => {
                if let Some(queues) = self.tcp(socket.ino) {
                    facts.add_all(queues, &|_, value| Some(value));
                }
            }
            _ => {}
        }
        let (holders, total) = self.other_end(file)?;
        if total > 0 {
            let translated: Vec<Holder> = holders.iter().map(|holder| self.translated(*holder)).collect();
            facts.add_as("other_end", &holders, &translated);
            facts.add("other_end_total", total);
        }
        if let Some(peer) = self.peer_name(file)? {
            facts.add("peer_name", peer);
        }
        Ok(())
    }

    fn tcp(&mut self, ino: u32) -> Option<TcpQueues> {
        let dump = self.dump;
        *self.tcp.entry(ino).or_insert_with(|| dump.tcp_queues(ino).ok().flatten())
    }

    /// The address of the unix socket it is connected to.
    fn peer_name(&self, file: &File) -> Result<Option<&'d UnixName>> {
        let What::Unix(socket) = &file.what else { return Ok(None) };
        Ok(self.dump.files()?.unix(socket.peer).and_then(|peer| match &peer.what {
            What::Unix(peer) => Some(&peer.name),
            _ => None,
        }))
    }

    /// Who has the other end of a pipe or unix socket: some of them, and how many.
    fn other_end(&mut self, file: &File) -> Result<(Vec<Holder>, usize)> {
        let files = self.dump.files()?;
        let writes = |file: &File| file.flags.is_some_and(|flags| flags.is_writable());
        let key = match &file.what {
            What::Unix(socket) if socket.peer != 0 => (file.file_type, socket.peer, false),
            what => match what.pipe_id() {
                Some(pipe) => (file.file_type, pipe, !writes(file)),
                None => return Ok((Vec::new(), 0)),
            },
        };
        if let Some(known) = self.ends.get(&key) {
            return Ok(known.clone());
        }
        let (mut holders, mut total) = (Vec::new(), 0usize);
        let mut take = |other: &File| -> Result<()> {
            total = total.saturating_add(self.dump.holders_total(other)?);
            let room = TOLD.saturating_sub(holders.len());
            holders.extend(self.dump.holders(other)?.take(room));
            Ok(())
        };
        match &file.what {
            What::Unix(socket) => files.unix(socket.peer).map_or(Ok(()), &mut take)?,
            _ => files.ends(file).filter(|other| writes(other) == key.2).try_for_each(&mut take)?,
        }
        self.ends.insert(key, (holders.clone(), total));
        Ok((holders, total))
    }
}

/// A value without the numbers that are given anew; those of tasks go to `pids`.
fn pruned(value: Value, pids: &mut Vec<(&'static str, u64)>) -> Value {
    match value {
        Value::Object(members) => {
            let mut kept = serde_json::Map::new();
            for (key, value) in members {
                match (PIDS.iter().find(|pid| **pid == key.as_str()), value.as_u64()) {
                    (Some(name), Some(number)) => pids.push((*name, number)),
                    _ if GIVEN.contains(&key.as_str()) => {}
                    _ => {
                        kept.insert(key, pruned(value, pids));
                    }
                }
            }
            kept.into()
        }
        Value::Array(items) => items.into_iter().map(|item| pruned(item, pids)).collect(),
        other => other,
    }
}
