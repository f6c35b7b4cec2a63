//! What the kernel keeps of a task's memory: its mappings and what backs each, where its heap and arguments are.

use serde::{Serialize, Serializer};

use crate::base::{Address, Error, Listing, Name, Result};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::file::{FileType, Regular, Remap, What};
use crate::checkpoint::names;
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::object::v1;

/// What the kernel keeps of a task's memory.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Mm {
    /// The program: the number of its file in the dump.
    pub exe_file_id: u32,
    /// Start and end of the program's code.
    pub code: (Address, Address),
    /// Start and end of its data.
    pub data: (Address, Address),
    /// Start and end of the heap.
    pub brk: (Address, Address),
    /// Where the stack began.
    pub stack: Address,
    /// Start and end of the command line.
    pub arg: (Address, Address),
    /// Start and end of the environment.
    pub env: (Address, Address),
    /// What the kernel told the program at its start: pairs of kind and value.
    pub auxv: Vec<u64>,
    /// Whether the task may be traced and dumped by its user, as prctl numbers it.
    pub dumpable: Option<i32>,
    /// Whether huge pages are off.
    pub thp_disabled: bool,
    /// Its mappings, in the order of the dump: ascending, then ranges that guard others.
    pub mappings: Vec<Mapping>,
    /// Why the names of files that are mapped are not known, if they are not.
    #[serde(skip)]
    pub problems: Vec<Error>,
}

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mapping {
    /// First address.
    pub start: Address,
    /// The address behind the last.
    pub end: Address,
    /// Protection.
    pub prot: Prot,
    /// Flags of mmap.
    pub flags: MapFlags,
    /// What CRIU knows of it, bits as its sources name them.
    #[serde(serialize_with = "hex")]
    pub status: u32,
    /// Where it begins in what backs it, in bytes.
    pub pgoff: u64,
    /// Number of what backs it: a file, a segment.
    pub shmid: u64,
    /// Advice given to the kernel, a bit per MADV number.
    #[serde(serialize_with = "hex")]
    pub madv: u64,
    /// What backs it.
    #[serde(flatten)]
    pub backing: Backing,
    /// What is restored in place of the file that backs it, if the path no longer leads to it.
    pub remap: Option<Remap>,
}

fn hex<S: Serializer>(bits: &(impl Copy + Into<u64>), serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Address((*bits).into()))
}

/// Protection of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prot(pub u32);

impl std::fmt::Display for Prot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (bit, letter) in [(1, "r"), (2, "w"), (4, "x")] {
            f.write_str(if self.0 & bit != 0 { letter } else { "-" })?;
        }
        Ok(())
    }
}

impl Serialize for Prot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Flags of mmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapFlags(pub u32);

impl MapFlags {
    /// Whether writes reach others who map the same.
    pub fn is_shared(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether it consists of huge pages.
    pub fn is_huge(self) -> bool {
        self.0 & 0x4_0000 != 0
    }

    /// Whether it grows downwards when the address below is touched.
    pub fn grows_down(self) -> bool {
        self.0 & 0x100 != 0
    }
}

impl Serialize for MapFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Address(u64::from(self.0)))
    }
}

/// What backs a mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "backing", content = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backing {
    /// Nothing but memory.
    Anonymous,
    /// The stack of the task's first thread.
    Stack,
    /// Nothing but memory, and it grows downwards as a stack does; which of them is one only the program knows.
    GrowsDown,
    /// The heap.
    Heap,
    /// The kernel's code for the task.
    Vdso,
    /// The kernel's data for that code.
    Vvar,
    /// The kernel's old page of code.
    Vsyscall,
    /// A file; `None` if the dump lacks its path.
    File(Option<Name>),
    /// A memfd; `None` if the dump lacks its name.
    Memfd(Option<Name>),
    /// Memory shared by those who inherited it.
    Shared,
    /// A System V segment.
    #[serde(rename = "sysv")]
    SysV,
    /// A socket's ring.
    Socket,
    /// The ring of an asynchronous I/O context.
    Aio,
    /// A range that must not be touched.
    Guard,
    /// A stack of return addresses.
    ShadowStack,
    /// The kernel's code for probes.
    Uprobes,
    /// A device, known to a plugin.
    Device,
}

impl Backing {
    /// Whether it is shared memory that is dumped once, whoever maps it.
    pub fn is_segment(&self) -> bool {
        matches!(self, Self::Shared | Self::SysV | Self::Memfd(_))
    }
}

/// Bits of a mapping's status.
pub(crate) mod status {
    pub(crate) const STACK: u32 = 1 << 1;
    pub(crate) const VSYSCALL: u32 = 1 << 2;
    pub(crate) const VDSO: u32 = 1 << 3;
    pub(crate) const HEAP: u32 = 1 << 5;
    pub(crate) const FILE: u32 = 1 << 6 | 1 << 7;
    pub(crate) const FILE_SHARED: u32 = 1 << 7;
    pub(crate) const ANON_SHARED: u32 = 1 << 8;
    pub(crate) const SYSVIPC: u32 = 1 << 10;
    pub(crate) const SOCKET: u32 = 1 << 11;
    pub(crate) const VVAR: u32 = 1 << 12;
    pub(crate) const AIORING: u32 = 1 << 13;
    pub(crate) const MEMFD: u32 = 1 << 14;
    pub(crate) const SHSTK: u32 = 1 << 15;
    pub(crate) const GUARD: u32 = 1 << 16;
    pub(crate) const UPROBES: u32 = 1 << 17;
    pub(crate) const PLUGIN: u32 = 1 << 27;
}

impl Backing {
    /// Which kind it is, as JSON has it, in the order of [`KINDS`](Self::KINDS).
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Stack => "stack",
            Self::GrowsDown => "grows_down",
            Self::Heap => "heap",
            Self::Vdso => "vdso",
            Self::Vvar => "vvar",
            Self::Vsyscall => "vsyscall",
            Self::File(_) => "file",
            Self::Memfd(_) => "memfd",
            Self::Shared => "shared",
            Self::SysV => "sysv",
            Self::Socket => "socket",
            Self::Aio => "aio",
            Self::Guard => "guard",
            Self::ShadowStack => "shadow_stack",
            Self::Uprobes => "uprobes",
            Self::Device => "device",
        }
    }

    /// All that [`kind`](Self::kind) may say.
    pub const KINDS: [&'static str; 17] = [
        "anonymous",
        "stack",
        "grows_down",
        "heap",
        "vdso",
        "vvar",
        "vsyscall",
        "file",
        "memfd",
        "shared",
        "sysv",
        "socket",
        "aio",
        "guard",
        "shadow_stack",
        "uprobes",
        "device",
    ];
}

impl Mapping {
    /// Its bytes; 0 where a broken dump has the end before the start.
    pub fn size(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// What it is, in a word or a path, names escaped: `[heap]`, `/usr/bin/true (deleted)`, `[shared 7]`.
    pub fn what(&self) -> String {
        let text = match &self.backing {
            Backing::Anonymous => "[anon]".into(),
            Backing::File(Some(path)) => format!("{path}{}", Remap::mark(self.remap)),
            Backing::File(None) => return format!("file {} is not in the dump", self.shmid),
            Backing::Memfd(Some(name)) => format!("memfd:{name}"),
            Backing::Memfd(None) => return format!("memfd {} is not in the dump", self.shmid),
            Backing::Shared | Backing::SysV | Backing::Socket => format!("[{} {}]", self.backing.kind(), self.shmid),
            other => format!("[{}]", other.kind().replace('_', " ")),
        };
        if self.flags.is_huge() { format!("{text} huge pages") } else { text }
    }

    /// Whether the dump lacks the name of what backs it.
    pub fn is_lost(&self) -> bool {
        matches!(self.backing, Backing::File(None) | Backing::Memfd(None))
    }

    /// What the kernel keeps in mind of it, in words: flags as of mmap (`locked`, `noreserve`...) and advice as of
    /// madvise (`dontdump`, `mergeable`...). `/proc/PID/smaps` calls them VmFlags.
    pub fn vm_flags(&self) -> Vec<String> {
        let known = names::MAP.iter().fold(0, |all, (bit, _)| all | bit);
        let mut words = names::bits(u64::from(self.flags.0) & known, names::MAP);
        words.extend(names::bits(self.madv, names::ADVICE));
        words
    }
}

impl<'a> Task<'a> {
    /// What the kernel keeps of its memory; `None` for zombies and in pre-dumps.
    ///
    /// Errors: its image is broken.
    pub fn mm(&self) -> Result<Option<Mm>> {
        let Some(image) = self.dump.find(Kind::Mm, u64::from(self.pid()))? else { return Ok(None) };
        let mut entry = image.get(0)?.decode::<v1::MmEntry>()?;
        if entry.vmas.is_empty() {
            // before v1.2 they had an image of their own
            entry.vmas = self.old(Kind::Vmas)?;
        }
        let pair = |start: u64, end: u64| (Address(start), Address(end));
        Ok(Some(Mm {
            exe_file_id: entry.exe_file_id,
            code: pair(entry.mm_start_code, entry.mm_end_code),
            data: pair(entry.mm_start_data, entry.mm_end_data),
            brk: pair(entry.mm_start_brk, entry.mm_brk),
            stack: Address(entry.mm_start_stack),
            arg: pair(entry.mm_arg_start, entry.mm_arg_end),
            env: pair(entry.mm_env_start, entry.mm_env_end),
            dumpable: entry.dumpable,
            thp_disabled: entry.thp_disabled(),
            mappings: entry.vmas.iter().map(|vma| self.dump.mapping(vma, entry.mm_start_stack)).collect(),
            problems: self.dump.names_lost(&entry.vmas),
            auxv: entry.mm_saved_auxv,
        }))
    }

    /// Its mappings.
    ///
    /// Errors: as [`mm`](Self::mm).
    pub fn mappings(&self) -> Result<Listing<Mapping>> {
        let (items, problems) = self.mm()?.map(|mm| (mm.mappings, mm.problems)).unwrap_or_default();
        Ok(Listing { items, problems })
    }
}

impl Checkpoint {
    /// The path of the file with a path that has this number; `None` if there is none.
    ///
    /// Errors: the image of files cannot be opened.
    pub fn path(&self, id: u32) -> Result<Option<Name>> {
        Ok(self.regular(id)?.map(|file| file.path.clone()))
    }

    fn regular(&self, id: u32) -> Result<Option<&Regular>> {
        Ok(self.files()?.get(FileType::REG, id).and_then(|file| match &file.what {
            What::Regular(file) => Some(file),
            _ => None,
        }))
    }

    /// Why the names of the files that these map are not known: that costs the names, and not the memory.
    fn names_lost(&self, vmas: &[v1::VmaEntry]) -> Vec<Error> {
        let names_files = vmas.iter().any(|vma| vma.status & (status::FILE | status::MEMFD) != 0);
        self.files().err().filter(|_| names_files).into_iter().collect()
    }

    fn mapping(&self, vma: &v1::VmaEntry, stack: u64) -> Mapping {
        let backing = self.backing(vma, stack);
        let remap = match (&backing, u32::try_from(vma.shmid)) {
            (Backing::File(_), Ok(id)) => self.regular(id).ok().flatten().and_then(|file| file.remap),
            _ => None,
        };
        Mapping {
            start: Address(vma.start),
            end: Address(vma.end),
            prot: Prot(vma.prot),
            flags: MapFlags(vma.flags),
            status: vma.status,
            pgoff: vma.pgoff,
            shmid: vma.shmid,
            madv: vma.madv(),
            backing,
            remap,
        }
    }

    fn backing(&self, vma: &v1::VmaEntry, stack: u64) -> Backing {
        let is = |bits: u32| vma.status & bits != 0;
        let file = u32::try_from(vma.shmid).ok();
        if is(status::SYSVIPC) {
            Backing::SysV
        } else if is(status::MEMFD) {
            let memfd = file.and_then(|id| self.files().ok()?.get(FileType::MEMFD, id));
            Backing::Memfd(memfd.and_then(|file| match &file.what {
                What::Memfd(memfd) => Some(memfd.name.clone()),
                _ => None,
            }))
        } else if is(status::ANON_SHARED) {
            Backing::Shared
        } else if is(status::SOCKET) {
            Backing::Socket
        } else if is(status::PLUGIN) {
            Backing::Device
        } else if is(status::FILE) {
            Backing::File(file.and_then(|id| self.path(id).ok()?))
        } else if is(status::GUARD) {
            Backing::Guard
        } else if is(status::SHSTK) {
            Backing::ShadowStack
        } else if is(status::UPROBES) {
            Backing::Uprobes
        } else if is(status::AIORING) {
            Backing::Aio
        } else if is(status::STACK) {
            Backing::Stack
        } else if is(status::VSYSCALL) {
            Backing::Vsyscall
        } else if is(status::VDSO) {
            Backing::Vdso
        } else if is(status::VVAR) {
            Backing::Vvar
        } else if is(status::HEAP) {
            Backing::Heap
        } else if vma.start <= stack && stack <= vma.end {
            // today's CRIU has no bit for it; the kernel too calls that the stack
            Backing::Stack
        } else if MapFlags(vma.flags).grows_down() {
            Backing::GrowsDown
        } else {
            Backing::Anonymous
        }
    }
}
