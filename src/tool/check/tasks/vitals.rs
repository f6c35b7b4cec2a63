//! What is in the core image of a thread.

use crate::checkpoint::vitals::{TaskVitals, Vitals};
use crate::tool::check::Finding;
use crate::tool::check::tasks::{Told, in_core};

/// Resource limits that the kernel knows.
const LIMITS: usize = 16;

/// Signals with an action: all but KILL and STOP. A machine of the MIPS family has twice as many.
const ACTIONS: usize = 62;
const ACTIONS_OF_MIPS: usize = 126;

/// Whether a task has memory; `None` where its state is not known.
pub(super) fn is_live(vitals: &Vitals) -> Option<bool> {
    match vitals.task.as_ref()?.state {
        1 | 3 => Some(true),
        2 | 6 => Some(false),
        _ => None,
    }
}

pub(super) fn look(vitals: &Vitals, is_leader: bool, is_live: bool, tid: u32, told: &mut Told) {
    match (&vitals.task, is_leader) {
        (Some(task), true) => of_task(task, vitals.arch, tid, told),
        (None, true) => {
            let finding = Finding::error("core-part", "expected what the threads of the task share, found nothing");
            told.add(in_core(finding, tid).in_field("tc").advice("it is the image of a thread that is not the leader"));
        }
        (Some(_), false) => {
            let finding =
                Finding::warning("core-part", "expected a thread, found what all threads of a task share too");
            told.add(in_core(finding, tid).in_field("tc").advice("it is the image of another task's leader"));
        }
        (None, false) => {}
    }
    if is_live && !vitals.has_registers {
        let what = match vitals.arch {
            "unknown" => "expected the architecture of the registers, found none that is known".to_owned(),
            arch => format!("expected the registers of {arch}, found none"),
        };
        let finding = in_core(Finding::error("registers-missing", what), tid);
        told.add(finding.advice("nobody knows where the thread was: dump again"));
    }
}

fn of_task(task: &TaskVitals, arch: &str, tid: u32, told: &mut Told) {
    if !matches!(task.state, 1 | 2 | 3 | 6) {
        let what = format!("expected the state of a task (1 alive, 2 dead, 3 stopped, 6 zombie), found {}", task.state);
        let finding = in_core(Finding::error("task-state", what), tid).in_field("tc.task_state");
        told.add(finding.advice("CRIU stops at it"));
    }
    let actions = if arch == "mips" { ACTIONS_OF_MIPS } else { ACTIONS };
    // older dumps have an image of them
    if task.actions != 0 && task.actions != actions {
        let what = format!("expected an action for each of {actions} signals, found {}", task.actions);
        let finding = in_core(Finding::error("sigactions", what), tid).in_field("tc.sigactions");
        told.add(finding.advice("CRIU stops at it: which signal each is for follows from their number"));
    }
    for (number, (cur, max)) in task.limits.iter().enumerate() {
        if cur > max || number >= LIMITS {
            let what = match number >= LIMITS {
                true => format!("expected {LIMITS} resource limits, found {}", task.limits.len()),
                false => format!("expected limit {number} to be at most {max}, found {cur}"),
            };
            let field = format!("tc.rlimits.rlimits[{number}]");
            let finding = in_core(Finding::error("rlimit", what), tid).in_field(field);
            told.add(finding.advice("the kernel refuses it, and CRIU stops"));
            if number >= LIMITS {
                break;
            }
        }
    }
    for time in &task.times {
        if time.fraction >= time.units {
            let what = format!("expected a fraction of a second, less than {}, found {}", time.units, time.fraction);
            let finding = in_core(Finding::error("timer", what), tid).in_field(time.field);
            told.add(finding.advice("CRIU stops at it"));
        }
    }
}
