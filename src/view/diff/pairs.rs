//! Which task of the second dump is which of the first.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::Serialize;

use crate::base::report::Rows;
use crate::base::{Error, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::task::Task;
use crate::view::diff::{named, of};

/// How tasks were matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Matched {
    /// By their numbers, those of `--map-pid` included.
    Pid,
    /// By their commands, in order: no number is in both dumps.
    Command,
}

/// The tasks of two dumps.
pub(super) struct Pairs<'d> {
    /// Those of both, in the order of the first dump.
    pub(super) both: Vec<(Task<'d>, Task<'d>)>,
    pub(super) gone: Vec<Task<'d>>,
    pub(super) added: Vec<Task<'d>>,
    pub(super) matched: Matched,
    /// What a number of the first dump is in the second, where that is another.
    numbers: HashMap<u32, u32>,
}

impl<'d> Pairs<'d> {
    /// Matches tasks.
    ///
    /// Errors: the tasks cannot be listed, or `map` names one that is not there, or one twice.
    pub(super) fn new<R>(
        a: &'d Checkpoint,
        b: &'d Checkpoint,
        map: &[(u32, u32)],
        out: &mut impl Rows<R>,
    ) -> Result<Self> {
        let (these, those) = (of(a, a.tasks())?, of(b, b.tasks())?);
        out.problems(these.problems.into_iter().map(|error| named(a, error)))?;
        out.problems(those.problems.into_iter().map(|error| named(b, error)))?;
        let numbers = numbers(map, &these.items, &those.items)?;
        let taken: HashSet<u32> = numbers.values().copied().collect();
        let mut left: HashMap<u32, Task<'d>> = those.items.iter().map(|task| (task.pid(), task.clone())).collect();
        let mut pairs = Self { both: Vec::new(), gone: Vec::new(), added: Vec::new(), matched: Matched::Pid, numbers };
        for task in these.items {
            let pid = pairs.numbers.get(&task.pid()).copied();
            let pid = pid.or_else(|| Some(task.pid()).filter(|pid| !taken.contains(pid)));
            match pid.and_then(|pid| left.remove(&pid)) {
                Some(other) => pairs.both.push((task, other)),
                None => pairs.gone.push(task),
            }
        }
        pairs.added = those.items.into_iter().filter(|task| left.contains_key(&task.pid())).collect();
        if pairs.both.is_empty() && !pairs.gone.is_empty() && !pairs.added.is_empty() {
            pairs.by_command();
        }
        Ok(pairs)
    }

    /// The first task with a command is the first of the other dump with that command, and so on.
    fn by_command(&mut self) {
        let mut by_command: HashMap<Name, VecDeque<Task<'d>>> = HashMap::new();
        for task in std::mem::take(&mut self.added) {
            match comm(&task) {
                Some(comm) => by_command.entry(comm).or_default().push_back(task),
                None => self.added.push(task),
            }
        }
        for task in std::mem::take(&mut self.gone) {
            match comm(&task).and_then(|comm| by_command.get_mut(&comm)?.pop_front()) {
                Some(other) => {
                    self.numbers.insert(task.pid(), other.pid());
                    self.both.push((task, other));
                    self.matched = Matched::Command;
                }
                None => self.gone.push(task),
            }
        }
        self.added.extend(by_command.into_values().flatten());
        self.added.sort_by_key(Task::pid);
    }

    /// What a number of the first dump is in the second.
    pub(super) fn number(&self, pid: u32) -> u32 {
        self.numbers.get(&pid).copied().unwrap_or(pid)
    }

    /// Leaves those with this number in either dump.
    ///
    /// Errors: there is none.
    pub(super) fn only(&mut self, pids: &[u32]) -> Result<()> {
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids {
            let is_it = |task: &Task<'_>| task.pid() == *pid;
            let mut all = self.both.iter().flat_map(|(a, b)| [a, b]).chain(&self.gone).chain(&self.added);
            if !all.any(is_it) {
                return Err(no_task("either dump", *pid));
            }
        }
        let is_one = |task: &Task<'_>| pids.contains(&task.pid());
        self.both.retain(|(a, b)| is_one(a) || is_one(b));
        self.gone.retain(is_one);
        self.added.retain(is_one);
        Ok(())
    }
}

/// The command of a task, copied: a name shares the map of its image, and there may be a map for each task.
pub(super) fn comm(task: &Task<'_>) -> Option<Name> {
    let core = task.core().ok()??;
    Some(Name::from(bytes::Bytes::copy_from_slice(core.process.comm.as_bytes())))
}

fn no_task(place: &str, pid: u32) -> Error {
    Error::usage(format!("no task {pid} in {place}")).hint("`icecore ps` lists them")
}

fn numbers(map: &[(u32, u32)], a: &[Task<'_>], b: &[Task<'_>]) -> Result<HashMap<u32, u32>> {
    let mut numbers = HashMap::new();
    let mut taken = HashSet::new();
    for &(from, to) in map {
        for (tasks, pid, place) in [(a, from, "the first dump"), (b, to, "the second dump")] {
            if !tasks.iter().any(|task| task.pid() == pid) {
                return Err(no_task(place, pid));
            }
        }
        if numbers.insert(from, to).is_some() || !taken.insert(to) {
            return Err(Error::usage(format!("expected each task in one pair, found one of {from}:{to} in two")));
        }
    }
    Ok(numbers)
}
