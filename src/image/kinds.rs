//! THE table: one row per kind of image. Everything that depends on the kind reads it from here.
//!
//! # How to add a kind
//!
//! 1. Write its message into `proto/v1/` (the file of its subject).
//! 2. Add a row here: variant, number (never reused), name, V1 magic (0: has none), file name, what the number in it
//!    means, first word, shape, messages (the first entry's, the others'), what follows an entry, status.
//!
//! That is all: detection, framing, JSON, `show`, and the tests that compare this table with
//! `tests/tables/images.tsv` follow. Source: the tables of CRIU 4.2 and 4.3, and its history back to v0.1.

use crate::image::payload::Payload;
use crate::wire::v1;

/// The word before the magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstWord {
    /// There is none: inventories, raw files, all images of v1.0.
    Absent,
    /// `19 43 56 54`.
    Common,
    /// `40 59 10 55`.
    Service,
}

impl FirstWord {
    /// Its value; `None` if there is none.
    pub fn value(self) -> Option<u32> {
        match self {
            FirstWord::Absent => None,
            FirstWord::Common => Some(v1::COMMON),
            FirstWord::Service => Some(v1::SERVICE),
        }
    }
}

/// How an image of a kind is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One entry.
    Single,
    /// Any number of entries of one message.
    Array,
    /// An entry of one message, then any number of another.
    HeadArray,
    /// Bytes without framing.
    Raw,
    /// A length of 64 bits and one message.
    Plugin,
    /// A length of 64 bits and bytes; the length may be garbage.
    PluginPages,
    /// A magic, then addresses with one page each (v0.1 to v0.4).
    OldPages,
}

impl Shape {
    /// Whether such an image has entries, each with its size before it.
    pub fn is_framed(self) -> bool {
        matches!(self, Shape::Single | Shape::Array | Shape::HeadArray)
    }
}

/// Who writes images of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// CRIU 4.3.
    Current,
    /// Older CRIU.
    Historic,
    /// A plugin of CRIU.
    Plugin,
    /// Nobody ever did; CRIU has the name.
    Dead,
}

/// What the table says about one kind.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// Its name, unique.
    pub name: &'static str,
    /// Its magic in V1; 0 if it has none. Several kinds may share one.
    pub magic: u32,
    /// Its file name, with the conversions of printf; empty if it never had one.
    pub file: &'static str,
    /// What the first number in the file name means; empty if there is none.
    pub id: &'static str,
    /// The word before the magic, in images of v1.1 and later.
    pub first_word: FirstWord,
    /// How it is made up.
    pub shape: Shape,
    /// Message of the first entry, and of the others where that is another.
    pub messages: &'static [&'static str],
    /// What follows each entry.
    pub payload: Payload,
    /// Who writes it.
    pub status: Status,
}

macro_rules! kinds {
    ($($kind:ident = $number:literal, $name:literal, $magic:literal, $file:literal, $id:literal, $word:ident, $shape:ident, [$($message:literal),*], $payload:expr, $status:ident;)*) => {
        /// A kind of image. The numbers are those of version 2 of the format and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`, ", $file)] $kind = $number,)*
        }

        /// All kinds, in the order of their numbers.
        pub static KINDS: &[Row] = {
            use FirstWord::{Absent, Common, Service};
            use Payload::{Array as Values, Fields, Ghost, Messages, Nothing};
            use Shape::{Array, HeadArray, OldPages, Plugin, PluginPages, Raw, Single};
            &[$(Row {
                kind: Kind::$kind, name: $name, magic: $magic, file: $file, id: $id, first_word: $word,
                shape: $shape, messages: &[$($message),*], payload: $payload, status: Status::$status,
            },)*]
        };
    };
}

kinds! {
    Inventory      = 1,  "INVENTORY",        0x5831_3116, "inventory.img",                    "",                   Absent,  Single,      ["inventory_entry"],               Nothing, Current;
    Stats          = 2,  "STATS",            0x5709_3306, "stats-%s",                         "0 dump, 1 restore",  Service, Single,      ["stats_entry"],                   Nothing, Current;
    Core           = 3,  "CORE",             0x5505_3847, "core-%u.img",                      "tid",                Common,  Single,      ["core_entry"],                    Nothing, Current;
    Ids            = 4,  "IDS",              0x5443_2030, "ids-%u.img",                       "pid",                Common,  Single,      ["task_kobj_ids_entry"],           Nothing, Current;
    Mm             = 5,  "MM",               0x5749_2820, "mm-%u.img",                        "pid",                Common,  Single,      ["mm_entry"],                      Nothing, Current;
    Fs             = 6,  "FS",               0x5140_3912, "fs-%u.img",                        "pid",                Common,  Single,      ["fs_entry"],                      Nothing, Current;
    Pagemap        = 7,  "PAGEMAP",          0x5608_4025, "pagemap-%lu.img",                  "pid",                Common,  HeadArray,   ["pagemap_head", "pagemap_entry"], Nothing, Current;
    PagemapShmem   = 8,  "PAGEMAP_SHMEM",    0x5608_4025, "pagemap-shmem-%lu.img",            "shmid",              Common,  HeadArray,   ["pagemap_head", "pagemap_entry"], Nothing, Current;
    Pages          = 9,  "PAGES",            0,           "pages-%u.img",                     "pages_id",           Absent,  Raw,         [],                                Nothing, Current;
    Pstree         = 10, "PSTREE",           0x5027_3030, "pstree.img",                       "",                   Common,  Array,       ["pstree_entry"],                  Nothing, Current;
    Fdinfo         = 11, "FDINFO",           0x5621_3732, "fdinfo-%u.img",                    "files_id",           Common,  Array,       ["fdinfo_entry"],                  Nothing, Current;
    Files          = 12, "FILES",            0x5630_3138, "files.img",                        "",                   Common,  Array,       ["file_entry"],                    Nothing, Current;
    SkQueues       = 13, "SK_QUEUES",        0x5626_4026, "sk-queues.img",                    "",                   Common,  Array,       ["sk_packet_entry"],               Fields(&[2]), Current;
    PipesData      = 14, "PIPES_DATA",       0x5645_3709, "pipes-data.img",                   "",                   Common,  Array,       ["pipe_data_entry"],               Fields(&[2]), Current;
    FifoData       = 15, "FIFO_DATA",        0x5933_3054, "fifo-data.img",                    "",                   Common,  Array,       ["pipe_data_entry"],               Fields(&[2]), Current;
    TtyInfo        = 16, "TTY_INFO",         0x5945_3036, "tty-info.img",                     "",                   Common,  Array,       ["tty_info_entry"],                Nothing, Current;
    TtyData        = 17, "TTY_DATA",         0x5941_3026, "tty-data.img",                     "",                   Common,  Array,       ["tty_data_entry"],                Nothing, Current;
    RemapFpath     = 18, "REMAP_FPATH",      0x5913_3954, "remap-fpath.img",                  "",                   Common,  Array,       ["remap_file_path_entry"],         Nothing, Current;
    GhostFile      = 19, "GHOST_FILE",       0x5258_3605, "ghost-file-%x.img",                "ghost id",           Common,  HeadArray,   ["ghost_file_entry", "ghost_chunk_entry"], Ghost { chunks: 9, length: 1 }, Current;
    TcpStream      = 20, "TCP_STREAM",       0x5146_5506, "tcp-stream-%x.img",                "socket inode",       Common,  Single,      ["tcp_stream_entry"],              Fields(&[1, 3]), Current;
    Cgroup         = 21, "CGROUP",           0x5938_3330, "cgroup.img",                       "",                   Common,  Single,      ["cgroup_entry"],                  Nothing, Current;
    FileLocks      = 22, "FILE_LOCKS",       0x5432_3616, "filelocks.img",                    "",                   Common,  Array,       ["file_lock_entry"],               Nothing, Current;
    Seccomp        = 23, "SECCOMP",          0x6441_3049, "seccomp.img",                      "",                   Common,  Single,      ["seccomp_entry"],                 Nothing, Current;
    Apparmor       = 24, "APPARMOR",         0x5942_3047, "apparmor.img",                     "",                   Common,  Single,      ["apparmor_entry"],                Nothing, Current;
    MemfdInode     = 25, "MEMFD_INODE",      0x4845_3499, "memfd.img",                        "",                   Common,  Array,       ["memfd_inode_entry"],             Nothing, Current;
    BpfmapData     = 26, "BPFMAP_DATA",      0x6432_4033, "bpfmap-data.img",                  "",                   Common,  Array,       ["bpfmap_data_entry"],             Fields(&[2, 3]), Current;
    Utsns          = 27, "UTSNS",            0x5447_3203, "utsns-%u.img",                     "uts namespace id",   Common,  Single,      ["utsns_entry"],                   Nothing, Current;
    IpcVar         = 28, "IPC_VAR",          0x5311_5007, "ipcns-var-%u.img",                 "ipc namespace id",   Common,  Single,      ["ipc_var_entry"],                 Nothing, Current;
    IpcnsShm       = 29, "IPCNS_SHM",        0x4628_3044, "ipcns-shm-%u.img",                 "ipc namespace id",   Common,  Array,       ["ipc_shm_entry"],                 Values { count: 2, bits: 64, unit: 1, pad: 4, unless: 3 }, Current;
    IpcnsMsg       = 30, "IPCNS_MSG",        0x5545_3737, "ipcns-msg-%u.img",                 "ipc namespace id",   Common,  Array,       ["ipc_msg_entry"],                 Messages { count: 3, length: 2, pad: 8 }, Current;
    IpcnsSem       = 31, "IPCNS_SEM",        0x5957_3019, "ipcns-sem-%u.img",                 "ipc namespace id",   Common,  Array,       ["ipc_sem_entry"],                 Values { count: 2, bits: 32, unit: 2, pad: 8, unless: 0 }, Current;
    Mnts           = 32, "MNTS",             0x5556_3928, "mountpoints-%u.img",               "mount namespace id", Common,  Array,       ["mnt_entry"],                     Nothing, Current;
    Userns         = 33, "USERNS",           0x5547_4906, "userns-%u.img",                    "user namespace id",  Common,  Single,      ["userns_entry"],                  Nothing, Current;
    Timens         = 34, "TIMENS",           0x4311_4433, "timens-%u.img",                    "time namespace id, 0 CRIU's", Common,  Single,      ["timens_entry"],                  Nothing, Current;
    Pidns          = 35, "PIDNS",            0x6115_7326, "pidns-%u.img",                     "pid namespace id",   Common,  Single,      ["pidns_entry"],                   Nothing, Current;
    Netns          = 36, "NETNS",            0x5593_3752, "netns-%u.img",                     "net namespace id",   Common,  Single,      ["netns_entry"],                   Nothing, Current;
    Netdev         = 37, "NETDEV",           0x5737_3951, "netdev-%u.img",                    "net namespace id",   Common,  Array,       ["net_device_entry"],              Nothing, Current;
    Ifaddr         = 38, "IFADDR",           0,           "ifaddr-%u.img",                    "net namespace id",   Absent,  Raw,         [],                                Nothing, Current;
    Route          = 39, "ROUTE",            0,           "route-%u.img",                     "net namespace id",   Absent,  Raw,         [],                                Nothing, Current;
    Route6         = 40, "ROUTE6",           0,           "route6-%u.img",                    "net namespace id",   Absent,  Raw,         [],                                Nothing, Current;
    Rule           = 41, "RULE",             0,           "rule-%u.img",                      "net namespace id",   Absent,  Raw,         [],                                Nothing, Current;
    Iptables       = 42, "IPTABLES",         0,           "iptables-%u.img",                  "net namespace id",   Absent,  Raw,         [],                                Nothing, Current;
    Ip6tables      = 43, "IP6TABLES",        0,           "ip6tables-%u.img",                 "net namespace id",   Absent,  Raw,         [],                                Nothing, Current;
    Nftables       = 44, "NFTABLES",         0,           "nftables-%u.img",                  "net namespace id",   Absent,  Raw,         [],                                Nothing, Current;
    NetnfCt        = 45, "NETNF_CT",         0,           "netns-ct-%u.img",                  "net namespace id",   Absent,  Raw,         [],                                Nothing, Current;
    NetnfExp       = 46, "NETNF_EXP",        0,           "netns-exp-%u.img",                 "net namespace id",   Absent,  Raw,         [],                                Nothing, Current;
    TmpfsDev       = 47, "TMPFS_DEV",        0,           "tmpfs-dev-%u.tar.gz.img",          "device number",      Absent,  Raw,         [],                                Nothing, Current;
    Autofs         = 48, "AUTOFS",           0x4935_3943, "autofs-%u.img",                    "device number",      Common,  Single,      ["autofs_entry"],                  Nothing, Current;
    Cpuinfo        = 49, "CPUINFO",          0x6140_4013, "cpuinfo.img",                      "",                   Common,  Single,      ["cpuinfo_entry"],                 Nothing, Current;
    IrmapCache     = 50, "IRMAP_CACHE",      0x5700_4059, "irmap-cache",                      "",                   Service, Array,       ["irmap_cache_entry"],             Nothing, Current;
    RegFiles       = 51, "REG_FILES",        0x5036_3636, "reg-files.img",                    "",                   Common,  Array,       ["reg_file_entry"],                Nothing, Historic;
    NsFiles        = 52, "NS_FILES",         0x6139_4011, "ns-files.img",                     "",                   Common,  Array,       ["ns_file_entry"],                 Nothing, Historic;
    Inetsk         = 53, "INETSK",           0x5644_3851, "inetsk.img",                       "",                   Common,  Array,       ["inet_sk_entry"],                 Nothing, Historic;
    Unixsk         = 54, "UNIXSK",           0x5437_3943, "unixsk.img",                       "",                   Common,  Array,       ["unix_sk_entry"],                 Nothing, Historic;
    Packetsk       = 55, "PACKETSK",         0x6045_4618, "packetsk.img",                     "",                   Common,  Array,       ["packet_sock_entry"],             Nothing, Historic;
    NetlinkSk      = 56, "NETLINK_SK",       0x5800_5614, "netlinksk.img",                    "",                   Common,  Array,       ["netlink_sk_entry"],              Nothing, Historic;
    EventfdFile    = 57, "EVENTFD_FILE",     0x4452_3722, "eventfd.img",                      "",                   Common,  Array,       ["eventfd_file_entry"],            Nothing, Historic;
    EventpollFile  = 58, "EVENTPOLL_FILE",   0x4502_3858, "eventpoll.img",                    "",                   Common,  Array,       ["eventpoll_file_entry"],          Nothing, Historic;
    Signalfd       = 59, "SIGNALFD",         0x5732_3820, "signalfd.img",                     "",                   Common,  Array,       ["signalfd_entry"],                Nothing, Historic;
    Tunfile        = 60, "TUNFILE",          0x5714_3751, "tunfile.img",                      "",                   Common,  Array,       ["tunfile_entry"],                 Nothing, Historic;
    Timerfd        = 61, "TIMERFD",          0x5049_3712, "timerfd.img",                      "",                   Common,  Array,       ["timerfd_entry"],                 Nothing, Historic;
    InotifyFile    = 62, "INOTIFY_FILE",     0x4842_4431, "inotify.img",                      "",                   Common,  Array,       ["inotify_file_entry"],            Nothing, Historic;
    FanotifyFile   = 63, "FANOTIFY_FILE",    0x5509_6122, "fanotify.img",                     "",                   Common,  Array,       ["fanotify_file_entry"],           Nothing, Historic;
    ExtFiles       = 64, "EXT_FILES",        0x5925_5641, "ext-files.img",                    "",                   Common,  Array,       ["ext_file_entry"],                Nothing, Historic;
    Fifo           = 65, "FIFO",             0x5836_4939, "fifo.img",                         "",                   Common,  Array,       ["fifo_entry"],                    Nothing, Historic;
    Pipes          = 66, "PIPES",            0x5651_3555, "pipes.img",                        "",                   Common,  Array,       ["pipe_entry"],                    Nothing, Historic;
    TtyFiles       = 67, "TTY_FILES",        0x5943_3025, "tty.img",                          "",                   Common,  Array,       ["tty_file_entry"],                Nothing, Historic;
    EventpollTfd   = 68, "EVENTPOLL_TFD",    0x4443_3746, "eventpoll-tfd.img",                "",                   Common,  Array,       ["eventpoll_tfd_entry"],           Nothing, Historic;
    InotifyWd      = 69, "INOTIFY_WD",       0x5456_2009, "inotify-wd.img",                   "",                   Common,  Array,       ["inotify_wd_entry"],              Nothing, Historic;
    FanotifyMark   = 70, "FANOTIFY_MARK",    0x5650_6035, "fanotify-mark.img",                "",                   Common,  Array,       ["fanotify_mark_entry"],           Nothing, Historic;
    Vmas           = 71, "VMAS",             0x5412_3737, "vmas-%u.img",                      "pid",                Common,  Array,       ["vma_entry"],                     Nothing, Historic;
    Sigact         = 72, "SIGACT",           0x5534_4201, "sigacts-%u.img",                   "pid",                Common,  Array,       ["sa_entry"],                      Nothing, Historic;
    Creds          = 73, "CREDS",            0x5402_3547, "creds-%u.img",                     "pid",                Common,  Single,      ["creds_entry"],                   Nothing, Historic;
    Rlimit         = 74, "RLIMIT",           0x5711_3925, "rlimit-%u.img",                    "pid",                Common,  Array,       ["rlimit_entry"],                  Nothing, Historic;
    Itimers        = 75, "ITIMERS",          0x5746_4056, "itimers-%u.img",                   "pid",                Common,  Array,       ["itimer_entry"],                  Nothing, Historic;
    PosixTimers    = 76, "POSIX_TIMERS",     0x5260_3957, "posix-timers-%u.img",              "pid",                Common,  Array,       ["posix_timer_entry"],             Nothing, Historic;
    Signal         = 77, "SIGNAL",           0x5925_5647, "signal-s-%u.img",                  "pid",                Common,  Array,       ["siginfo_entry"],                 Nothing, Historic;
    SignalPrivate  = 78, "SIGNAL_PRIVATE",   0x5925_5647, "signal-p-%u.img",                  "tid",                Common,  Array,       ["siginfo_entry"],                 Nothing, Historic;
    TmpfsImg       = 79, "TMPFS_IMG",        0,           "tmpfs-%u.tar.gz.img",              "mnt_id",             Absent,  Raw,         [],                                Nothing, Historic;
    BinfmtMisc     = 80, "BINFMT_MISC",      0x6734_3323, "binfmt-misc.img",                  "",                   Common,  Array,       ["binfmt_misc_entry"],             Nothing, Historic;
    BinfmtMiscOld  = 81, "BINFMT_MISC_OLD",  0x6734_3323, "binfmt-misc-%u.img",               "device number",      Common,  Array,       ["binfmt_misc_entry"],             Nothing, Historic;
    BpfmapFile     = 82, "BPFMAP_FILE",      0x5750_6142, "bpfmap-file.img",                  "",                   Common,  Array,       ["bpfmap_file_entry"],             Nothing, Dead;
    Pidfd          = 83, "PIDFD",            0x5443_5556, "pidfd.img",                        "",                   Common,  Array,       ["pidfd_entry"],                   Nothing, Dead;
    MemfdFile      = 84, "MEMFD_FILE",       0,           "",                                 "",                   Common,  Array,       ["memfd_file_entry"],              Nothing, Dead;
    PagesOld       = 85, "PAGES_OLD",        0x5608_4025, "pages-%d.img",                     "pid",                Absent,  OldPages,    [],                                Nothing, Historic;
    ShmPagesOld    = 86, "SHM_PAGES_OLD",    0x5608_4025, "pages-shmem-%ld.img",              "shmid",              Absent,  OldPages,    [],                                Nothing, Historic;
    FileLocksPid   = 87, "FILE_LOCKS_PID",   0x5432_3616, "filelocks-%u.img",                 "pid",                Common,  Array,       ["file_lock_entry"],               Nothing, Historic;
    AmdgpuKfd      = 88, "AMDGPU_KFD",       0,           "amdgpu-kfd-%d.img",                "file id",            Absent,  Plugin,      ["criu_kfd"],                      Nothing, Plugin;
    AmdgpuRender   = 89, "AMDGPU_RENDER",    0,           "amdgpu-renderD-%d.img",            "file id",            Absent,  Plugin,      ["criu_render_node"],              Nothing, Plugin;
    AmdgpuPages    = 90, "AMDGPU_PAGES",     0,           "amdgpu-pages-%d-%04x.img",         "file id, gpu id",    Absent,  PluginPages, [],                                Nothing, Plugin;
    AmdgpuDrmPages = 91, "AMDGPU_DRM_PAGES", 0,           "amdgpu-drm-pages-%d-%d-%04x.img",  "file id, minor, buffer index",Absent,  PluginPages, [],                                Nothing, Plugin;
    AmdgpuDmabuf   = 92, "AMDGPU_DMABUF",    0,           "amdgpu-dmabuf_%d.img",             "file id",            Absent,  Plugin,      ["criu_dmabuf_node"],              Nothing, Plugin;
}

impl Kind {
    /// What the table says about it.
    pub fn row(self) -> &'static Row {
        // the table is in the order of the numbers, which begin with 1 (a test holds it to that)
        KINDS.get((self as usize).wrapping_sub(1)).unwrap_or(&UNKNOWN)
    }

    /// Its number in version 2 of the format.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The kind with a number of version 2; `None` for version 2's own.
    pub fn from_number(number: u32) -> Option<Kind> {
        KINDS.get(usize::try_from(number).ok()?.checked_sub(1)?).map(|row| row.kind)
    }

    /// Its unique name, such as `PAGEMAP_SHMEM`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The name crit gives its magic: that of the first kind with the same one.
    pub fn magic_name(self) -> &'static str {
        let row = self.row();
        match Self::from_magic(row.magic) {
            Some(first) => first.name(),
            None => row.name,
        }
    }

    /// The first kind with this magic. Kinds that share one (`PAGEMAP` and `PAGEMAP_SHMEM`) differ in their names.
    pub fn from_magic(magic: u32) -> Option<Kind> {
        if magic == 0 {
            return None;
        }
        KINDS.iter().find(|row| row.magic == magic).map(|row| row.kind)
    }

    /// The kind with this name, which may also be the name of its magic.
    pub fn from_magic_name(name: &str) -> Option<Kind> {
        KINDS.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    /// The kind and the number in the name of a file; 0 where a name has none (`stats-dump` is 0, `stats-restore`
    /// 1). `None` if no kind has such names.
    ///
    /// ```
    /// use icecore::Kind;
    /// assert_eq!(Kind::from_file_name("core-17.img"), Some((Kind::Core, 17)));
    /// assert_eq!(Kind::from_file_name("ghost-file-1f.img"), Some((Kind::GhostFile, 31)));
    /// assert_eq!(Kind::from_file_name("dump.log"), None);
    /// ```
    pub fn from_file_name(name: &str) -> Option<(Kind, u64)> {
        let first = name.bytes().next()?;
        KINDS
            .iter()
            .filter(|row| row.file.bytes().next() == Some(first))
            .find_map(|row| Some((row.kind, scan(row.file, name)?)))
    }

    /// The name of its file with this number; `None` where a name needs more than one, or there is none.
    pub fn file_name(self, id: u64) -> Option<String> {
        let file = self.row().file;
        let Some((before, rest)) = file.split_once('%') else {
            return (!file.is_empty()).then(|| file.to_owned());
        };
        let (conversion, after) = conversion(rest)?;
        if after.contains('%') {
            return None;
        }
        Some(match conversion {
            's' => format!("{before}{}{after}", STATS.get(usize::try_from(id).ok()?)?),
            'x' => format!("{before}{id:x}{after}"),
            _ => format!("{before}{id}{after}"),
        })
    }

    /// Message of entry `index`; empty for kinds without messages.
    pub fn message_name(self, index: u64) -> &'static str {
        let messages = self.row().messages;
        let message = if index == 0 { messages.first() } else { messages.last() };
        message.copied().unwrap_or("")
    }
}

static STATS: [&str; 2] = ["dump", "restore"];

static UNKNOWN: Row = Row {
    kind: Kind::Pages,
    name: "",
    magic: 0,
    file: "",
    id: "",
    first_word: FirstWord::Absent,
    shape: Shape::Raw,
    messages: &[],
    payload: Payload::Nothing,
    status: Status::Dead,
};

/// The conversion character of printf behind a `%`, and what comes behind it.
fn conversion(rest: &str) -> Option<(char, &str)> {
    let at = rest.find(|c: char| c.is_ascii_alphabetic() && c != 'l')?;
    let (spec, after) = rest.split_at_checked(at.checked_add(1)?)?;
    Some((spec.chars().next_back()?, after))
}

/// Matches `name` against `file` and gives the first number. Numbers are as printf writes them: no sign, no zeros in
/// front but for `%04x`.
fn scan(file: &str, name: &str) -> Option<u64> {
    let Some((before, rest)) = file.split_once('%') else {
        return (!file.is_empty() && file == name).then_some(0);
    };
    let name = name.strip_prefix(before)?;
    let (conversion, after) = conversion(rest)?;
    if conversion == 's' {
        let position = STATS.iter().position(|word| name.strip_prefix(word) == Some(after))?;
        return u64::try_from(position).ok();
    }
    let radix = if conversion == 'x' { 16 } else { 10 };
    let end = name.find(|c: char| !c.is_digit(radix) || c.is_ascii_uppercase()).unwrap_or(name.len());
    let (digits, name) = name.split_at_checked(end)?;
    if digits.len() > 1 && digits.starts_with('0') && !(rest.starts_with("04") && digits.len() == 4) {
        return None;
    }
    let number = u64::from_str_radix(digits, radix).ok()?;
    if after.contains('%') {
        scan(after, name)?;
    } else if after != name {
        return None;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_their_numbers() {
        for (position, row) in KINDS.iter().enumerate() {
            assert_eq!(row.kind as usize, position + 1, "{}", row.name);
            assert_eq!(row.kind.row().name, row.name);
        }
        assert_eq!(KINDS.len(), 92);
    }

    #[test]
    fn names_there_and_back() {
        for row in KINDS {
            for id in [0, 1, 31, 4_294_967_295] {
                let Some(name) = row.kind.file_name(id) else { continue };
                let (kind, number) = Kind::from_file_name(&name).unwrap();
                // v0.1's pages files have the names of today's
                assert!(kind == row.kind || row.kind == Kind::PagesOld, "{name}");
                assert_eq!(number, if row.file.contains('%') { id } else { 0 }, "{name}");
            }
        }
        assert_eq!(Kind::from_file_name("amdgpu-pages-3-00ab.img"), Some((Kind::AmdgpuPages, 3)));
        for name in
            ["core-.img", "core-1.img.bak", "core-x.img", "core--1.img", "core-01.img", "stats-", "pages-1f.img", ""]
        {
            assert_eq!(Kind::from_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn magics() {
        assert_eq!(Kind::from_magic(0x5608_4025), Some(Kind::Pagemap));
        assert_eq!(Kind::from_magic(0), None);
        assert_eq!(Kind::PagemapShmem.magic_name(), "PAGEMAP");
        assert_eq!(Kind::from_magic_name("PSTREE"), Some(Kind::Pstree));
    }
}
