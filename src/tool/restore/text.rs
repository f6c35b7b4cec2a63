//! A plan as text.

use std::fmt;

use crate::base::Size;
use crate::checkpoint::mm::Backing;
use crate::memory::Content;
use crate::tool::restore::plan::{Fragment, Plan, What};

impl fmt::Display for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("mapped", self.count(|what| matches!(what, What::Map { .. }))),
            ("copied", self.count(|what| what.is_copied(true))),
            ("left to files", self.count(|what| what == What::Left)),
            ("missing", self.count(|what| what == What::Missing)),
        ];
        let kinds = kinds.iter().filter(|(_, (count, _))| *count > 0);
        let kinds: Vec<_> = kinds.map(|(kind, (count, bytes))| format!("{count} {kind} ({})", Size(*bytes))).collect();
        let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
        writeln!(f, "fragments: {kinds}; maps: {}, at most {}", self.maps, self.options().maps)?;
        let ranges = self.areas.iter().flat_map(|area| {
            let own = std::iter::once((area.start, area.end));
            own.chain(area.fragments.iter().map(|fragment| (fragment.start, fragment.end)))
        });
        let others = self.left_out.iter().map(|left| (left.start, left.end));
        let width = ranges.chain(others).map(|(start, end)| format!("{start}-{end}").len()).max().unwrap_or(0);
        for area in &self.areas {
            let range = format!("{}-{}", area.start, area.end);
            writeln!(
                f,
                "{range:<width$}  {:>6}  {}  {}",
                size(area.start.0, area.end.0),
                area.prot,
                Backed(&area.backing)
            )?;
            for fragment in &area.fragments {
                self.line(f, fragment, width)?;
            }
        }
        for left in &self.left_out {
            let range = format!("{}-{}", left.start, left.end);
            writeln!(
                f,
                "{range:<width$}  {:>6}  not private: {}",
                size(left.start.0, left.end.0),
                Backed(&left.backing)
            )?;
        }
        Ok(())
    }
}

impl Plan<'_> {
    fn line(&self, f: &mut fmt::Formatter<'_>, fragment: &Fragment, width: usize) -> fmt::Result {
        let range = format!("{}-{}", fragment.start, fragment.end);
        write!(f, "{range:<width$}  {:>6}    ", size(fragment.start.0, fragment.end.0))?;
        let name = |image: u32| {
            let image = usize::try_from(image).ok().and_then(|number| self.images.get(number));
            image.map_or("", |image| image.name.as_str())
        };
        match fragment.what {
            What::Map { image, offset } => writeln!(f, "map {} at {offset:#x}", name(image)),
            What::Copy { image, offset } => writeln!(f, "copy {} at {offset:#x}", name(image)),
            What::Unpack => writeln!(f, "unpack"),
            What::Nothing => writeln!(f, "nothing"),
            What::Left => match self.space.runs(fragment.start.0..fragment.end.0).next().map(|run| run.content) {
                Some(Content::File { offset, .. }) => writeln!(f, "left to the file at {offset:#x}"),
                _ => writeln!(f, "left to the file"),
            },
            What::Missing => writeln!(f, "missing: {}", self.space.fault(fragment.start.0)),
        }
    }
}

fn size(start: u64, end: u64) -> String {
    Size(end.saturating_sub(start)).to_string()
}

/// What backs an area, in words.
struct Backed<'a>(&'a Backing);

impl fmt::Display for Backed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Backing::File(Some(name)) => write!(f, "{name}"),
            Backing::File(None) => f.write_str("[file]"),
            Backing::Memfd(Some(name)) => write!(f, "memfd:{name}"),
            Backing::Memfd(None) => f.write_str("[memfd]"),
            other => f.write_str(word(other)),
        }
    }
}

fn word(backing: &Backing) -> &'static str {
    match backing {
        Backing::Anonymous => "[anon]",
        Backing::Stack => "[stack]",
        Backing::GrowsDown => "[grows down]",
        Backing::Heap => "[heap]",
        Backing::Vdso => "[vdso]",
        Backing::Vvar => "[vvar]",
        Backing::Vsyscall => "[vsyscall]",
        Backing::File(_) => "[file]",
        Backing::Memfd(_) => "[memfd]",
        Backing::Shared => "[shared]",
        Backing::SysV => "[sysv]",
        Backing::Socket => "[socket]",
        Backing::Aio => "[aio]",
        Backing::Guard => "[guard]",
        Backing::ShadowStack => "[shadow stack]",
        Backing::Uprobes => "[uprobes]",
        Backing::Device => "[device]",
    }
}
