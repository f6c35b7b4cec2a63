//! The sockets, with whoever has them open.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::fd::Holder;
use crate::checkpoint::file::{File, What};
use crate::checkpoint::socket::{Queue, TcpQueues, UnixName};
use crate::checkpoint::task::Task;

/// A socket.
#[derive(Clone, Debug, Serialize)]
pub struct Socket<'a> {
    /// What it is.
    #[serde(flatten)]
    pub file: &'a File,
    /// What waits in a unix or netlink socket.
    pub queue: Option<Queue>,
    /// What waits in a TCP connection.
    pub tcp_queues: Option<TcpQueues>,
    /// Whether it is a connection that the listening unix socket, its peer, has not accepted yet.
    pub awaits_accept: bool,
    /// The address of the unix socket it is connected to.
    pub peer_name: Option<&'a UnixName>,
    /// Who has the unix socket it is connected to open; at most 16 of them.
    pub peer_holders: Vec<Holder>,
    /// Who has it open; at most 16 of them.
    pub holders: Vec<Holder>,
    /// How many have it open.
    pub holders_total: usize,
    #[serde(skip)]
    users: String,
}

/// Of those who have a socket open, this many are told; a thousand tasks may share a thousand sockets.
const TOLD: usize = 16;

impl Socket<'_> {
    fn kind(&self) -> String {
        match &self.file.what {
            What::Inet(socket) if socket.family == "inet6" => match socket.kind.as_str() {
                "raw" => format!("raw6 {}", socket.protocol),
                _ if socket.protocol.ends_with('6') => socket.protocol.clone(),
                _ => format!("{}6", socket.protocol),
            },
            What::Inet(socket) => socket.name(),
            What::Unix(socket) => format!("unix {}", socket.kind),
            What::Netlink(_) => "netlink".into(),
            What::Packet(socket) => format!("packet {}", socket.kind),
            _ => String::new(),
        }
    }

    fn state(&self) -> Cell {
        match &self.file.what {
            What::Inet(socket) => Cell::text(&socket.state),
            What::Unix(_) if self.awaits_accept => Cell::text("not accepted"),
            What::Unix(socket) => Cell::text(&socket.state),
            _ => Cell::Empty,
        }
    }

    fn local(&self) -> Cell {
        match &self.file.what {
            What::Inet(socket) => Cell::maybe(socket.local),
            What::Unix(socket) => match &socket.name {
                UnixName::Unnamed => Cell::text(format_args!("inode {}", socket.ino)),
                name if socket.deleted => Cell::text(format_args!("{name} (deleted)")),
                name => Cell::text(name),
            },
            What::Netlink(socket) => Cell::text(format_args!("{} port {}", socket.protocol, socket.portid)),
            What::Packet(socket) => {
                Cell::text(format_args!("protocol {:#06x} interface {}", socket.protocol, socket.ifindex))
            }
            _ => Cell::Empty,
        }
    }

    fn remote(&self) -> Cell {
        match &self.file.what {
            What::Inet(socket) => Cell::maybe(socket.remote),
            What::Unix(socket) if socket.peer == 0 => Cell::Empty,
            What::Unix(socket) => match (self.peer_name, self.peer_holders.first()) {
                (Some(name), _) if *name != UnixName::Unnamed => Cell::text(name),
                (Some(_), Some(holder)) => Cell::text(format_args!("{}/{}", holder.pid, holder.fd)),
                (Some(_), None) => Cell::text(format_args!("inode {}", socket.peer)),
                (None, _) => Cell::Odd(format!("inode {} is not in the dump", socket.peer).into()),
            },
            What::Netlink(socket) if socket.dst_portid != 0 => Cell::text(format_args!("port {}", socket.dst_portid)),
            _ => Cell::Empty,
        }
    }

    fn waiting(&self) -> (Cell, Cell) {
        let size = |bytes: u64| if bytes == 0 { Cell::Empty } else { Cell::Size(bytes) };
        match (self.queue, self.tcp_queues) {
            (_, Some(tcp)) => (size(u64::from(tcp.received)), size(u64::from(tcp.sent))),
            (Some(queue), None) => (size(queue.bytes), Cell::Empty),
            (None, None) => (Cell::Empty, Cell::Empty),
        }
    }
}

impl Row for Socket<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::text("TYPE", 0),
        Column::text("STATE", 1),
        Column::number("RECV", 2),
        Column::number("SEND", 2),
        Column::long("LOCAL", 0),
        Column::long("PEER", 0),
        Column::long("OPEN IN", 1),
    ];

    fn cells(&self) -> Vec<Cell> {
        let (received, sent) = self.waiting();
        let users = match self.users.is_empty() {
            true => Cell::Odd("nobody".into()),
            false => Cell::text(&self.users),
        };
        vec![Cell::text(self.kind()), self.state(), received, sent, self.local(), self.remote(), users]
    }
}

/// The sockets, in the order of the dump.
///
/// Errors: the tasks or files cannot be listed, or `out` ends the question.
pub fn sockets<'d, R>(dump: &'d Checkpoint, out: &mut R) -> Result<()>
where
    R: Rows<Socket<'d>>,
{
    let Listing { items: tasks, problems } = dump.tasks()?;
    out.problems(problems)?;
    let files = dump.files()?;
    out.problems(files.problems.iter().cloned())?;
    out.problems(dump.fd_problems()?.iter().cloned())?;
    out.problems(dump.queue_problems().iter().cloned())?;
    let mut commands = Commands::new(tasks);
    let mut connections: HashMap<u32, Option<TcpQueues>> = HashMap::new();
    let mut is_empty = true;
    for file in files {
        let (queue, tcp_queues, peer) = match &file.what {
            What::Inet(socket) => {
                let queues = match connections.get(&socket.ino) {
                    Some(queues) => *queues,
                    None => out.ok(dump.tcp_queues(socket.ino))?.flatten(),
                };
                connections.insert(socket.ino, queues);
                (None, queues, None)
            }
            What::Unix(socket) => (Some(dump.queue(file)), None, files.unix(socket.peer)),
            What::Netlink(_) => (Some(dump.queue(file)), None, None),
            What::Packet(_) => (None, None, None),
            _ => continue,
        };
        let peer_name = peer.and_then(|peer| match &peer.what {
            What::Unix(socket) => Some(&socket.name),
            _ => None,
        });
        is_empty = false;
        let holders: Vec<Holder> = dump.holders(file)?.take(TOLD).collect();
        out.row(Socket {
            file,
            queue,
            tcp_queues,
            awaits_accept: files.awaits_accept(file),
            peer_name,
            peer_holders: match peer {
                Some(peer) => dump.holders(peer)?.take(TOLD).collect(),
                None => Vec::new(),
            },
            holders_total: dump.holders_total(file)?,
            users: commands.users(&holders),
            holders,
        })?;
    }
    if is_empty { out.note(&dump.why_none("sockets", None)) } else { Ok(()) }
}

/// The commands of tasks, read when first asked for.
struct Commands<'a> {
    tasks: HashMap<u32, Task<'a>>,
    known: HashMap<u32, Name>,
}

impl<'a> Commands<'a> {
    fn new(tasks: Vec<Task<'a>>) -> Self {
        Self { tasks: tasks.into_iter().map(|task| (task.pid(), task)).collect(), known: HashMap::new() }
    }

    fn users(&mut self, holders: &[Holder]) -> String {
        let mut text = String::new();
        for (position, holder) in holders.iter().enumerate() {
            if position == 4 {
                text.push_str(", ...");
                break;
            }
            if position > 0 {
                text.push_str(", ");
            }
            let command = self.known.entry(holder.pid).or_insert_with(|| {
                let core = self.tasks.get(&holder.pid).and_then(|task| task.core().ok().flatten());
                // copied: a name shares the map of its image, and there may be a map for each task
                core.map(|core| Name::from(Bytes::copy_from_slice(core.process.comm.as_bytes()))).unwrap_or_default()
            });
            text.push_str(&format!("{command} {}/{}", holder.pid, holder.fd));
        }
        text
    }
}
