//! The tasks of a dump, as a list and as a tree.

use std::collections::{HashMap, HashSet};

use crate::base::{Error, Listing, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::object::v1;

/// A task and how deep in the tree it is: 0 for a root.
#[derive(Clone, Debug)]
pub struct Branch<'a> {
    /// The task.
    pub task: Task<'a>,
    /// Its ancestors.
    pub depth: u32,
}

fn no_task(pid: u32) -> Error {
    Error::usage(format!("the dump has no task {pid}")).hint("`icecore ps` lists them")
}

impl Checkpoint {
    /// All tasks, in the order of the dump: parents come before their children.
    ///
    /// A pre-dump has no list of tasks; they are then those whose memory it has, of which nothing else is known.
    ///
    /// A task whose entry is broken is among [`Listing::problems`], which a loop over the listing does not see; strict
    /// programs say `dump.tasks()?.all()?`.
    ///
    /// Errors: `pstree.img` cannot be opened.
    pub fn tasks(&self) -> Result<Listing<Task<'_>>> {
        let Some(image) = self.find(Kind::Pstree, 0)? else {
            return Ok(self.tasks_by_memory());
        };
        let mut listing = Listing::default();
        let mut seen = HashSet::new();
        let mut again = Vec::new();
        for entry in &image {
            let task = entry.and_then(|entry| {
                let decoded = entry.decode::<v1::PstreeEntry>()?;
                let threads = decoded.threads.len();
                let task = Task::new(self, entry.index(), decoded);
                if task.tids().len() < threads {
                    let error = format!("expected each thread of pid {} once, found one again", task.pid());
                    again.push(entry.locate(Error::format(error), 0));
                }
                if seen.insert(task.pid()) {
                    Ok(task)
                } else {
                    let error = Error::format(format!("expected each task once, found pid {} again", task.pid()));
                    Err(entry.locate(error, 0))
                }
            });
            listing.push(task);
            again.drain(..).for_each(|error| listing.push(Err(error)));
        }
        Ok(listing)
    }

    /// The task with this number.
    ///
    /// Errors: there is none, or the list of tasks is broken and may have lost it.
    pub fn task(&self, pid: u32) -> Result<Task<'_>> {
        self.tasks_or_one(Some(pid))?.items.into_iter().next().ok_or_else(|| no_task(pid))
    }

    /// The task with this number, or all; with what is wrong with the list in either case.
    ///
    /// Errors: as [`task`](Self::task) and [`tasks`](Self::tasks).
    pub fn tasks_or_one(&self, pid: Option<u32>) -> Result<Listing<Task<'_>>> {
        let mut listing = self.tasks()?;
        let Some(pid) = pid else { return Ok(listing) };
        listing.items.retain(|task| task.pid() == pid);
        match (listing.is_empty(), listing.problems.first()) {
            (false, _) => Ok(listing),
            (true, Some(error)) => Err(error.clone()),
            (true, None) => Err(no_task(pid)),
        }
    }

    fn tasks_by_memory(&self) -> Listing<Task<'_>> {
        let pids = self.images_of(Kind::Pagemap).iter().filter_map(|image| u32::try_from(image.id).ok());
        Listing { items: pids.map(|pid| Task::unknown(self, pid)).collect(), problems: Vec::new() }
    }

    /// All tasks, each followed by its descendants. A task whose parent is not in the dump is a root; so is one of
    /// those that claim to be each other's ancestors, which is reported.
    ///
    /// Errors: as [`tasks`](Self::tasks).
    pub fn tree(&self) -> Result<Listing<Branch<'_>>> {
        let Listing { items: tasks, mut problems } = self.tasks()?;
        let positions: HashMap<u32, usize> =
            tasks.iter().enumerate().map(|(position, task)| (task.pid(), position)).collect();
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut roots = Vec::new();
        for (position, task) in tasks.iter().enumerate() {
            match positions.get(&task.ppid()) {
                Some(&parent) if task.ppid() != 0 => children.entry(parent).or_default().push(position),
                _ => roots.push(position),
            }
        }
        let mut order = Vec::with_capacity(tasks.len());
        let mut reached = vec![false; tasks.len()];
        let mut grow = |root: usize, order: &mut Vec<(usize, u32)>| {
            let mut open = vec![(root, 0u32)];
            while let Some((position, depth)) = open.pop() {
                match reached.get_mut(position) {
                    Some(reached) if !*reached => *reached = true,
                    _ => continue,
                }
                order.push((position, depth));
                let children = children.get(&position).into_iter().flatten();
                open.extend(children.rev().map(|&child| (child, depth.saturating_add(1))));
            }
        };
        for root in roots {
            grow(root, &mut order);
        }
        if order.len() < tasks.len() {
            for (position, task) in tasks.iter().enumerate() {
                let before = order.len();
                grow(position, &mut order);
                if order.len() > before {
                    let text = format!("expected a tree of tasks, found pid {} among its own ancestors", task.pid());
                    problems.push(Error::format(text).in_image("pstree.img"));
                }
            }
        }
        let branch = |(position, depth): (usize, u32)| Some(Branch { task: tasks.get(position)?.clone(), depth });
        Ok(Listing { items: order.into_iter().filter_map(branch).collect(), problems })
    }
}
