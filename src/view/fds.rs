//! The descriptors of tasks, and what each leads to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::fd::{Fd, Holder};
use crate::checkpoint::file::{File, FileType, What};
use crate::checkpoint::pipe::{Fifo, PipeData, PipeEnd};
use crate::checkpoint::socket::{Queue, TcpQueues};
use crate::checkpoint::task::Task;
use crate::checkpoint::watch::{Epoll, EpollTarget};

/// A descriptor, or another way a task holds a file.
#[derive(Clone, Debug, Serialize)]
pub struct FdRow<'a> {
    /// The task.
    pub pid: u32,
    /// Its command.
    pub comm: Name,
    /// How it holds the file.
    pub role: Role,
    /// The descriptor; `None` for another role.
    pub fd: Option<u32>,
    /// Whether it closes when the task executes another program.
    pub cloexec: bool,
    /// Type of the file.
    pub file_type: FileType,
    /// Number of the file.
    pub id: u32,
    /// The file; `None` if the dump lacks it.
    pub file: Option<&'a File>,
    /// What is in the pipe or fifo.
    pub pipe_data: Option<PipeData>,
    /// What waits in the unix or netlink socket.
    pub queue: Option<Queue>,
    /// What waits in the TCP connection.
    pub tcp_queues: Option<TcpQueues>,
    /// Whether it is a connection that the listening unix socket at its other end has not accepted yet.
    pub awaits_accept: bool,
    /// Who has the other end of the pipe, or the socket it is connected to; at most 16 of them.
    pub other_end: Vec<Holder>,
    /// How many have the other end.
    pub other_end_total: usize,
    /// What an epoll waits for: the descriptors that the task has under the numbers of its targets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<Awaited>,
}

/// A descriptor that an epoll waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Awaited {
    /// Its number.
    pub fd: u32,
    /// Type of the file it leads to; `None` if the task has no such descriptor any more.
    pub file_type: Option<FileType>,
    /// Number of that file.
    pub id: Option<u32>,
    /// That file in one line.
    pub what: Option<String>,
}

/// How a task holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// By a descriptor.
    Descriptor,
    /// As its working directory.
    Cwd,
    /// As its root.
    Root,
}

/// Of those who have the other end, this many are told: a thousand tasks may share a pipe, and each has a row.
const TOLD: usize = 16;

impl FdRow<'_> {
    fn what(&self) -> Cell {
        let Some(file) = self.file else {
            return Cell::Odd(format!("{} {} is not in the dump", self.file_type, self.id).into());
        };
        let mut text = file.what.to_string();
        let arrow = match (&file.what, file.flags) {
            (What::Pipe(_) | What::Fifo(_), Some(flags)) if flags.access() == "rw" => "<->",
            (What::Pipe(_) | What::Fifo(_), Some(flags)) if flags.is_writable() => "->",
            (What::Pipe(_) | What::Fifo(_), _) => "<-",
            (What::Unix(_), _) if self.awaits_accept => "->",
            (What::Unix(_), _) => "<->",
            _ => "",
        };
        for (position, holder) in self.other_end.iter().take(4).enumerate() {
            let before = if position == 0 { format!(" {arrow} ") } else { ", ".to_owned() };
            text.push_str(&format!("{before}{}/{}", holder.pid, holder.fd));
        }
        if self.other_end_total == 0 && matches!(file.what, What::Pipe(_)) {
            text.push_str(&format!(" {arrow} nobody"));
        }
        if self.other_end_total > 4 {
            text.push_str(&format!(" and {} more", self.other_end_total.saturating_sub(4)));
        }
        if self.awaits_accept {
            text.push_str(", not accepted yet");
        }
        if let Some(tcp) = self.tcp_queues {
            for (bytes, what) in [(tcp.received, "wait"), (tcp.sent, "not acknowledged")] {
                if bytes > 0 {
                    text.push_str(&format!(", {bytes} bytes {what}"));
                }
            }
        }
        match (self.pipe_data, self.queue) {
            (Some(PipeData { bytes, .. }), _) if bytes > 0 => text.push_str(&format!(", {bytes} bytes in it")),
            (_, Some(queue)) if queue.packets > 0 => {
                let plural = if queue.packets == 1 { "" } else { "s" };
                text.push_str(&format!(", {} bytes in {} packet{plural} wait", queue.bytes, queue.packets));
            }
            _ => {}
        }
        Cell::Text(text.into())
    }
}

impl Row for FdRow<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::number("PID", 0),
        Column::long("COMMAND", 3),
        Column::number("FD", 0),
        Column::text("TYPE", 1),
        Column::text("MODE", 2),
        Column::number("POS", 4),
        Column::long("WHAT", 0),
        Column::long("FLAGS", 5),
    ];

    fn cells(&self) -> Vec<Cell> {
        let flags = self.file.and_then(|file| file.flags);
        let pos = match self.file.map(|file| &file.what) {
            Some(What::Regular(file)) if self.role == Role::Descriptor => Some(file.pos),
            Some(What::Memfd(memfd)) => Some(memfd.pos),
            _ => None,
        };
        let mut words = flags.map(|flags| flags.names()).unwrap_or_default();
        words.retain(|word| word != "largefile");
        words.extend(self.cloexec.then(|| "cloexec".to_owned()));
        vec![
            Cell::text(self.pid),
            Cell::text(&self.comm),
            match (self.role, self.fd) {
                (Role::Descriptor, Some(fd)) => Cell::text(fd),
                (Role::Root, _) => Cell::text("root"),
                (_, _) => Cell::text("cwd"),
            },
            Cell::text(self.file_type.to_string().to_lowercase()),
            Cell::maybe(flags.filter(|_| self.role == Role::Descriptor).map(|flags| flags.access())),
            Cell::maybe(pos),
            self.what(),
            Cell::text(words.join(",")),
        ]
    }
}

/// What one task, or each, has open; and its working directory and root.
///
/// Errors: the tasks or files cannot be listed, there is no such task, or `out` ends the question.
pub fn fds<'d, R>(dump: &'d Checkpoint, pid: Option<u32>, out: &mut R) -> Result<()>
where
    R: Rows<FdRow<'d>>,
{
    let Listing { items: tasks, problems } = dump.tasks_or_one(pid)?;
    out.problems(problems)?;
    out.problems(dump.files()?.problems.iter().cloned())?;
    out.problems(dump.fd_problems()?.iter().cloned())?;
    out.problems(dump.queue_problems().iter().cloned())?;
    let mut ends = Ends { dump, known: HashMap::new(), tcp: HashMap::new() };
    let mut is_empty = true;
    for task in &tasks {
        is_empty &= of_task(task, &mut ends, out)?;
    }
    if is_empty { out.note(&dump.why_none("descriptors", pid)) } else { Ok(()) }
}

/// Whether it has nothing.
fn of_task<'d, R>(task: &Task<'d>, ends: &mut Ends<'d>, out: &mut R) -> Result<bool>
where
    R: Rows<FdRow<'d>>,
{
    let mut is_empty = true;
    let comm = out.ok(task.core())?.flatten().map(|core| core.process.comm).unwrap_or_default();
    if let Some(fs) = out.ok(task.fs())?.flatten() {
        for (role, id) in [(Role::Cwd, fs.cwd_id), (Role::Root, fs.root_id)] {
            let file = ends.dump.files()?.get(FileType::REG, id);
            let row = row(ends, out, task, &comm, (role, None, false), (FileType::REG, id), file)?;
            out.row(row)?;
            is_empty = false;
        }
    }
    // what is wrong with its table was told with what is wrong with all
    let Listing { items: fds, .. } = task.fds()?;
    let mut by_number: HashMap<u32, Fd<'d>> = HashMap::new();
    for fd in &fds {
        let place = (Role::Descriptor, Some(fd.fd), fd.cloexec);
        let mut row = row(ends, out, task, &comm, place, (fd.file_type, fd.id), fd.file)?;
        if let Some(What::Epoll(Epoll { targets })) = fd.file.map(|file| &file.what) {
            if by_number.is_empty() {
                by_number = fds.iter().map(|fd| (fd.fd, *fd)).collect();
            }
            row.waits_for = targets.iter().map(|target| Awaited::new(target, by_number.get(&target.fd))).collect();
        }
        out.row(row)?;
        is_empty = false;
    }
    Ok(is_empty)
}

fn row<'d, R>(
    ends: &mut Ends<'d>,
    out: &mut R,
    task: &Task<'d>,
    comm: &Name,
    (role, fd, cloexec): (Role, Option<u32>, bool),
    (file_type, id): (FileType, u32),
    file: Option<&'d File>,
) -> Result<FdRow<'d>>
where
    R: Rows<FdRow<'d>>,
{
    let dump = ends.dump;
    let files = dump.files()?;
    let mut row = FdRow {
        pid: task.pid(),
        comm: comm.clone(),
        role,
        fd,
        cloexec,
        file_type,
        id,
        file,
        pipe_data: None,
        queue: None,
        tcp_queues: None,
        awaits_accept: file.is_some_and(|file| files.awaits_accept(file)),
        other_end: Vec::new(),
        other_end_total: 0,
        waits_for: Vec::new(),
    };
    match file.map(|file| (&file.what, file)) {
        Some((What::Pipe(PipeEnd { pipe_id }) | What::Fifo(Fifo { pipe_id, .. }), file)) => {
            row.pipe_data = dump.pipe_data(file);
            row.add(ends.told(End::OfPipe { file_type, pipe_id: *pipe_id, writes: !writes(file) }, Some(file))?);
        }
        Some((What::Unix(socket), file)) => {
            row.queue = Some(dump.queue(file));
            if socket.peer != 0 {
                row.add(ends.told(End::OfSocket { ino: socket.peer }, None)?);
            }
        }
        Some((What::Netlink(_), file)) => row.queue = Some(dump.queue(file)),
        Some((What::Inet(socket), _)) => row.tcp_queues = ends.tcp_queues(socket.ino, out)?,
        _ => {}
    }
    Ok(row)
}

impl Awaited {
    fn new(target: &EpollTarget, fd: Option<&Fd<'_>>) -> Self {
        Self {
            fd: target.fd,
            file_type: fd.map(|fd| fd.file_type),
            id: fd.map(|fd| fd.id),
            what: fd.and_then(|fd| fd.file).map(|file| file.what.to_string()),
        }
    }
}

fn writes(file: &File) -> bool {
    file.flags.is_some_and(|flags| flags.is_writable())
}

impl FdRow<'_> {
    fn add(&mut self, told: &Told) {
        self.other_end.clone_from(&told.holders);
        self.other_end_total = told.total;
    }
}

/// Who has which end, found once: a thousand descriptors may lead to one pipe with a thousand ends.
struct Ends<'d> {
    dump: &'d Checkpoint,
    known: HashMap<End, Told>,
    /// What waits in TCP connections, by inode: each image is read once.
    tcp: HashMap<u32, Option<TcpQueues>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    OfPipe { file_type: FileType, pipe_id: u32, writes: bool },
    OfSocket { ino: u32 },
}

/// Some of those who have an end, and how many there are.
#[derive(Default)]
struct Told {
    holders: Vec<Holder>,
    total: usize,
}

impl Told {
    fn add(&mut self, dump: &Checkpoint, file: &File) -> Result<()> {
        self.total = self.total.saturating_add(dump.holders_total(file)?);
        let room = TOLD.saturating_sub(self.holders.len());
        self.holders.extend(dump.holders(file)?.take(room));
        Ok(())
    }
}

impl<'d> Ends<'d> {
    fn tcp_queues<R>(&mut self, ino: u32, out: &mut R) -> Result<Option<TcpQueues>>
    where
        R: Rows<FdRow<'d>>,
    {
        match self.tcp.entry(ino) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(place) => Ok(*place.insert(out.ok(self.dump.tcp_queues(ino))?.flatten())),
        }
    }

    /// Those who have an end; of a pipe, `of` is one of its files.
    fn told(&mut self, end: End, of: Option<&File>) -> Result<&Told> {
        match self.known.entry(end) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let files = self.dump.files()?;
                let mut told = Told::default();
                match end {
                    End::OfPipe { writes: wanted, .. } => {
                        for file in
                            of.into_iter().flat_map(|file| files.ends(file)).filter(|file| writes(file) == wanted)
                        {
                            told.add(self.dump, file)?;
                        }
                    }
                    End::OfSocket { ino } => {
                        if let Some(file) = files.unix(ino) {
                            told.add(self.dump, file)?;
                        }
                    }
                }
                Ok(place.insert(told))
            }
        }
    }
}
