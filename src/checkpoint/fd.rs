//! Descriptors: who has which file open under which number, and what is on its way to it.

use std::collections::{HashMap, HashSet};

use crate::base::listing::keep;
use crate::base::{Error, Listing, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::file::{File, FileType};
use crate::checkpoint::pipe::PipeData;
use crate::checkpoint::socket::{Queue, TcpQueues};
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::object::v1;

/// A descriptor of a task.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Fd<'a> {
    /// Its number in the task.
    pub fd: u32,
    /// Whether it closes when the task executes another program.
    pub cloexec: bool,
    /// Type of the file it leads to.
    pub file_type: FileType,
    /// Number of that file.
    pub id: u32,
    /// That file; `None` if the dump lacks it.
    pub file: Option<&'a File>,
}

/// A task that has a file open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Holder {
    /// The task.
    pub pid: u32,
    /// Its descriptor.
    pub fd: u32,
}

/// A table of descriptors, which several tasks may share.
#[derive(Debug)]
struct Table {
    pids: Vec<u32>,
    fds: Vec<v1::FdinfoEntry>,
    problems: Vec<Error>,
}

/// All tables of descriptors, and who holds what.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: Vec<Table>,
    by_pid: HashMap<u32, usize>,
    /// Tasks of which it cannot be told which table is theirs.
    lost: HashMap<u32, Error>,
    /// For each file: in which table under which number.
    holders: HashMap<(FileType, u32), Vec<(usize, u32)>>,
    problems: Vec<Error>,
}

/// What is on its way: bytes in pipes, packets in sockets.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pipes: HashMap<(FileType, u32), PipeData>,
    sockets: HashMap<u32, Queue>,
    problems: Vec<Error>,
}

impl<'a> Task<'a> {
    /// Its descriptors, in the order of the dump. A zombie has none. What could not be read of its table is among
    /// [`Listing::problems`].
    ///
    /// Errors: the list of tasks or the image of files cannot be opened.
    pub fn fds(&self) -> Result<Listing<Fd<'a>>> {
        let dump: &'a Checkpoint = self.dump;
        let files = dump.files()?;
        let tables = dump.tables()?;
        let table = tables.by_pid.get(&self.pid()).and_then(|&position| tables.tables.get(position));
        let fd = |entry: &v1::FdinfoEntry| Fd {
            fd: entry.fd,
            cloexec: entry.flags & 1 != 0,
            file_type: FileType(entry.r#type),
            id: entry.id,
            file: files.get(FileType(entry.r#type), entry.id),
        };
        let fds = table.map(|table| table.fds.as_slice()).unwrap_or_default();
        let broken = table.map(|table| table.problems.as_slice()).unwrap_or_default();
        let problems = broken.iter().chain(tables.lost.get(&self.pid())).cloned().collect();
        Ok(Listing { items: fds.iter().map(fd).collect(), problems })
    }
}

impl Checkpoint {
    pub(crate) fn tables(&self) -> Result<&Tables> {
        self.cache.tables.get_or_init(|| self.read_tables()).as_ref().map_err(Clone::clone)
    }

    fn read_tables(&self) -> Result<Tables> {
        let tasks = self.tasks()?;
        let mut tables = Tables::default();
        let per_id = match self.inventory() {
            Ok(inventory) => inventory.fdinfo_per_id,
            Err(error) => {
                tables.problems.push(error);
                self.has_tables_of_their_own_numbers(&tasks)
            }
        };
        let mut by_id: HashMap<u64, usize> = HashMap::new();
        for task in &tasks {
            // before v0.4 tables were numbered by task
            let id = match task.ids() {
                Ok(Some(ids)) if per_id => ids.files_id,
                // a zombie has no descriptors, and its pid may well be the number of another's table
                Ok(None) if per_id => continue,
                Ok(_) => task.pid(),
                Err(error) => {
                    keep(&mut tables.problems, [error.clone()]);
                    tables.lost.insert(task.pid(), error);
                    continue;
                }
            };
            let id = u64::from(id);
            if let Some(&position) = by_id.get(&id) {
                if let Some(table) = tables.tables.get_mut(position) {
                    table.pids.push(task.pid());
                }
                tables.by_pid.insert(task.pid(), position);
                continue;
            }
            let Listing { items: fds, problems } = match self.entries_of::<v1::FdinfoEntry>(Kind::Fdinfo, id) {
                Ok(listing) => listing,
                Err(error) => Listing { items: Vec::new(), problems: vec![error] },
            };
            keep(&mut tables.problems, problems.iter().cloned());
            let position = tables.tables.len();
            for entry in &fds {
                let key = (FileType(entry.r#type), entry.id);
                tables.holders.entry(key).or_default().push((position, entry.fd));
            }
            tables.tables.push(Table { pids: vec![task.pid()], fds, problems });
            tables.by_pid.insert(task.pid(), position);
            by_id.insert(id, position);
        }
        Ok(tables)
    }

    /// Whether tables are numbered by what tasks share instead of by task, where no inventory says so: their images'
    /// numbers tell. Where both fit, tables have their own, as in all dumps since v0.4.
    fn has_tables_of_their_own_numbers(&self, tasks: &[Task<'_>]) -> bool {
        let tables = self.images_of(Kind::Fdinfo);
        let pids: HashSet<u64> = tasks.iter().map(|task| u64::from(task.pid())).collect();
        let shared: HashSet<u64> =
            tasks.iter().filter_map(|task| Some(u64::from(task.ids().ok()??.files_id))).collect();
        let all_in = |numbers: &HashSet<u64>| tables.iter().all(|table| numbers.contains(&table.id));
        !all_in(&pids) || all_in(&shared)
    }

    /// What could not be read of the tables of descriptors: [`Task::fds`] has what concerns one task. The inventory is
    /// among it where it does not say how tables are numbered.
    ///
    /// Errors: the list of tasks cannot be opened.
    pub fn fd_problems(&self) -> Result<&[Error]> {
        Ok(&self.tables()?.problems)
    }

    /// Who has a file open. A file nobody has open is a mapped one, a working directory, or on its way in a socket.
    ///
    /// Errors: the list of tasks cannot be opened.
    pub fn holders(&self, file: &File) -> Result<impl Iterator<Item = Holder>> {
        let tables = self.tables()?;
        let places = tables.holders.get(&(file.file_type, file.id)).map(Vec::as_slice).unwrap_or_default();
        Ok(places.iter().flat_map(|&(table, fd)| {
            let pids = tables.tables.get(table).map(|table| table.pids.as_slice()).unwrap_or_default();
            pids.iter().map(move |&pid| Holder { pid, fd })
        }))
    }

    /// How many have a file open: the length of [`holders`](Self::holders), without going through all of them.
    ///
    /// Errors: the list of tasks cannot be opened.
    pub fn holders_total(&self, file: &File) -> Result<usize> {
        let tables = self.tables()?;
        let places = tables.holders.get(&(file.file_type, file.id)).map(Vec::as_slice).unwrap_or_default();
        let pids = |table: usize| tables.tables.get(table).map_or(0, |table| table.pids.len());
        Ok(places.iter().fold(0, |total: usize, &(table, _)| total.saturating_add(pids(table))))
    }

    fn queues(&self) -> &Queues {
        self.cache.queues.get_or_init(|| self.read_queues())
    }

    fn read_queues(&self) -> Queues {
        let mut queues = Queues::default();
        for (kind, file_type) in [(Kind::PipesData, FileType::PIPE), (Kind::FifoData, FileType::FIFO)] {
            let entries = self.entries_or_problem::<v1::PipeDataEntry>(kind, &mut queues.problems);
            queues.pipes.extend(entries.iter().map(|entry| ((file_type, entry.pipe_id), PipeData::new(entry))));
        }
        for entry in self.entries_or_problem::<v1::SkPacketEntry>(Kind::SkQueues, &mut queues.problems) {
            let queue = queues.sockets.entry(entry.id_for).or_default();
            queue.packets = queue.packets.saturating_add(1);
            queue.bytes = queue.bytes.saturating_add(u64::from(entry.length));
            let descriptors: usize = entry.scm.iter().map(|scm| scm.rights.len()).sum();
            queue.descriptors = queue.descriptors.saturating_add(u64::try_from(descriptors).unwrap_or(u64::MAX));
        }
        queues
    }

    /// What is in the pipe or fifo that is this file; `None` where the dump has nothing of it.
    pub fn pipe_data(&self, file: &File) -> Option<PipeData> {
        self.queues().pipes.get(&(file.file_type, file.what.pipe_id()?)).copied()
    }

    /// What waits to be read from the unix or netlink socket that is this file.
    pub fn queue(&self, file: &File) -> Queue {
        self.queues().sockets.get(&file.id).copied().unwrap_or_default()
    }

    /// What could not be read of what is on its way.
    pub fn queue_problems(&self) -> &[Error] {
        &self.queues().problems
    }

    /// What waits in the TCP connection with this inode; `None` where it was not connected.
    ///
    /// Errors: its image is broken.
    pub fn tcp_queues(&self, ino: u32) -> Result<Option<TcpQueues>> {
        let Some(image) = self.find(Kind::TcpStream, u64::from(ino))? else { return Ok(None) };
        let entry = image.get(0)?.decode::<v1::TcpStreamEntry>()?;
        Ok(Some(TcpQueues { received: entry.inq_len, sent: entry.outq_len, unsent: entry.unsq_len() }))
    }
}
