//! Names of flags and codes as crit 4.3 prints them. Values are those of x86 on every architecture, as in crit.

/// Names of bits, or of values, in the order in which crit prints them.
pub type Names = &'static [(&'static str, u64)];

/// Protection of a mapping.
pub static MMAP_PROT: Names = &[("PROT_READ", 0x1), ("PROT_WRITE", 0x2), ("PROT_EXEC", 0x4)];

/// Flags of mmap.
pub static MMAP_FLAGS: Names =
    &[("MAP_SHARED", 0x1), ("MAP_PRIVATE", 0x2), ("MAP_DROPPABLE", 0x8), ("MAP_ANON", 0x20), ("MAP_GROWSDOWN", 0x100)];

/// What CRIU knows of a mapping.
pub static MMAP_STATUS: Names = &[
    ("VMA_AREA_NONE", 0x0),
    ("VMA_AREA_REGULAR", 0x1),
    ("VMA_AREA_STACK", 0x2),
    ("VMA_AREA_VSYSCALL", 0x4),
    ("VMA_AREA_VDSO", 0x8),
    ("VMA_AREA_HEAP", 0x20),
    ("VMA_FILE_PRIVATE", 0x40),
    ("VMA_FILE_SHARED", 0x80),
    ("VMA_ANON_SHARED", 0x100),
    ("VMA_ANON_PRIVATE", 0x200),
    ("VMA_AREA_SYSVIPC", 0x400),
    ("VMA_AREA_SOCKET", 0x800),
    ("VMA_AREA_VVAR", 0x1000),
    ("VMA_AREA_AIORING", 0x2000),
    ("VMA_AREA_MEMFD", 0x4000),
    ("VMA_AREA_SHSTK", 0x8000),
    ("VMA_AREA_UPROBES", 0x20000),
    ("VMA_AREA_NOT_ACCOUNTABLE", 0x40000),
    ("VMA_UNSUPP", 0x80000000),
];

/// Flags of open.
pub static RFILE_FLAGS: Names = &[
    ("O_WRONLY", 0x1),
    ("O_RDWR", 0x2),
    ("O_CREAT", 0x40),
    ("O_EXCL", 0x80),
    ("O_NOCTTY", 0x100),
    ("O_TRUNC", 0x200),
    ("O_APPEND", 0x400),
    ("O_NONBLOCK", 0x800),
    ("O_DSYNC", 0x1000),
    ("FASYNC", 0x2000),
    ("O_DIRECT", 0x4000),
    ("O_LARGEFILE", 0x8000),
    ("O_DIRECTORY", 0x10000),
    ("O_NOFOLLOW", 0x20000),
    ("O_NOATIME", 0x40000),
    ("O_CLOEXEC", 0x80000),
];

/// Where the pages of a pagemap entry are.
pub static PMAP_FLAGS: Names =
    &[("PE_PARENT", 0x1), ("PE_LAZY", 0x2), ("PE_PRESENT", 0x4), ("PE_PAYLOAD_ALIGNED", 0x8)];

/// Seals of a memfd.
pub static SEALS_FLAGS: Names = &[
    ("F_SEAL_SEAL", 0x1),
    ("F_SEAL_SHRINK", 0x2),
    ("F_SEAL_GROW", 0x4),
    ("F_SEAL_WRITE", 0x8),
    ("F_SEAL_FUTURE_WRITE", 0x10),
];

/// State of a task.
pub static GEN_TASK_STATE: Names = &[("Alive", 1), ("Dead", 2), ("Stopped", 3), ("Zombie", 6)];

/// Address family of a socket.
pub static SK_FAMILY: Names = &[("UNIX", 1), ("INET", 2), ("INET6", 10), ("NETLINK", 16), ("PACKET", 17)];

/// Type of a socket.
pub static SK_TYPE: Names = &[("STREAM", 1), ("DGRAM", 2), ("RAW", 3), ("SEQPACKET", 5), ("PACKET", 10)];

/// State of a socket, as the kernel numbers those of TCP.
pub static SK_STATE: Names = &[
    ("ESTABLISHED", 1),
    ("SYN_SENT", 2),
    ("SYN_RECV", 3),
    ("FIN_WAIT1", 4),
    ("FIN_WAIT2", 5),
    ("TIME_WAIT", 6),
    ("CLOSE", 7),
    ("CLOSE_WAIT", 8),
    ("LAST_ACK", 9),
    ("LISTEN", 10),
];

/// Protocol of an internet socket.
pub static SK_PROTO: Names = &[("IP", 0), ("TCP", 6), ("UDP", 17), ("UDPLITE", 136)];
