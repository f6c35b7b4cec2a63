//! What a core file says of a process, gathered from the dump.

use zerocopy::little_endian::U32;

use crate::base::{Error, Result};
use crate::checkpoint::AddressSpace;
use crate::checkpoint::cpu::Cpu;
use crate::checkpoint::mm::Mm;
use crate::checkpoint::signal::PendingSignal;
use crate::checkpoint::task::{Core, State, Task};
use crate::checkpoint::thread::Thread;
use crate::memory::Content;
use crate::tool::coredump::elf::{self, Format};
use crate::tool::coredump::notes::{Notes, Numbers, Person, Status};
use crate::tool::coredump::segments::Plan;
use crate::tool::coredump::write::Out;
use crate::tool::coredump::{aarch64, i386, x86_64};

/// A task, read.
pub(super) struct Process {
    pub(super) core: Core,
    pub(super) space: AddressSpace,
    pub(super) format: Format,
    mm: Mm,
    /// The leader's registers.
    cpu: Cpu,
}

impl Process {
    /// Errors: it has no memory or no registers, or its images are broken.
    pub(super) fn read(task: &Task<'_>) -> Result<Self> {
        let no_registers = || Error::usage("it has no registers, so there can be no core file of it");
        let Some(core) = task.core()? else {
            return Err(no_registers().hint("a pre-dump has memory only"));
        };
        let cpu = task.cpu(task.pid())?.ok_or_else(no_registers)?;
        let no_memory = || Error::usage("it has no memory, so there can be no core file of it");
        let mut mm = task.mm()?.ok_or_else(no_memory)?;
        // the address space has them too, and there may be a hundred thousand
        mm.mappings = Vec::new();
        let space = task.address_space()?.ok_or_else(no_memory)?;
        Ok(Self { format: format(task, &cpu), core, space, mm, cpu })
    }

    /// Writes the notes: the leader first, with what is about all threads. Gives how many threads there are in the file;
    /// those that cannot be read are problems.
    pub(super) fn notes(
        &self,
        task: &Task<'_>,
        plan: &Plan<'_>,
        file: &mut Out<'_>,
        problems: &mut Vec<Error>,
    ) -> Result<u64> {
        let mut notes = Notes::new(file, self.format);
        let signal = match self.core.process.state {
            State::Stopped => self.core.process.stop_signal.unwrap_or(0),
            _ => 0,
        };
        self.thread(task, &self.core.leader, &self.cpu, signal, &mut notes, |notes| {
            notes.person(&self.person(task))?;
            notes.auxv(&self.auxv())?;
            notes.files(plan, self.space.page_size())
        })?;
        let mut threads = 1u64;
        for &tid in task.tids().iter().skip(1) {
            let read = Thread::read(task, tid).and_then(|thread| Ok((thread, task.cpu(tid)?)));
            match read {
                Ok((thread, Some(cpu))) if same(&cpu, &self.cpu) => {
                    self.thread(task, &thread, &cpu, signal, &mut notes, |_| Ok(()))?;
                    threads = threads.saturating_add(1);
                }
                Ok((_, Some(_))) => {
                    let what = format!("expected registers of the same machine in all threads, found others in {tid}");
                    problems.push(Error::format(what).in_image(format!("task {}", task.pid())));
                }
                Ok((_, None)) => {
                    let what = format!("thread {tid} has no registers: it is not in the core file");
                    problems.push(Error::format(what).in_image(format!("task {}", task.pid())));
                }
                Err(error) => problems.push(error),
            }
        }
        Ok(threads)
    }

    fn thread(
        &self,
        task: &Task<'_>,
        thread: &Thread,
        cpu: &Cpu,
        signal: u32,
        notes: &mut Notes<'_, '_>,
        between: impl FnOnce(&mut Notes<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        let is_leader = thread.tid == task.pid();
        let shared: &[PendingSignal] = if is_leader { &self.core.process.pending } else { &[] };
        let pending = thread.pending.iter().chain(shared).fold(0, |set, pending| {
            let bit = pending.signal.checked_sub(1).and_then(|bit| 1u64.checked_shl(bit));
            set | bit.unwrap_or(0)
        });
        let status = Status { signal, pending, blocked: thread.blocked.0, numbers: numbers(task, thread.tid) };
        let registers = match cpu {
            Cpu::X86(cpu) if self.format.is_64 => x86_64::general(cpu),
            Cpu::X86(cpu) => i386::general(cpu),
            Cpu::Aarch64(cpu) => aarch64::general(cpu),
        };
        notes.status(&status, &registers)?;
        notes.signal(signal)?;
        between(notes)?;
        match cpu {
            Cpu::X86(cpu) if self.format.is_64 => x86_64::others(cpu, notes),
            Cpu::X86(cpu) => i386::others(cpu, notes),
            Cpu::Aarch64(cpu) => aarch64::others(cpu, notes),
        }
    }

    fn person(&self, task: &Task<'_>) -> Person {
        let credentials = self.core.leader.credentials.as_ref();
        let comm = self.core.process.comm.as_bytes().to_vec();
        Person {
            state: match self.core.process.state {
                State::Stopped => (3, b'T'),
                _ => (0, b'R'),
            },
            nice: self.core.leader.sched.nice,
            flags: self.core.process.flags,
            uid: credentials.map_or(0, |credentials| credentials.uid),
            gid: credentials.map_or(0, |credentials| credentials.gid),
            numbers: numbers(task, task.pid()),
            args: self.arguments().unwrap_or_else(|| comm.clone()),
            comm,
        }
    }

    /// The beginning of the command line, as its memory has it; `None` if that is not in the dump, or empty.
    fn arguments(&self) -> Option<Vec<u8>> {
        let (start, end) = (self.mm.arg.0.0, self.mm.arg.1.0);
        let mut line: Vec<u8> = Vec::new();
        let mut scratch = Vec::new();
        for run in self.space.runs(start..end.min(start.saturating_add(ARGUMENTS))) {
            if run.start != start.saturating_add(line.len() as u64) {
                break;
            }
            let Content::Stored(stored) = &run.content else { break };
            line.extend_from_slice(stored.bytes(&mut scratch).ok()?);
        }
        while line.last() == Some(&0) {
            line.pop();
        }
        line.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
        (!line.is_empty()).then_some(line)
    }

    fn auxv(&self) -> Vec<u64> {
        match &self.cpu {
            // of a 32-bit task each has a kind and a value; its file is one of 64 bits if a thread of it is
            Cpu::X86(cpu) if cpu.compat && self.format.is_64 => {
                self.mm.auxv.iter().flat_map(|pair| [pair & 0xffff_ffff, pair >> 32]).collect()
            }
            _ => self.mm.auxv.clone(),
        }
    }
}

/// So much of the command line a core file has room for.
const ARGUMENTS: u64 = 79;

/// A task has a core file of 32 bits if all its threads are of that kind.
fn format(task: &Task<'_>, leader: &Cpu) -> Format {
    let is_compat = |cpu: &Cpu| matches!(cpu, Cpu::X86(cpu) if cpu.compat);
    match leader {
        Cpu::Aarch64(_) => elf::AARCH64,
        leader if !is_compat(leader) => elf::X86_64,
        _ => {
            let mut others = task.tids().iter().skip(1).filter_map(|tid| task.cpu(*tid).ok().flatten());
            if others.all(|cpu| is_compat(&cpu)) { elf::I386 } else { elf::X86_64 }
        }
    }
}

fn same(one: &Cpu, other: &Cpu) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn numbers(task: &Task<'_>, tid: u32) -> Numbers {
    let [pid, ppid, pgrp, sid] = [tid, task.ppid(), task.pgid(), task.sid()].map(U32::new);
    Numbers { pid, ppid, pgrp, sid }
}
