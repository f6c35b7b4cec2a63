//! The tree of tasks: one root, parents before their children, every number once.

use std::collections::HashMap;

use crate::base::Result;
use crate::checkpoint::task::Task;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;

const IMAGE: &str = "pstree.img";

fn at(finding: Finding, task: &Task<'_>) -> Finding {
    finding.in_image(IMAGE).at_entry(u64::try_from(task.entry()).unwrap_or(u64::MAX))
}

/// Looks at the tree, and says which task has a thread: the position of the first one that does.
pub(super) fn look(tasks: &[Task<'_>], findings: &mut Findings<'_>) -> Result<HashMap<u32, usize>> {
    let positions: HashMap<u32, usize> =
        tasks.iter().enumerate().map(|(position, task)| (task.pid(), position)).collect();
    let is_whole = !findings.is_broken(IMAGE);
    let mut root: Option<&Task<'_>> = None;
    for (position, task) in tasks.iter().enumerate() {
        if task.pid() == 0 {
            findings
                .add(at(Finding::error("pid-zero", "expected the number of a task, found 0").in_field("pid"), task))?;
        }
        match (task.ppid(), root) {
            (0, None) => root = Some(task),
            (0, Some(first)) => {
                let what = format!("expected one root, found task {} beside task {}", task.pid(), first.pid());
                let finding = at(Finding::error("root-twice", what).in_field("ppid"), task);
                findings.add(finding.advice("the number of its parent is lost: CRIU stops"))?;
            }
            (ppid, _) => parent(task, ppid, position, positions.get(&ppid).copied(), is_whole, findings)?,
        }
    }
    match root {
        Some(root) => session(root, &positions, findings)?,
        // its entry may be the one that is broken
        None if !is_whole => {}
        None => {
            let finding = Finding::error("root-missing", "expected a task without a parent, found none");
            findings.add(finding.in_image(IMAGE).advice("the entry of the root is lost: CRIU stops"))?;
        }
    }
    threads(tasks, findings)
}

fn parent(
    task: &Task<'_>,
    ppid: u32,
    position: usize,
    parent: Option<usize>,
    is_whole: bool,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let finding = match parent {
        Some(parent) if parent < position => return Ok(()),
        Some(_) => {
            let what = format!("expected task {ppid}, the parent, before task {}, found it behind", task.pid());
            Finding::error("parent-later", what).advice("CRIU looks for parents among the tasks it has read")
        }
        None if !is_whole => return Ok(()),
        None => Finding::error("parent-missing", format!("expected task {ppid}, the parent, in the dump, found none"))
            .advice("the entry of the parent is lost: CRIU stops"),
    };
    findings.add(at(finding.in_field("ppid"), task))
}

/// A session or a group that the root has from outside is one that somebody else has to provide.
fn session(root: &Task<'_>, positions: &HashMap<u32, usize>, findings: &mut Findings<'_>) -> Result<()> {
    for (field, number, what) in [("sid", root.sid(), "session"), ("pgid", root.pgid(), "process group")] {
        if !positions.contains_key(&number) {
            let what = format!("task {} has its {what} ({number}) from outside the dump", root.pid());
            let finding = at(Finding::note("session-outside", what).in_field(field), root);
            return findings.add(finding.advice("say --shell-job when restoring"));
        }
    }
    Ok(())
}

/// A number is that of one thread.
fn threads(tasks: &[Task<'_>], findings: &mut Findings<'_>) -> Result<HashMap<u32, usize>> {
    let mut owners: HashMap<u32, usize> = HashMap::new();
    for (position, task) in tasks.iter().enumerate() {
        for &tid in task.tids() {
            if *owners.entry(tid).or_insert(position) != position {
                let what = format!("expected thread {tid} in one task, found it in task {} again", task.pid());
                let finding = at(Finding::error("thread-twice", what).in_field("threads"), task);
                findings.add(finding.advice("CRIU stops: two threads cannot have one number"))?;
            }
        }
    }
    Ok(owners)
}
