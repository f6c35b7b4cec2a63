//! The points that are questions about fields: what stands where, how often, and what it takes.

use crate::object::schema::{Label, Show};
use crate::object::tally::width;
use crate::tool::check::v1::survey::Survey;
use crate::tool::check::v1::wish::Wish;

/// Fields: message and name.
type Fields = &'static [(&'static str, &'static str)];

/// A point that is fields alone: what they are called here, where V1's tables of fields do not lead to V2's.
struct Point {
    number: u8,
    complaint: &'static str,
    fields: Fields,
    /// Fields of version 2 that code fills.
    more: Fields,
    /// What one of the fields is, and what several are.
    what: [&'static str; 2],
    version2: &'static str,
}

const POINTS: &[Point] = &[
    Point {
        number: 1,
        complaint: "vma_entry.fd is not used",
        fields: &[("vma_entry", "fd")],
        more: &[],
        what: ["mapping has it", "mappings have it"],
        version2: "gone",
    },
    Point {
        number: 6,
        complaint: "padding for the FPU in core images is not used",
        fields: &[("user_x86_fpregs_entry", "padding")],
        more: &[],
        what: ["word of it", "words of it"],
        version2: "gone",
    },
    Point {
        number: 7,
        complaint: "core_entry.ids is not used, though optional; others too",
        fields: &[
            ("core_entry", "ids"),
            ("task_core_entry", "cg_set"),
            ("task_core_entry", "old_seccomp_mode"),
            ("task_core_entry", "old_seccomp_filter"),
            ("sk_opts_entry", "tcp_keepcnt"),
            ("sk_opts_entry", "tcp_keepidle"),
            ("sk_opts_entry", "tcp_keepintvl"),
            ("tcp_stream_entry", "cork"),
            ("tcp_stream_entry", "nodelay"),
            ("net_device_entry", "conf"),
            ("netns_entry", "def_conf"),
            ("netns_entry", "all_conf"),
            ("pagemap_entry", "in_parent"),
            ("pagemap_entry", "compat_nr_pages"),
            ("mnt_entry", "ext_mount"),
        ],
        more: &[],
        what: ["field that nobody needs", "fields that nobody needs"],
        version2: "gone; what an old dump has of them is kept beside",
    },
    Point {
        number: 8,
        complaint: "clear_tid_addr stands in a message of each machine",
        fields: &[
            ("thread_info_x86", "clear_tid_addr"),
            ("thread_info_arm", "clear_tid_addr"),
            ("thread_info_aarch64", "clear_tid_addr"),
            ("thread_info_ppc64", "clear_tid_addr"),
            ("thread_info_s390", "clear_tid_addr"),
            ("thread_info_mips", "clear_tid_addr"),
            ("thread_info_loongarch64", "clear_tid_addr"),
            ("thread_info_riscv64", "clear_tid_addr"),
        ],
        more: &[],
        what: ["thread has it there", "threads have it there"],
        version2: "one field of the thread, whatever the machine",
    },
    Point {
        number: 14,
        complaint: "eventpoll_tfd_entry.id is always zero; so are those of watches",
        fields: &[("eventpoll_tfd_entry", "id"), ("inotify_wd_entry", "id"), ("fanotify_mark_entry", "id")],
        more: &[],
        what: ["such id", "such ids"],
        version2: "gone",
    },
];

/// The points that are fields alone, and those that need words of their own.
pub(super) fn wishes(survey: &Survey<'_>) -> Vec<Wish> {
    let mut wishes: Vec<Wish> = POINTS.iter().map(|point| of(survey, point)).collect();
    wishes.extend([
        ipc_names(survey),
        packet_names(survey),
        signal_sets(survey),
        sessions(survey),
        plain_codes(survey),
        ids(survey),
        registers(survey),
        addresses(survey),
        locks(survey),
        watches(survey),
        mqueue(survey),
    ]);
    wishes
}

/// `1 queue`, `3 queues`.
fn some(count: u64, what: [&str; 2]) -> String {
    let [one, several] = what;
    format!("{count} {}", if count == 1 { one } else { several })
}

fn of(survey: &Survey<'_>, point: &Point) -> Wish {
    let sum = survey.sum(point.fields);
    let v2 = survey.in_v2(point.fields, point.more);
    let zeros = if sum.zeros > 0 { format!(", {} zero", sum.zeros) } else { String::new() };
    let wish = Wish::new(point.number, point.complaint).here(format!("{}{zeros}", some(sum.count, point.what)));
    wish.bytes(sum.bytes, Some(v2)).version2(point.version2).count("fields", sum.count).count("zeros", sum.zeros)
}

fn ipc_names(survey: &Survey<'_>) -> Wish {
    let queues = survey.v1.of("ipc_msg_entry", "qnum");
    let here = format!(
        "{}, whose message is called ipc_msg_entry, and {}, called ipc_msg",
        some(queues.count, ["queue", "queues"]),
        some(queues.sum, ["message", "messages"])
    );
    let found = survey.v2.as_ref().map(|records| records.objects("IpcQueue"));
    let answer = match found {
        Some(found) => format!("IpcQueue with its messages inside: {found}"),
        None => "IpcQueue with its messages inside".to_owned(),
    };
    let wish = Wish::new(2, "ipc_msg and ipc_msg_entry are named badly").here(here).version2(answer);
    wish.count("queues", queues.count).count("messages", queues.sum)
}

fn packet_names(survey: &Survey<'_>) -> Wish {
    let (packets, sockets) = (survey.v1.of("sk_packet_entry", "length"), survey.v1.of("packet_sock_entry", "id"));
    let here = format!(
        "{} of sk-packet.proto, {} of packet-sock.proto",
        some(packets.count, ["packet", "packets"]),
        some(sockets.count, ["socket", "sockets"])
    );
    let wish = Wish::new(3, "sk-packet.proto and packet-sock.proto are mixed up").here(here);
    let wish = wish.version2("QueuedPacket and PacketSocket");
    wish.count("packets", packets.count).count("sockets", sockets.count)
}

fn signal_sets(survey: &Survey<'_>) -> Wish {
    const LEADERS: Fields = &[("task_core_entry", "blk_sigset"), ("task_core_entry", "blk_sigset_extended")];
    const OTHERS: Fields = &[("thread_core_entry", "blk_sigset"), ("thread_core_entry", "blk_sigset_extended")];
    const NAMES: Fields = &[("task_core_entry", "comm"), ("thread_core_entry", "comm")];
    let (leaders, others, names) = (survey.sum(LEADERS), survey.sum(OTHERS), survey.sum(NAMES));
    let all: Vec<(&str, &str)> = LEADERS.iter().chain(OTHERS).chain(NAMES).copied().collect();
    let v2 = survey.v2.is_some().then(|| survey.in_v2(&all, &[]));
    let here = format!(
        "of {} the set is in the task, of {} in the thread; {} are stored",
        some(leaders.count, ["leader", "leaders"]),
        some(others.count, ["other thread", "other threads"]),
        some(names.count, ["name", "names"])
    );
    let bytes = leaders.bytes.saturating_add(others.bytes).saturating_add(names.bytes);
    let wish = Wish::new(4, "blk_sigset of a leader is in task_core_entry; comm is in two places").here(here);
    let wish = wish.bytes(bytes, v2).version2("in the thread, of all threads alike; a name once");
    wish.count("leaders", leaders.count).count("others", others.count).count("names", names.count)
}

fn sessions(survey: &Survey<'_>) -> Wish {
    const FIELDS: Fields = &[("pstree_entry", "sid"), ("pstree_entry", "pgid")];
    let sum = survey.sum(FIELDS);
    let v2 = survey.v2.as_ref().map(|records| {
        let (sid, pgid) = (records.named("Task", "sid"), records.named("Task", "pgid"));
        sid.1.saturating_add(pgid.1)
    });
    let tasks = survey.v1.of("pstree_entry", "pid").count;
    let wish = Wish::new(5, "sid and pgid are in pstree instead of core");
    let wish = wish.here(some(tasks, ["task", "tasks"])).bytes(sum.bytes, v2).version2("in the task");
    wish.count("tasks", tasks)
}

fn plain_codes(survey: &Survey<'_>) -> Wish {
    const CODES: Fields = &[
        ("mnt_entry", "fstype"),
        ("file_lock_entry", "flag"),
        ("file_lock_entry", "type"),
        ("inventory_entry", "network_lock_method"),
        ("inventory_entry", "pre_dump_mode"),
        ("inventory_entry", "compress"),
        ("scm_entry", "type"),
        ("fown_entry", "pid_type"),
        ("ns_file_entry", "ns_cflag"),
        ("task_core_entry", "task_state"),
        ("posix_timer_entry", "clock_id"),
        ("timerfd_entry", "clockid"),
        ("inet_sk_entry", "state"),
        ("unix_sk_entry", "state"),
    ];
    let (mounts, all) = (survey.sum(&[("mnt_entry", "fstype")]), survey.sum(CODES));
    let here = format!(
        "{} with such a number; {} with codes as plain numbers in all",
        some(mounts.count, ["mount", "mounts"]),
        some(all.count, ["field", "fields"])
    );
    let wish = Wish::new(9, "mnt_entry.fstype is a number instead of an enum").here(here);
    let wish = wish.bytes(all.bytes, Some(survey.in_v2(CODES, &[]))).version2("open enums: the same bytes, with names");
    wish.count("mounts", mounts.count).count("codes", all.count)
}

/// Inode numbers of the kernel, of which V1 has 32 bits.
const CUT: Fields = &[
    ("fifo_entry", "pipe_id"),
    ("inet_sk_entry", "ino"),
    ("memfd_inode_entry", "shmid"),
    ("netlink_sk_entry", "ino"),
    ("pidfd_entry", "ino"),
    ("pipe_data_entry", "pipe_id"),
    ("pipe_entry", "pipe_id"),
    ("unix_sk_entry", "ino"),
    ("unix_sk_entry", "peer"),
];
/// Such numbers of which it has 64.
const WIDE: Fields = &[
    ("vma_entry", "shmid"),
    ("eventpoll_tfd_entry", "inode"),
    ("fanotify_inode_mark_entry", "i_ino"),
    ("ghost_file_entry", "ino"),
    ("inotify_wd_entry", "i_ino"),
    ("irmap_cache_entry", "inode"),
    ("memfd_inode_entry", "inode_id"),
];

fn ids(survey: &Survey<'_>) -> Wish {
    let (mut narrow, mut count, mut bytes) = (0u64, 0u64, 0u64);
    let mut fields = Vec::new();
    for (message, field, stat) in survey.v1.iter() {
        let position = message.position(field.number, 0).unwrap_or(usize::MAX);
        if !survey.places.is_id(message, position) {
            continue;
        }
        count = count.saturating_add(stat.count);
        if width(field.ty) == Some(4) {
            narrow = narrow.saturating_add(stat.count);
        }
        bytes = bytes.saturating_add(stat.bytes);
        fields.push((message.name, field.name));
    }
    let (cut, wide) = (survey.sum(CUT), survey.sum(WIDE));
    let here = format!(
        "{narrow} of {} have 32 bits; so have {}, of which {} use the 32nd and may be cut; \
         {} of {} with 64 bits need more than 32",
        some(count, ["id", "ids"]),
        some(cut.count, ["inode number", "inode numbers"]),
        cut.high,
        wide.over,
        wide.count
    );
    let wish = Wish::new(10, "ids should have 64 bits").here(here).bytes(bytes, Some(survey.in_v2(&fields, &[])));
    let wish = wish.version2("64 bits, one space of ids over all images: number and class");
    wish.count("ids", count)
        .count("ids_of_32_bits", narrow)
        .count("inodes_of_32_bits", cut.count)
        .count("inodes_perhaps_cut", cut.high)
        .count("inodes_beyond_32_bits", wide.over)
}

/// What a set of fields takes as varints and would take as fixed types.
#[derive(Default)]
struct Cost {
    numbers: u64,
    varints: u64,
    fixed: u64,
    /// Keys of repeated numbers, each with its own.
    keys: u64,
    /// Bytes of all of them, with keys, and in version 2.
    bytes: u64,
    v2: u64,
}

impl Cost {
    fn of(survey: &Survey<'_>, is_asked: impl Fn(&str, Show) -> bool) -> Self {
        let mut cost = Self::default();
        let mut fields = Vec::new();
        for (message, field, stat) in survey.v1.iter() {
            let Some(width) = width(field.ty) else { continue };
            if field.ty.wire_type() != 0 || !is_asked(message.name, field.show) {
                continue;
            }
            cost.numbers = cost.numbers.saturating_add(stat.count);
            cost.varints = cost.varints.saturating_add(stat.values());
            cost.fixed = cost.fixed.saturating_add(stat.count.saturating_mul(width));
            if field.label == Label::Repeated {
                cost.keys = cost.keys.saturating_add(stat.keys);
            }
            cost.bytes = cost.bytes.saturating_add(stat.bytes);
            fields.push((message.name, field.name));
        }
        cost.v2 = survey.in_v2(&fields, &[]);
        cost
    }

    fn wish(&self, number: u8, complaint: &'static str, what: &str) -> Wish {
        let change = match self.fixed.checked_sub(self.varints) {
            Some(0) => "as much".to_owned(),
            Some(more) => format!("{more} more"),
            None => format!("{} less", self.varints.saturating_sub(self.fixed)),
        };
        let here = format!(
            "{} {what} take {} bytes as varints, {} as fixed types: {change}; {} bytes are keys of repeated ones",
            self.numbers, self.varints, self.fixed, self.keys
        );
        let wish = Wish::new(number, complaint).here(here).bytes(self.bytes, Some(self.v2));
        wish.count("numbers", self.numbers)
            .count("varint_bytes", self.varints)
            .count("fixed_bytes", self.fixed)
            .count("repeated_key_bytes", self.keys)
    }
}

/// Messages of registers.
fn is_registers(message: &str) -> bool {
    message.starts_with("user_") && message.ends_with("_entry")
}

fn registers(survey: &Survey<'_>) -> Wish {
    let cost = Cost::of(survey, |message, _| is_registers(message));
    let wish = cost.wish(11, "registers should have fixed types", "registers");
    wish.version2("general registers as one object of fixed size, vectors as bytes")
}

fn addresses(survey: &Survey<'_>) -> Wish {
    let cost = Cost::of(survey, |message, show| {
        // those of pagemaps become arrays of runs
        !is_registers(message)
            && message != "pagemap_entry"
            && matches!(show, Show::Hex | Show::Device | Show::OldDevice)
    });
    let wish = cost.wish(12, "so should addresses, masks and devices", "such numbers");
    wish.version2("varints, which are smaller; runs of pages as arrays of fixed size")
}

fn locks(survey: &Survey<'_>) -> Wish {
    const FIELDS: Fields = &[
        ("file_lock_entry", "flag"),
        ("file_lock_entry", "type"),
        ("file_lock_entry", "start"),
        ("file_lock_entry", "len"),
    ];
    let sum = survey.sum(FIELDS);
    let locks = survey.v1.of("file_lock_entry", "flag").count;
    let more = &[("FileLock", "mode"), ("FileLock", "breaking"), ("FileLock", "mandatory"), ("FileLock", "range")];
    let v2 = survey.v2.is_some().then(|| survey.in_v2(&[("file_lock_entry", "flag")], more));
    let wish = Wish::new(13, "flag and type of locks are too much").here(some(locks, ["lock", "locks"]));
    let wish = wish.bytes(sum.bytes, v2).version2("kind and mode as enums, a range where there is one");
    wish.count("locks", locks)
}

fn watches(survey: &Survey<'_>) -> Wish {
    let count = |message: &str| survey.v1.of(message, "id").count;
    let (inotify, fanotify) = (count("inotify_file_entry"), count("fanotify_file_entry"));
    let marks = count("inotify_wd_entry").saturating_add(count("fanotify_mark_entry"));
    let here = format!("{inotify} of inotify, {fanotify} of fanotify, {marks} marks, in messages of their own");
    let found = survey.v2.as_ref().map(|records| records.objects("Fsnotify"));
    let answer = match found {
        Some(found) => format!("one message for both: {found} of it"),
        None => "one message for both".to_owned(),
    };
    let wish = Wish::new(15, "inotify and fanotify should be one").here(here).version2(answer);
    wish.count("inotify", inotify).count("fanotify", fanotify).count("marks", marks)
}

fn mqueue(survey: &Survey<'_>) -> Wish {
    const FIELDS: Fields = &[
        ("ipc_var_entry", "mq_queues_max"),
        ("ipc_var_entry", "mq_msg_max"),
        ("ipc_var_entry", "mq_msgsize_max"),
        ("ipc_var_entry", "mq_msg_default"),
        ("ipc_var_entry", "mq_msgsize_default"),
    ];
    const IN_V2: Fields = &[
        ("Mqueue", "queues_max"),
        ("Mqueue", "msg_max"),
        ("Mqueue", "msgsize_max"),
        ("Mqueue", "msg_default"),
        ("Mqueue", "msgsize_default"),
    ];
    let sum = survey.sum(FIELDS);
    let namespaces = survey.v1.of("ipc_var_entry", "mq_queues_max").count;
    let v2 = survey.v2.is_some().then(|| survey.in_v2(&[], IN_V2));
    let wish = Wish::new(17, "settings of message queues are required, though a kernel may have none");
    let here = some(namespaces, ["IPC namespace", "IPC namespaces"]);
    let wish = wish.here(here).bytes(sum.bytes, v2).version2("one optional message");
    wish.count("namespaces", namespaces).count("zeros", sum.zeros)
}
