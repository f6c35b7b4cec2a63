//! The command line and the environment of a task, as they are in its memory.

use bytes::Bytes;

use crate::base::{Error, Name, Result};
use crate::checkpoint::mm::Mm;
use crate::checkpoint::space::AddressSpace;
use crate::checkpoint::task::Task;

/// More than the kernel lets any program have of arguments and environment together (6 MiB), in bytes. Only who may
/// set the addresses by hand has more, or who wrote the dump.
const MOST: u64 = 8 << 20;

/// As many as fit in with 8 MiB of stack, of which a quarter may be pointers to them; each takes memory of its own.
const STRINGS: usize = 1 << 18;

/// The command line of a task, as `/proc/PID/cmdline` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// Its bytes: arguments, each with a NUL behind it unless the program took it away.
    pub bytes: Bytes,
    /// Whether the program wrote a title over its arguments (setproctitle): one text, of which nobody knows where its
    /// arguments are.
    pub is_title: bool,
}

impl CommandLine {
    /// The arguments; of a title that alone.
    pub fn arguments(&self) -> Vec<Name> {
        strings(&self.bytes)
    }
}

/// Arguments in one line, escaped; those that have something in them that would part them are in quotes. A title stands
/// as it is, and so does a text with nothing but empty arguments behind it: that is how programs write a title that
/// leave the last NUL where it is.
pub fn shown(arguments: &[Name], is_title: bool) -> String {
    let parts = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'\'' | b'"');
    let mut names = arguments.iter().map(|argument| (argument, argument.as_bytes()));
    match names.next() {
        Some((first, bytes))
            if is_title || bytes.contains(&b' ') && arguments.len() > 1 && names.all(|(_, bytes)| bytes.is_empty()) =>
        {
            return first.to_string();
        }
        _ => {}
    }
    let words = arguments.iter().map(|argument| {
        let (escaped, bytes) = (argument.to_string(), argument.as_bytes());
        match bytes.is_empty() || bytes.iter().any(parts) {
            true => format!("\"{}\"", escaped.replace('"', "\\\"")),
            false => escaped,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Strings with a NUL behind each; the last may lack it.
fn strings(bytes: &Bytes) -> Vec<Name> {
    let body = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    body.split(|byte| *byte == 0).map(|text| Name::from(bytes.slice_ref(text))).collect()
}

/// The environment of a task, as `/proc/PID/environ` has it: what the program was started with. What it set since is
/// in memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Its bytes: variables, each with a NUL behind it.
    pub bytes: Bytes,
}

/// A variable of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// What is before the first `=`; all, if there is none.
    pub name: Name,
    /// What is behind it; `None` if there is none.
    pub value: Option<Name>,
}

impl Environment {
    /// The variables, in order, those that come twice too. Empty strings, which a title leaves where variables were,
    /// are none.
    pub fn variables(&self) -> impl Iterator<Item = Variable> {
        let texts = self.bytes.split(|byte| *byte == 0).filter(|text| !text.is_empty());
        texts.map(|text| {
            let name = |part: &[u8]| Name::from(self.bytes.slice_ref(part));
            match text.iter().position(|byte| *byte == b'=').and_then(|at| text.split_at_checked(at)) {
                Some((before, behind)) => {
                    Variable { name: name(before), value: Some(name(behind.get(1..).unwrap_or_default())) }
                }
                None => Variable { name: name(text), value: None },
            }
        })
    }
}

impl Task<'_> {
    /// Its command line; `None` for zombies and in pre-dumps, which do not say where it is.
    ///
    /// Errors: its mappings or pagemap cannot be read, a part of it is not in the dump (the error says at which address
    /// and why), or it is said to be longer than 8 MiB or
    /// to have more than 262,144 strings.
    pub fn command_line(&self) -> Result<Option<CommandLine>> {
        let Some((mm, space)) = self.mm_and_space()? else { return Ok(None) };
        self.command_line_in(&mm, &space).map(Some)
    }

    /// Its environment; `None` as for [`command_line`](Self::command_line).
    ///
    /// Errors: as for [`command_line`](Self::command_line).
    pub fn environment(&self) -> Result<Option<Environment>> {
        let Some((mm, space)) = self.mm_and_space()? else { return Ok(None) };
        let (start, end) = (mm.env.0.0, mm.env.1.0);
        let bytes = self.range("environment", &space, start, end)?;
        Ok(Some(Environment { bytes }))
    }

    fn mm_and_space(&self) -> Result<Option<(Mm, AddressSpace)>> {
        let Some(mm) = self.mm()? else { return Ok(None) };
        Ok(self.address_space()?.map(|space| (mm, space)))
    }

    fn command_line_in(&self, mm: &Mm, space: &AddressSpace) -> Result<CommandLine> {
        let (start, end) = (mm.arg.0.0, mm.arg.1.0);
        // a kernel shows nothing of a task that has no environment's end: it did not come so far
        if start >= end || mm.env.1.0 == 0 {
            return Ok(CommandLine::default());
        }
        let mut last = [0];
        let is_title = space.read(end.saturating_sub(1), &mut last).is_ok() && last != [0];
        if !is_title {
            return Ok(CommandLine { bytes: self.range("command line", space, start, end)?, is_title });
        }
        // a program that takes the NUL away has a text in place of its arguments; it may go on over the environment,
        // if that is right behind them, and the kernel looks through one page for its end
        let room = if mm.env.0.0 == end { mm.env.1.0.max(end) } else { end };
        let most = room.saturating_sub(start).min(space.page_size());
        let mut bytes = vec![0; usize::try_from(most).unwrap_or(0)];
        let text = match space.read(start, &mut bytes) {
            Ok(()) => upto_nul(&bytes),
            // as far as it can be read, if it ends there
            Err(error) => match first_fault(space, start, start.saturating_add(most)) {
                fault if fault > start => {
                    let there = usize::try_from(fault.saturating_sub(start)).unwrap_or(0);
                    let text = upto_nul(bytes.get(..there).unwrap_or_default());
                    if text.last() != Some(&0) {
                        return Err(self.about("command line", error));
                    }
                    text
                }
                _ => return Err(self.about("command line", error)),
            },
        };
        Ok(CommandLine { bytes: Bytes::copy_from_slice(text), is_title })
    }

    fn range(&self, what: &str, space: &AddressSpace, start: u64, end: u64) -> Result<Bytes> {
        let length = end.saturating_sub(start);
        if length > MOST {
            let text = format!("the {what} of task {} would have {length} bytes, expected at most {MOST}", self.pid());
            return Err(
                Error::limit(text).hint(format!("`icecore mem DIR {} {start:#x}` shows what is there", self.pid()))
            );
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        space.read(start, &mut bytes).map_err(|error| self.about(what, error))?;
        let strings = memchr::memchr_iter(0, &bytes).count();
        if strings > STRINGS {
            let text =
                format!("the {what} of task {} would have {strings} strings, expected at most {STRINGS}", self.pid());
            return Err(Error::limit(text));
        }
        Ok(bytes.into())
    }

    fn about(&self, what: &str, error: Error) -> Error {
        error.hint(format!("the {what} of task {} is there", self.pid()))
    }
}

/// What is before the first NUL, and that.
fn upto_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).map_or(bytes.len(), |at| at.saturating_add(1));
    bytes.get(..end).unwrap_or_default()
}

/// The first address of a range that has no bytes; its end, if all have.
fn first_fault(space: &AddressSpace, start: u64, end: u64) -> u64 {
    use crate::memory::Content;
    let mut at = start;
    for run in space.runs(start..end) {
        if run.start > at || !matches!(run.content, Content::Stored(_) | Content::Zero) {
            break;
        }
        at = run.end;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &'static [u8]) -> Vec<String> {
        let line = CommandLine { bytes: Bytes::from_static(bytes), is_title: false };
        line.arguments().iter().map(Name::to_string).collect()
    }

    #[test]
    fn arguments_end_with_nul() {
        assert_eq!(line(b"a\0b c\0"), ["a", "b c"]);
        assert_eq!(line(b"a\0\0\0"), ["a", "", ""]);
        assert_eq!(line(b"\0"), [""]);
        assert_eq!(line(b"title"), ["title"]);
        assert!(line(b"").is_empty());
    }

    #[test]
    fn shown_in_one_line() {
        let names = |texts: &[&'static str]| texts.iter().map(|text| Name::from(*text)).collect::<Vec<_>>();
        assert_eq!(
            shown(&names(&["sh", "-c", "echo \"a\"\n\x1b", "", "it's"]), false),
            r#"sh -c "echo \"a\"\n\x1b" "" "it's""#
        );
        assert_eq!(shown(&names(&["worker: idle 1"]), true), "worker: idle 1");
        assert_eq!(shown(&names(&["worker: idle 1", "", ""]), false), "worker: idle 1");
        assert_eq!(shown(&names(&["a b"]), false), "\"a b\"");
        assert_eq!(shown(&[], false), "");
    }

    #[test]
    fn variables_are_cut_at_the_first_equals_sign() {
        let bytes = Bytes::from_static(b"A=1\0B=x=y\0C\0=D\0\0E=\0");
        let found: Vec<_> = Environment { bytes }
            .variables()
            .map(|variable| (variable.name.to_string(), variable.value.map(|value| value.to_string())))
            .collect();
        let want = [("A", Some("1")), ("B", Some("x=y")), ("C", None), ("", Some("D")), ("E", Some(""))];
        assert_eq!(found, want.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))));
    }
}
