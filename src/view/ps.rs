//! The tasks as a tree.

use serde::Serialize;

use crate::base::report::{Cell, Column, Row, Rows};
use crate::base::{Address, Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::arguments::{self, CommandLine};
use crate::checkpoint::resident::PageCount;
use crate::checkpoint::task::{Core, State, Task};
use crate::checkpoint::thread::Thread;
use crate::checkpoint::tree::Branch;

/// What to ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A row for each thread too.
    pub threads: bool,
    /// The command line in place of the command.
    pub args: bool,
}

/// A task, or one of its threads.
#[derive(Clone, Debug, Serialize)]
pub struct Ps {
    /// The task.
    pub pid: u32,
    /// The thread; the task's own number in the row of a task.
    pub tid: u32,
    /// Its parent; 0 if that is not in the dump. `None`, as the next two, in a pre-dump, which does not say.
    pub ppid: Option<u32>,
    /// Its process group.
    pub pgid: Option<u32>,
    /// Its session.
    pub sid: Option<u32>,
    /// Whether it runs.
    pub state: State,
    /// Of a zombie: how it ended.
    pub exit_code: Option<ExitCode>,
    /// How many threads it has, itself included; `None` in a pre-dump.
    pub threads: Option<usize>,
    /// The user it acts as.
    pub uid: Option<u32>,
    /// The group it acts as.
    pub gid: Option<u32>,
    /// Bytes of its own memory that are in this dump.
    pub memory: u64,
    /// Bytes of its own memory that are in the dumps before.
    pub memory_in_parent: u64,
    /// Its command.
    pub comm: Name,
    /// Its command line, if that is asked for; `None` in the rows of threads, and where the dump does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Name>>,
    /// The program it runs.
    pub exe: Option<Name>,
    /// Whether it is a 32-bit task of a 64-bit machine; `None` where the dump does not say.
    pub compat: Option<bool>,
    /// Where it was.
    pub pc: Option<Address>,
    /// Its ancestors in the dump.
    pub depth: u32,
    #[serde(skip)]
    branch: String,
    #[serde(skip)]
    command: Option<String>,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCode {
    /// It returned this.
    Exited(u32),
    /// This signal ended it.
    Killed(u32),
}

impl ExitCode {
    fn new(status: u32) -> Self {
        match status & 0x7f {
            0 => Self::Exited(status >> 8 & 0xff),
            signal => Self::Killed(signal),
        }
    }
}

impl Row for Ps {
    const COLUMNS: &'static [Column] = &[
        Column::number("PID", 0),
        Column::number("TID", 0),
        Column::number("PPID", 2),
        Column::number("PGID", 4),
        Column::number("SID", 4),
        Column::number("UID", 3),
        Column::text("STATE", 1),
        Column::text("ABI", 2),
        Column::number("THR", 2),
        Column::number("MEMORY", 1),
        Column::long("COMMAND", 0),
        Column::long("PROGRAM", 3),
    ];

    fn cells(&self) -> Vec<Cell> {
        let is_thread = self.tid != self.pid;
        let task = |cell: Cell| if is_thread { Cell::Empty } else { cell };
        let state = match (self.state, self.exit_code) {
            (State::Zombie, Some(ExitCode::Exited(code))) => Cell::Odd(format!("zombie exit {code}").into()),
            (State::Zombie, Some(ExitCode::Killed(signal))) => Cell::Odd(format!("zombie signal {signal}").into()),
            (State::Alive, _) => Cell::text("alive"),
            (state, _) => Cell::Odd(state.name().into()),
        };
        vec![
            Cell::text(self.pid),
            if is_thread { Cell::text(self.tid) } else { Cell::Empty },
            task(Cell::maybe(self.ppid)),
            task(Cell::maybe(self.pgid)),
            task(Cell::maybe(self.sid)),
            Cell::maybe(self.uid),
            task(state),
            if self.compat == Some(true) { Cell::Odd("32-bit".into()) } else { Cell::Empty },
            task(Cell::maybe(self.threads)),
            match self.memory.saturating_add(self.memory_in_parent) {
                0 => Cell::Empty,
                memory => Cell::Size(memory),
            },
            match &self.command {
                Some(command) => Cell::text(format_args!("{}{command}", self.branch)),
                None => Cell::text(format_args!("{}{}", self.branch, self.comm)),
            },
            Cell::maybe(self.exe.as_ref()),
        ]
    }
}

/// The tasks, each followed by its threads, if these are asked for, and its descendants.
///
/// Errors: the tasks cannot be listed, or `out` ends the question.
pub fn ps(dump: &Checkpoint, options: Options, out: &mut impl Rows<Ps>) -> Result<()> {
    let Listing { items: tree, problems } = dump.tree()?;
    out.problems(problems)?;
    if tree.is_empty() {
        return out.note(&dump.why_none("tasks", None));
    }
    // decoded once for all programs
    out.ok(dump.files())?;
    let page_size = dump.page_size();
    let lines = lines(&tree);
    for (branch, line) in tree.iter().zip(lines) {
        let task = &branch.task;
        let core = out.ok(task.core())?.flatten();
        let memory = out.ok(task.page_count())?.unwrap_or_default();
        let mut row = row(branch, core.as_ref(), memory, page_size, line, out)?;
        if options.args {
            row.set_command_line(out.ok(task.command_line())?.flatten());
        }
        if options.threads {
            out.row(row.clone())?;
            threads(task, &row, out)?;
        } else {
            out.row(row)?;
        }
    }
    Ok(())
}

fn row(
    branch: &Branch<'_>,
    core: Option<&Core>,
    memory: PageCount,
    page_size: u64,
    line: String,
    out: &mut impl Rows<Ps>,
) -> Result<Ps> {
    let task = &branch.task;
    let known = |number: u32| task.is_known().then_some(number);
    let exe = out.ok(task.exe())?.flatten();
    let process = core.map(|core| &core.process);
    let leader = core.map(|core| &core.leader);
    let registers = leader.and_then(|leader| leader.registers);
    let state = process.map_or(State::Unknown, |process| process.state);
    let credentials = leader.and_then(|leader| leader.credentials.as_ref());
    Ok(Ps {
        pid: task.pid(),
        tid: task.pid(),
        ppid: known(task.ppid()),
        pgid: known(task.pgid()),
        sid: known(task.sid()),
        state,
        exit_code: process.filter(|_| state == State::Zombie).map(|process| ExitCode::new(process.exit_code)),
        threads: task.is_known().then_some(task.tids().len()),
        uid: credentials.filter(|_| state != State::Zombie).map(|credentials| credentials.euid),
        gid: credentials.filter(|_| state != State::Zombie).map(|credentials| credentials.egid),
        memory: memory.here.saturating_mul(page_size),
        memory_in_parent: memory.parent.saturating_mul(page_size),
        comm: process.map(|process| process.comm.clone()).unwrap_or_default(),
        exe,
        compat: registers.map(|registers| registers.compat),
        pc: registers.map(|registers| registers.pc),
        depth: branch.depth,
        args: None,
        branch: line,
        command: None,
    })
}

/// Of a command line this many bytes are shown in a table; a few megabytes are possible.
const SHOWN: usize = 4096;

impl Ps {
    /// As ps does it, the command in brackets stands for a command line that is empty or not there.
    fn set_command_line(&mut self, line: Option<CommandLine>) {
        let mut text = format!("[{}]", self.comm);
        if let Some(line) = line {
            if !line.bytes.iter().all(|byte| *byte == 0) {
                let is_long = line.bytes.len() > SHOWN;
                let bytes = line.bytes.slice(..line.bytes.len().min(SHOWN));
                let start = CommandLine { bytes, is_title: line.is_title };
                text = arguments::shown(&start.arguments(), line.is_title);
                text.push_str(if is_long { "…" } else { "" });
            }
            self.args = Some(line.arguments());
        }
        self.command = Some(text);
    }
}

fn threads(task: &Task<'_>, leader: &Ps, out: &mut impl Rows<Ps>) -> Result<()> {
    let Listing { items: threads, problems } = task.threads();
    for thread in threads.into_iter().skip(1) {
        let Thread { tid, comm, registers, credentials, .. } = thread;
        out.row(Ps {
            tid,
            uid: credentials.as_ref().map(|credentials| credentials.euid),
            gid: credentials.as_ref().map(|credentials| credentials.egid),
            memory: 0,
            memory_in_parent: 0,
            comm,
            exe: None,
            compat: registers.map(|registers| registers.compat),
            pc: registers.map(|registers| registers.pc),
            args: None,
            command: None,
            branch: leader.branch.replace("├─ ", "│  ").replace("└─ ", "   ") + "· ",
            ..leader.clone()
        })?;
    }
    out.problems(problems)
}

/// Deeper than this the lines of the tree are not drawn: they would be longer than all else together.
const DRAWN: usize = 24;

/// The lines before each task's name that make the tree visible.
fn lines(tree: &[Branch<'_>]) -> Vec<String> {
    let depth = |branch: &Branch<'_>| usize::try_from(branch.depth).unwrap_or(usize::MAX).min(DRAWN);
    // from the end: whether a sibling follows, for each depth
    let mut follows = [false; DRAWN + 1];
    let mut has_next = Vec::with_capacity(tree.len());
    for branch in tree.iter().rev() {
        let depth = depth(branch);
        has_next.push(follows.get(depth).copied().unwrap_or(false));
        for (at, follows) in follows.iter_mut().enumerate().skip(depth) {
            *follows = at == depth;
        }
    }
    let mut open = Vec::new();
    let mut lines = Vec::with_capacity(tree.len());
    for (branch, has_next) in tree.iter().zip(has_next.into_iter().rev()) {
        let depth = depth(branch);
        open.truncate(depth.saturating_sub(1));
        let mut line: String = open.iter().map(|open| if *open { "│  " } else { "   " }).collect();
        if depth > 0 {
            line.push_str(if has_next { "├─ " } else { "└─ " });
            open.push(has_next);
        }
        lines.push(line);
    }
    lines
}
