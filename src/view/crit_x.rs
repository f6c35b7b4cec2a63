//! The four explorers of `crit x`, line by line what crit 4.3 prints; and where crit gives up (zombies, old dumps,
//! tasks whose parent is missing), what is right.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::base::report::Rows;
use crate::base::{Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::file::{FileType, What};
use crate::checkpoint::mm::Mapping;
use crate::checkpoint::task::Task;
use crate::object::json::quoted_printable;

/// A name as Python prints it: text as it is, other bytes as a literal.
fn python(name: &Name) -> String {
    match std::str::from_utf8(name.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => literal(name.as_bytes()),
    }
}

fn literal(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut text = format!("b{quote}");
    for &byte in bytes {
        let _ = match byte {
            b'\t' => text.write_str("\\t"),
            b'\n' => text.write_str("\\n"),
            b'\r' => text.write_str("\\r"),
            b'\\' => text.write_str("\\\\"),
            byte if char::from(byte) == quote => write!(text, "\\{quote}"),
            b' '..=b'~' => text.write_char(char::from(byte)),
            byte => write!(text, "\\x{byte:02x}"),
        };
    }
    text.push(quote);
    text
}

/// How crit calls a file.
fn file(dump: &Checkpoint, file_type: FileType, id: u32) -> Result<String> {
    let file = dump.files()?.get(file_type, id);
    Ok(match (file_type.name(), file.map(|file| &file.what)) {
        (_, Some(What::Regular(file))) if !file.path.is_empty() => python(&file.path),
        (Some("REG"), _) => "unknown path".to_owned(),
        (_, Some(What::Pipe(end))) => format!("pipe[{}]", end.pipe_id),
        (Some("PIPE"), _) => "pipe[?]".to_owned(),
        (_, Some(What::Unix(socket))) => {
            let name = socket.stored_name.as_bytes();
            let name = quoted_printable(name).unwrap_or_else(|| name.escape_ascii().to_string().into_bytes());
            let space = if name.is_empty() { "" } else { " " };
            format!("unix[{} ({}){space}{}]", socket.ino, socket.peer, String::from_utf8_lossy(&name))
        }
        (Some("UNIXSK"), _) => "unix[?]".to_owned(),
        _ => format!("{file_type}.{id}"),
    })
}

/// `crit x DIR ps`.
///
/// Errors: the tasks cannot be listed, a core image is missing or broken, or `out` ends the question.
pub fn ps(dump: &Checkpoint, out: &mut impl Rows<String>) -> Result<()> {
    let Listing { items: tree, problems } = dump.tree()?;
    out.problems(problems)?;
    out.row(format!("{:>7}{:>7}{:>7}   COMM", "PID", "PGID", "SID"))?;
    for branch in tree {
        let task = &branch.task;
        let comm = task.core()?.map(|core| core.process.comm).unwrap_or_default();
        let indent = usize::try_from(branch.depth).unwrap_or(usize::MAX).saturating_mul(4);
        let indent = " ".repeat(indent.min(WIDEST));
        let comm = python(&comm);
        out.row(format!("{:>7}{:>7}{:>7}   {indent}{comm}", task.pid(), task.pgid(), task.sid()))?;
    }
    Ok(())
}

/// Python gives up at a thousand nested calls; a hostile tree must not cost more than that here.
const WIDEST: usize = 4 * 1000;

/// The tasks; what could not be read of them goes to `out`.
fn tasks<'d>(dump: &'d Checkpoint, out: &mut impl Rows<String>) -> Result<Vec<Task<'d>>> {
    let Listing { items: tasks, problems } = dump.tasks()?;
    out.problems(problems)?;
    Ok(tasks)
}

/// `crit x DIR fds`. A zombie has its number and nothing below it.
///
/// Errors: an image of tasks, descriptors or files cannot be opened, or `out` ends the question.
pub fn fds(dump: &Checkpoint, out: &mut impl Rows<String>) -> Result<()> {
    let tasks = tasks(dump, out)?;
    out.problems(dump.files()?.problems.iter().cloned())?;
    out.problems(dump.fd_problems()?.iter().cloned())?;
    for task in tasks {
        out.row(task.pid().to_string())?;
        for fd in task.fds()? {
            out.row(format!("\t{:>7}: {}", fd.fd, file(dump, fd.file_type, fd.id)?))?;
        }
        if let Some(fs) = task.fs()? {
            out.row(format!("\t{:>7}: {}", "cwd", file(dump, FileType::REG, fs.cwd_id)?))?;
            out.row(format!("\t{:>7}: {}", "root", file(dump, FileType::REG, fs.root_id)?))?;
        }
    }
    Ok(())
}

/// Bits of a mapping's status.
mod status {
    pub(super) const REGULAR: u32 = 1;
    pub(super) const STACK: u32 = 1 << 1;
    pub(super) const VSYSCALL: u32 = 1 << 2;
    pub(super) const VDSO: u32 = 1 << 3;
    pub(super) const FILE: u32 = 1 << 6 | 1 << 7;
    pub(super) const FILE_SHARED: u32 = 1 << 7;
    pub(super) const ANON_SHARED: u32 = 1 << 8;
    pub(super) const SYSVIPC: u32 = 1 << 10;
    pub(super) const SOCKET: u32 = 1 << 11;
}

/// `crit x DIR mems`.
///
/// Errors: an image of tasks, memory or files cannot be opened, or `out` ends the question.
pub fn mems(dump: &Checkpoint, out: &mut impl Rows<String>) -> Result<()> {
    let tasks = tasks(dump, out)?;
    // crit numbers segments as it meets them, over all tasks
    let mut numbers: HashMap<u64, usize> = HashMap::new();
    for task in tasks {
        out.row(task.pid().to_string())?;
        let Some(space) = task.mm()? else { continue };
        out.row(format!("\t{:<36}    {}", "exe", file(dump, FileType::REG, space.exe_file_id)?))?;
        for mapping in &space.mappings {
            let origin = origin(dump, mapping, &mut numbers)?;
            let range = format!("{:08x}-{:08x}", mapping.start.0, mapping.end.0);
            out.row(format!("\t{range:<36}{}{origin}", mapping.prot))?;
        }
    }
    Ok(())
}

fn origin(dump: &Checkpoint, mapping: &Mapping, numbers: &mut HashMap<u64, usize>) -> Result<String> {
    let is = |bits: u32| mapping.status & bits != 0;
    let mut number = || {
        let next = numbers.len().saturating_add(1);
        *numbers.entry(mapping.shmid).or_insert(next)
    };
    let mut text = if is(status::SYSVIPC) {
        format!(" ips[{:x}]", number())
    } else if is(status::ANON_SHARED) {
        format!(" shmem[{:x}]", number())
    } else if is(status::SOCKET) {
        format!(" packet[{:x}]", number())
    } else if is(status::FILE) {
        let mut text = format!(" {}", file_of(dump, mapping)?);
        if mapping.pgoff != 0 {
            let _ = write!(text, " + {:#x}", mapping.pgoff);
        }
        if is(status::FILE_SHARED) {
            text.push_str(" (s)");
        }
        text
    } else if is(status::STACK) {
        " [stack]".to_owned()
    } else if is(status::VSYSCALL) {
        " [vsyscall]".to_owned()
    } else if is(status::VDSO) {
        " [vdso]".to_owned()
    } else if mapping.flags.grows_down() {
        " [stack?]".to_owned()
    } else {
        String::new()
    };
    if !is(status::REGULAR) {
        text.push_str(" *");
    }
    Ok(text)
}

fn file_of(dump: &Checkpoint, mapping: &Mapping) -> Result<String> {
    file(dump, FileType::REG, u32::try_from(mapping.shmid).unwrap_or(u32::MAX))
}

/// `crit x DIR rss`. Pages are taken for 4096 bytes, as crit does.
///
/// Errors: an image of tasks, memory or files cannot be opened, or `out` ends the question.
pub fn rss(dump: &Checkpoint, out: &mut impl Rows<String>) -> Result<()> {
    for task in tasks(dump, out)? {
        out.row(task.pid().to_string())?;
        let Some(space) = task.mm()? else { continue };
        let mappings = &space.mappings;
        let mut at = 0usize;
        let mut told = None;
        task.pages(|run| {
            while mappings.get(at).is_some_and(|mapping| mapping.end.0 <= run.vaddr) {
                at = at.saturating_add(1);
            }
            let end = run.vaddr.saturating_add(run.pages.saturating_mul(4096));
            let mut text = String::new();
            while let Some(mapping) = mappings.get(at).filter(|mapping| mapping.start.0 < end) {
                if told == Some(at) {
                    text.push_str(" ~");
                } else {
                    let _ = write!(text, " {:08x} / {:<8}", mapping.start.0, mapping.size() >> 12);
                    if mapping.status & status::FILE != 0 {
                        let _ = write!(text, " {}", file_of(dump, mapping)?);
                    }
                    told = Some(at);
                }
                let _ = write!(text, "\n\t{:23}", "");
                at = at.saturating_add(1);
            }
            // the last mapping may reach into the next run
            at = at.saturating_sub(1);
            let start = format!("\t{:x} / {:<8}", run.vaddr, run.pages);
            out.row(format!("{start:<24}{text}"))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_python_shows_them() {
        assert_eq!(literal(b"caf\xe9"), "b'caf\\xe9'");
        assert_eq!(literal(b"a'b\\\n\x01"), "b\"a'b\\\\\\n\\x01\"");
        assert_eq!(literal(b"'\""), "b'\\'\"'");
    }
}
