//! Names of bits and codes as Linux has them, for the structs of the checkpoint.

/// Bits and their names.
pub(crate) type Bits = &'static [(u64, &'static str)];

/// The names of the bits that are set; what has no name comes last, in base 16.
pub(crate) fn bits(value: u64, names: Bits) -> Vec<String> {
    let mut rest = value;
    let mut found = Vec::new();
    for &(bit, name) in names {
        if rest & bit == bit {
            found.push(name.to_owned());
            rest &= !bit;
        }
    }
    if rest != 0 {
        found.push(format!("{rest:#x}"));
    }
    found
}

/// The name of a code.
pub(crate) fn code(value: u64, names: Bits) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == value).map(|(_, name)| *name)
}

/// The name of a code, or the code itself.
pub(crate) fn code_or_number(value: u64, names: Bits) -> String {
    code(value, names).map_or_else(|| value.to_string(), str::to_owned)
}

/// Flags of mmap that a mapping keeps; the numbers of most machines.
pub(crate) static MAP: Bits = &[(0x100, "growsdown"), (0x2000, "locked"), (0x4000, "noreserve"), (0x4_0000, "hugetlb")];

/// Advice of madvise that a mapping keeps, a bit each.
pub(crate) static ADVICE: Bits = &[
    (1 << 1, "random"),
    (1 << 2, "sequential"),
    (1 << 10, "dontfork"),
    (1 << 12, "mergeable"),
    (1 << 14, "hugepage"),
    (1 << 15, "nohugepage"),
    (1 << 16, "dontdump"),
    (1 << 18, "wipeonfork"),
];

/// Flags of open, but for the access mode; the numbers of x86, which CRIU writes on most machines.
pub(crate) static OPEN: Bits = &[
    (0x40, "creat"),
    (0x80, "excl"),
    (0x100, "noctty"),
    (0x200, "trunc"),
    (0x400, "append"),
    (0x800, "nonblock"),
    (0x10_1000, "sync"),
    (0x1000, "dsync"),
    (0x2000, "async"),
    (0x4000, "direct"),
    (0x8000, "largefile"),
    (0x41_0000, "tmpfile"),
    (0x1_0000, "directory"),
    (0x2_0000, "nofollow"),
    (0x4_0000, "noatime"),
    (0x8_0000, "cloexec"),
    (0x20_0000, "path"),
];

/// Events of epoll.
pub(crate) static EPOLL: Bits = &[
    (0x1, "in"),
    (0x2, "pri"),
    (0x4, "out"),
    (0x8, "err"),
    (0x10, "hup"),
    (0x40, "rdnorm"),
    (0x80, "rdband"),
    (0x100, "wrnorm"),
    (0x200, "wrband"),
    (0x400, "msg"),
    (0x2000, "rdhup"),
    (0x1000_0000, "exclusive"),
    (0x2000_0000, "wakeup"),
    (0x4000_0000, "oneshot"),
    (0x8000_0000, "et"),
];

/// Events of inotify; those below 0x1000 are fanotify's too.
pub(crate) static NOTIFY: Bits = &[
    (0x1, "access"),
    (0x2, "modify"),
    (0x4, "attrib"),
    (0x8, "close_write"),
    (0x10, "close_nowrite"),
    (0x20, "open"),
    (0x40, "moved_from"),
    (0x80, "moved_to"),
    (0x100, "create"),
    (0x200, "delete"),
    (0x400, "delete_self"),
    (0x800, "move_self"),
    (0x1000, "open_exec"),
    (0x4000, "overflow"),
    (0x8000, "fs_error"),
    (0x1_0000, "open_perm"),
    (0x2_0000, "access_perm"),
    (0x4_0000, "open_exec_perm"),
    (0x100_0000, "onlydir"),
    (0x200_0000, "dont_follow"),
    (0x400_0000, "excl_unlink"),
    (0x800_0000, "event_on_child"),
    (0x1000_0000, "rename"),
    (0x4000_0000, "ondir"),
    (0x8000_0000, "oneshot"),
];

/// Seals of a memfd.
pub(crate) static SEALS: Bits =
    &[(0x1, "seal"), (0x2, "shrink"), (0x4, "grow"), (0x8, "write"), (0x10, "future_write"), (0x20, "exec")];

/// Flags of a namespace, as clone takes them.
pub(crate) static NAMESPACES: Bits = &[
    (0x80, "time"),
    (0x2_0000, "mnt"),
    (0x200_0000, "cgroup"),
    (0x400_0000, "uts"),
    (0x800_0000, "ipc"),
    (0x1000_0000, "user"),
    (0x2000_0000, "pid"),
    (0x4000_0000, "net"),
];

/// Clocks.
pub(crate) static CLOCKS: Bits = &[
    (0, "realtime"),
    (1, "monotonic"),
    (2, "process_cputime"),
    (3, "thread_cputime"),
    (4, "monotonic_raw"),
    (5, "realtime_coarse"),
    (6, "monotonic_coarse"),
    (7, "boottime"),
    (8, "realtime_alarm"),
    (9, "boottime_alarm"),
    (11, "tai"),
];

/// Types of a socket.
pub(crate) static SOCKET_TYPES: Bits =
    &[(1, "stream"), (2, "dgram"), (3, "raw"), (4, "rdm"), (5, "seqpacket"), (6, "dccp"), (10, "packet")];

/// States of a socket, as the kernel numbers those of TCP.
pub(crate) static SOCKET_STATES: Bits = &[
    (1, "established"),
    (2, "syn-sent"),
    (3, "syn-recv"),
    (4, "fin-wait-1"),
    (5, "fin-wait-2"),
    (6, "time-wait"),
    (7, "closed"),
    (8, "close-wait"),
    (9, "last-ack"),
    (10, "listen"),
    (11, "closing"),
    (12, "new-syn-recv"),
];

/// Protocols of internet sockets.
pub(crate) static PROTOCOLS: Bits = &[
    (0, "ip"),
    (1, "icmp"),
    (2, "igmp"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmpv6"),
    (132, "sctp"),
    (136, "udplite"),
    (255, "raw"),
];

/// Protocols of netlink.
pub(crate) static NETLINK: Bits = &[
    (0, "route"),
    (2, "usersock"),
    (3, "firewall"),
    (4, "sock_diag"),
    (5, "nflog"),
    (6, "xfrm"),
    (7, "selinux"),
    (8, "iscsi"),
    (9, "audit"),
    (10, "fib_lookup"),
    (11, "connector"),
    (12, "netfilter"),
    (13, "ip6_fw"),
    (14, "dnrtmsg"),
    (15, "kobject_uevent"),
    (16, "generic"),
    (18, "scsitransport"),
    (19, "ecryptfs"),
    (20, "rdma"),
    (21, "crypto"),
    (22, "smc"),
];

/// Kinds of tty.
pub(crate) static TTYS: Bits = &[(1, "pty"), (2, "console"), (3, "vt"), (4, "ctty"), (5, "ext"), (6, "serial")];

/// Types of a mounted file system, as CRIU numbers them; 16 has its name beside it.
pub(crate) static FILE_SYSTEMS: Bits = &[
    (0, "unsupported"),
    (1, "proc"),
    (2, "sysfs"),
    (3, "devtmpfs"),
    (4, "binfmt_misc"),
    (5, "tmpfs"),
    (6, "devpts"),
    (7, "simfs"),
    (8, "pstore"),
    (9, "securityfs"),
    (10, "fusectl"),
    (11, "debugfs"),
    (12, "cgroup"),
    (13, "aufs"),
    (14, "mqueue"),
    (15, "fuse"),
    (17, "overlay"),
    (18, "autofs"),
    (19, "tracefs"),
    (23, "cgroup2"),
];

/// Flags of a mount.
pub(crate) static MOUNT: Bits = &[
    (0x1, "ro"),
    (0x2, "nosuid"),
    (0x4, "nodev"),
    (0x8, "noexec"),
    (0x10, "sync"),
    (0x20, "remount"),
    (0x40, "mand"),
    (0x80, "dirsync"),
    (0x100, "nosymfollow"),
    (0x400, "noatime"),
    (0x800, "nodiratime"),
    (0x1000, "bind"),
    (0x4000, "rec"),
    (0x2_0000, "unbindable"),
    (0x4_0000, "private"),
    (0x8_0000, "slave"),
    (0x10_0000, "shared"),
    (0x20_0000, "relatime"),
    (0x100_0000, "strictatime"),
    (0x200_0000, "lazytime"),
];

/// Resource limits, in the order of the kernel.
pub(crate) static LIMITS: &[&str] = &[
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// Capabilities, in the order of the kernel.
pub(crate) static CAPABILITIES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_bits() {
        assert_eq!(bits(0x8c02 & !3, OPEN), ["append", "nonblock", "largefile"]);
        assert_eq!(bits(0x41_0000, OPEN), ["tmpfile"]);
        assert_eq!(bits(0x10_1000, OPEN), ["sync"]);
        assert_eq!(bits(0x8000_0001_0000_0000, EPOLL), ["0x8000000100000000"]);
        assert_eq!(code_or_number(77, PROTOCOLS), "77");
    }
}
