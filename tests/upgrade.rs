//! V1 messages become V2 messages and come back byte for byte: every entry of the corpus, and random ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use std::collections::BTreeMap;

use common::corpus;
use common::random::Generator;
use common::rng::Rng;
use common::writer::message;
use icecore::object::schema;
use icecore::object::upgrade::{self, Kept, Message};
use icecore::wire::field::{Fields, Value};
use icecore::{Image, Kind, Limits};

/// Bytes of one message in both versions, added up.
#[derive(Default)]
struct Sizes {
    count: u64,
    v1: u64,
    v2: u64,
    rest: u64,
}

/// There, back, and the same; whether the original had to be kept.
fn round(message: &'static Message, v1: &[u8], sizes: &mut BTreeMap<&'static str, Sizes>) -> Kept {
    let limits = Limits::default();
    let mut v2 = Vec::new();
    let kept = upgrade::checked_up(message, v1, &limits, &mut v2);
    let mut back = Vec::new();
    let unknown = upgrade::down(message, &v2, &limits, &mut back).unwrap();
    assert_eq!(unknown, 0, "{}", message.name);
    assert_eq!(back, v1, "{}", message.name);
    let sizes = sizes.entry(message.v1).or_default();
    sizes.count += 1;
    sizes.v1 += v1.len() as u64;
    sizes.v2 += v2.len() as u64;
    for field in Fields::new(&v2).flatten() {
        if field.number == 15 {
            sizes.rest += (field.end - field.start) as u64;
        }
    }
    kept
}

fn report(sizes: &BTreeMap<&'static str, Sizes>) {
    eprintln!("{:28} {:>8} {:>10} {:>10} {:>10} {:>6}", "message", "count", "V1", "V2", "v1_rest", "V2/V1");
    for (name, size) in sizes {
        let ratio = size.v2 * 100 / size.v1.max(1);
        eprintln!("{name:28} {:8} {:10} {:10} {:10} {ratio:5}%", size.count, size.v1, size.v2, size.rest);
    }
}

/// The members of V1's union of files, by their numbers.
fn member(number: u32) -> Option<&'static Message> {
    let union = schema::Message::by_name("file_entry").unwrap();
    let field = union.fields.iter().find(|field| field.number == number)?;
    match field.ty {
        schema::Type::Message(inner) => Message::by_v1(inner.name),
        _ => None,
    }
}

#[test]
fn every_entry_of_the_corpus_comes_back() {
    let mut sizes = BTreeMap::new();
    let mut distinct = corpus::Distinct::default();
    let mut kept = 0;
    for root in [Some(corpus::data()), corpus::large()].into_iter().flatten() {
        for found in corpus::framed(&root) {
            if [Kind::Pagemap, Kind::PagemapShmem].contains(&found.kind) {
                continue;
            }
            let content = found.read();
            if !distinct.is_new(found.kind, &content) {
                continue;
            }
            let Ok(image) = Image::open(found.name(), content.into(), Limits::default()) else { continue };
            for entry in image.iter() {
                let Ok(entry) = entry else { break };
                let message = Message::by_v1(entry.message_name()).unwrap();
                let v1 = entry.message();
                if round(message, v1, &mut sizes) == Kept::Raw {
                    kept += 1;
                    eprintln!("{}: {}: kept as it was", found.path.display(), message.v1);
                }
                if entry.message_name() == "file_entry" {
                    for field in Fields::new(v1).flatten() {
                        if let (Value::Bytes(value), Some(message)) = (field.value, member(field.number))
                            && round(message, value, &mut sizes) == Kept::Raw
                        {
                            kept += 1;
                            eprintln!("{}: {}: kept as it was", found.path.display(), message.v1);
                        }
                    }
                }
            }
        }
    }
    report(&sizes);
    assert_eq!(kept, 0, "entries that CRIU wrote and that the tables cannot say");
}

/// Messages as CRIU writes them need no more than fields and `v1_rest`.
#[test]
fn random_messages_come_back() {
    let generator = Generator::new();
    let mut sizes = BTreeMap::new();
    for message in Message::all() {
        let mut rng = Rng::new(7);
        for _ in 0..60 {
            let v1 = generator.message(&mut rng, message.v1, &[]).0;
            assert_eq!(round(message, &v1, &mut sizes), Kept::Fields, "{}", message.v1);
        }
        assert_eq!(round(message, &generator.least(message.v1).0, &mut sizes), Kept::Fields, "{}", message.v1);
        round(message, &[], &mut sizes);
    }
}

/// Fields of a newer CRIU, at any depth, between the others or behind them.
#[test]
fn unknown_fields_come_back_without_the_original() {
    let generator = Generator::new();
    let mut sizes = BTreeMap::new();
    for message in Message::all() {
        let mut rng = Rng::new(3);
        for _ in 0..30 {
            let v1 = generator.message(&mut rng, message.v1, &[]).0;
            let schema = schema::Message::by_name(message.v1).unwrap();
            let odd = with_unknown(&mut rng, schema, &v1);
            assert_eq!(round(message, &odd, &mut sizes), Kept::Fields, "{}", message.v1);
        }
    }
}

/// Adds fields that the schema lacks to a message and, half the time, to those in it; all stay in order.
fn with_unknown(rng: &mut Rng, schema: &schema::Message, v1: &[u8]) -> Vec<u8> {
    let mut fields: Vec<(u32, Vec<u8>)> = Vec::new();
    for read in Fields::new(v1) {
        let read = read.unwrap();
        let known = schema.fields.iter().find(|field| field.number == read.number).unwrap();
        let bytes = match (known.ty, read.value) {
            (schema::Type::Message(inner), Value::Bytes(value)) if rng.one_in(2) => {
                message().bytes(read.number, with_unknown(rng, inner, value)).0
            }
            _ => v1[read.start..read.end].to_vec(),
        };
        fields.push((read.number, bytes));
    }
    for _ in 0..rng.below(3) {
        let number = [1, 2, 9, 14, 15, 16, 23, 200, 70_000][rng.below(9)];
        if schema.fields.iter().any(|field| field.number == number) {
            continue;
        }
        let added = match rng.below(3) {
            0 => message().uint(number, rng.next()),
            1 => message().bytes(number, rng.bytes(5)),
            _ => message().fixed64(number, rng.next()),
        };
        fields.push((number, added.0));
    }
    fields.sort_by_key(|(number, _)| *number);
    fields.into_iter().flat_map(|(_, bytes)| bytes).collect()
}

/// Whatever the bytes are: fields in another order, twice, missing, packed, of another type, long varints, cut.
#[test]
fn odd_messages_come_back() {
    let generator = Generator::new();
    let mut sizes = BTreeMap::new();
    let mut raw = 0;
    for message in Message::all() {
        let mut rng = Rng::new(11);
        for _ in 0..150 {
            let mut v1 = generator.message(&mut rng, message.v1, &[]).0;
            for _ in 0..rng.below(3) + 1 {
                v1 = odd(&mut rng, &v1, 0);
            }
            raw += u64::from(round(message, &v1, &mut sizes) == Kept::Raw);
        }
        for length in [0, 1, 2, 3, 8, 40] {
            let noise = rng.bytes(length);
            round(message, &noise, &mut sizes);
        }
    }
    assert!(raw > 1000, "{raw} messages that the tables cannot say: the test is tame");
}

/// One change somewhere in a message, or in one inside it.
fn odd(rng: &mut Rng, v1: &[u8], depth: usize) -> Vec<u8> {
    let fields: Vec<_> = Fields::new(v1).flatten().collect();
    let mut parts: Vec<Vec<u8>> = fields.iter().map(|field| v1[field.start..field.end].to_vec()).collect();
    if parts.is_empty() {
        return message().uint(rng.below(40) as u32 + 1, rng.next()).0;
    }
    let at = rng.below(parts.len());
    let number = fields[at].number;
    if let Value::Bytes(value) = fields[at].value
        && depth < 4
        && rng.one_in(2)
    {
        parts[at] = message().bytes(number, odd(rng, value, depth + 1)).0;
        return parts.concat();
    }
    let other = rng.below(parts.len());
    match rng.below(12) {
        0 => parts.swap(at, other),
        1 => parts.push(parts[at].clone()),
        2 => drop(parts.remove(at)),
        3 => parts[at] = message().uint(number, rng.next() >> rng.below(64)).0,
        4 => parts[at] = message().bytes(number, rng.bytes(rng_length(at))).0,
        5 => parts[at] = message().fixed32(number, at as u32).0,
        6 => parts[at] = message().fixed64(number, at as u64).0,
        7 => parts[at] = message().packed(number, &[1, 300, 0]).0,
        8 => parts[at] = message().bytes(number, "").0,
        9 => {
            // a varint with more bytes than it needs
            let mut long = message().uint(number, 5).0;
            *long.last_mut().unwrap() |= 0x80;
            long.extend([0x80, 0]);
            parts[at] = long;
        }
        10 => parts.push(message().uint(upgrade::schema::FILLED_BY_CODE + 1, 9).0),
        _ => {
            let mut bytes = parts.concat();
            bytes.truncate(rng.below(bytes.len() + 1));
            return bytes;
        }
    }
    parts.concat()
}

fn rng_length(at: usize) -> usize {
    [0, 1, 4, 7, 16][at % 5]
}

/// What is no V2 message of ours gives an error that names the field, or a V1 message; it never panics, and costs no
/// more than a multiple of its size.
#[test]
fn hostile_messages_are_refused_or_read() {
    let generator = Generator::new();
    let limits = Limits::default();
    let mut refused = 0;
    for message in Message::all() {
        let mut rng = Rng::new(5);
        for _ in 0..150 {
            let v1 = generator.message(&mut rng, message.v1, &[]).0;
            let mut v2 = Vec::new();
            upgrade::up(message, &v1, &limits, &mut v2).unwrap();
            for _ in 0..rng.below(3) + 1 {
                v2 = odd(&mut rng, &v2, 0);
            }
            if rng.one_in(4) && !v2.is_empty() {
                let at = rng.below(v2.len());
                v2[at] ^= 1 << rng.below(8);
            }
            let mut back = Vec::new();
            refused += u64::from(upgrade::down(message, &v2, &limits, &mut back).is_err());
            assert!(back.len() <= v2.len() * 40 + 1000, "{}: {} of {}", message.name, back.len(), v2.len());
            // and as a V1 message, which it is not
            round(message, &v2, &mut BTreeMap::new());
        }
    }
    assert!(refused > 1000, "{refused} refused");
}

fn refusal(name: &str, v2: &common::writer::Message) -> String {
    let message = Message::by_name(name).unwrap();
    upgrade::down(message, &v2.0, &Limits::default(), &mut Vec::new()).unwrap_err().to_string()
}

#[test]
fn what_version_1_cannot_hold_is_named() {
    let file = |number: u64| number * 64 + 1;
    let mut v1 = Vec::new();
    let eventfd = message().uint(1, file(7)).uint(2, 0).uint(4, 3);
    let table = Message::by_name("Eventfd").unwrap();
    assert_eq!(upgrade::down(table, &eventfd.0, &Limits::default(), &mut v1).unwrap(), 0);
    assert_eq!(v1, message().uint(1, 7).uint(2, 0).uint(4, 3).0);

    assert_eq!(
        refusal("Eventfd", &message().uint(1, file(1 << 32))),
        "offset 0 (0x0): field id: version 1 has no room for 4294967296 (0x100000000) in this field"
    );
    assert_eq!(
        refusal("Eventfd", &message().uint(1, 7 * 64 + 2)),
        "offset 0 (0x0): field id: expected an id of class 1 (FILE), found one of class 2 (NAMESPACE)"
    );
    assert_eq!(
        refusal("Epoll", &message().message(4, &message().uint(2, 1 << 32))),
        "offset 2 (0x2): field targets.fd: version 1 has no room for 4294967296 (0x100000000) in this field"
    );
    assert_eq!(
        refusal("InetSocket", &message().bytes(11, [1, 2, 3])),
        "offset 2 (0x2): field src_addr: expected a multiple of 4 bytes, found 3"
    );
    assert_eq!(refusal("Fifo", &message().bytes(1, "x")), "offset 0 (0x0): field id: expected wire type 0, found 2");
    assert_eq!(
        refusal("Fifo", &message().bytes(15, [0x80])),
        "offset 2 (0x2): field v1_rest: expected the rest of a varint, found the end"
    );
    // a field that these tables do not know is told, and left out
    let newer = message().uint(1, file(7)).uint(900, 1);
    let fifo = Message::by_name("Fifo").unwrap();
    let mut v1 = Vec::new();
    assert_eq!(upgrade::down(fifo, &newer.0, &Limits::default(), &mut v1).unwrap(), 1);
    assert_eq!(v1, message().uint(1, 7).0);
}

/// What a number refers to may depend on another field; the id says it by itself.
#[test]
fn ids_have_the_class_of_what_they_refer_to() {
    let id = |name: &str, v1: &common::writer::Message, number: u32| {
        let mut v2 = Vec::new();
        let message = Message::by_v1(name).unwrap();
        upgrade::up(message, &v1.0, &Limits::default(), &mut v2).unwrap();
        let mut back = Vec::new();
        upgrade::down(message, &v2, &Limits::default(), &mut back).unwrap();
        assert_eq!(back, v1.0);
        icecore::wire::field::last_varint(&v2, number).unwrap().map(|id| (id / 64, id % 64))
    };
    let vma = |shmid: u64, status: u64| message().uint(4, shmid).uint(7, status).sint(8, -1);
    for (status, class) in
        [(0x41, 1), (0x81, 1), (0x501, 12), (0x101, 12), (0x4081, 1), (0x4101, 1), (0x801, 1), (0x201, 0)]
    {
        assert_eq!(id("vma_entry", &vma(9, status), 4), Some((9, class)), "{status:#x}");
    }
    // too large for an id: kept in v1_rest
    assert_eq!(id("vma_entry", &vma(1 << 58, 0x101), 4), None);
    let remap = |remap_type: u64| message().uint(1, 3).uint(2, 5).uint(3, remap_type);
    for (remap_type, class) in [(0, 1), (1, 13), (2, 0)] {
        assert_eq!(id("remap_file_path_entry", &remap(remap_type), 2), Some((5, class)));
    }
    assert_eq!(
        refusal("Vma", &message().uint(4, 9 * 64 + 3).uint(7, 0x41)),
        "offset 0 (0x0): field shmid: expected an id of class 1 (FILE) or 12 (SEGMENT), found one of class 3 (MOUNT)"
    );
    // what has no file, mount or socket behind it
    let file = message().uint(1, 7).uint(2, 0).uint(3, 0).sint(7, -1);
    assert_eq!(id("reg_file_entry", &file, 6), None);
}

/// The fields of V1 that no field of V2 says: unused ones, and those that code moves elsewhere.
#[test]
fn every_field_is_said_or_left_on_purpose() {
    const LEFT: &[&str] = &[
        // unused since long
        "core_entry.ids",
        "mnt_entry.ext_mount",
        "net_device_entry.conf",
        "netns_entry.all_conf",
        "netns_entry.def_conf",
        "sk_opts_entry.tcp_keepcnt",
        "sk_opts_entry.tcp_keepidle",
        "sk_opts_entry.tcp_keepintvl",
        "task_core_entry.cg_set",
        "task_core_entry.old_seccomp_filter",
        "task_core_entry.old_seccomp_mode",
        "tcp_stream_entry.cork",
        "tcp_stream_entry.nodelay",
        "user_x86_fpregs_entry.padding",
        "vma_entry.fd",
        // of a thread, in version 2
        "task_core_entry.blk_sigset",
        "task_core_entry.blk_sigset_extended",
        // of a process
        "pstree_entry.pgid",
        "pstree_entry.sid",
        // in a range, and two fields of their own
        "file_lock_entry.len",
        "file_lock_entry.start",
        "file_lock_entry.type",
        // in a message of their own
        "ipc_var_entry.mq_msg_default",
        "ipc_var_entry.mq_msg_max",
        "ipc_var_entry.mq_msgsize_default",
        "ipc_var_entry.mq_msgsize_max",
        "ipc_var_entry.mq_queues_max",
    ];
    let generator = Generator::new();
    let mut left = Vec::new();
    for table in Message::all() {
        let v1 = schema::Message::by_name(table.v1).unwrap();
        for field in v1.fields {
            let alone = message();
            let alone = match field.ty {
                schema::Type::Message(inner) => alone.message(field.number, &generator.least(inner.name)),
                schema::Type::Bool => alone.uint(field.number, 1),
                ty => match ty.wire_type() {
                    0 => alone.uint(field.number, 2),
                    1 => alone.fixed64(field.number, 1),
                    _ => alone.bytes(field.number, "x"),
                },
            };
            let mut v2 = Vec::new();
            upgrade::up(table, &alone.0, &Limits::default(), &mut v2).unwrap();
            let is_left = Fields::new(&v2).flatten().any(|field| field.number == 15);
            // a union's members are objects of their own, a thread's registers follow from its machine
            let is_elsewhere = v1.name == "file_entry" || (v1.name == "core_entry" && field.name.contains("i_"));
            let is_elsewhere = is_elsewhere || field.name == "thread_info" || table.name == "Mqueue";
            if is_left && !is_elsewhere {
                left.push(format!("{}.{}", v1.name, field.name));
            }
        }
    }
    left.sort();
    let mut expected = LEFT.to_vec();
    expected.sort_unstable();
    assert_eq!(left, expected);

    let core = schema::Message::by_name("core_entry").unwrap();
    let members =
        ["thread_info", "ti_arm", "ti_aarch64", "ti_ppc64", "ti_s390", "ti_mips", "ti_loongarch64", "ti_riscv64"];
    let mut rng = Rng::new(1);
    for (machine, member) in (1..).zip(members) {
        let field = core.field(member).unwrap();
        let schema::Type::Message(inner) = field.ty else { panic!() };
        for _ in 0..20 {
            let member = generator.message(&mut rng, inner.name, &[]);
            let thread = |machine| message().uint(1, machine).message(field.number, &member);
            let table = Message::by_name("Core").unwrap();
            for (machine, is_left) in [(machine, false), (machine % 8 + 1, true), (99, true)] {
                let v1 = thread(machine);
                let mut v2 = Vec::new();
                assert_eq!(upgrade::checked_up(table, &v1.0, &Limits::default(), &mut v2), Kept::Fields);
                assert_eq!(Fields::new(&v2).flatten().any(|field| field.number == 15), is_left, "{}", field.name);
            }
        }
    }
}

/// Whoever edits an object drops its `v1_raw`; as long as it is there, nothing else counts.
#[test]
fn the_original_counts() {
    let fifo = Message::by_name("Fifo").unwrap();
    let mut v1 = Vec::new();
    let v2 = message().uint(1, 7 * 64 + 5).bytes(15, "\u{7f}").bytes(16, "anything");
    upgrade::down(fifo, &v2.0, &Limits::default(), &mut v1).unwrap();
    assert_eq!(v1, b"anything");
}

#[test]
fn nesting_and_memory_are_bounded() {
    let directories = Message::by_v1("cgroup_dir_entry").unwrap();
    let deep = |depth: u32| {
        let mut inner = message().bytes(1, "x");
        for _ in 1..depth {
            inner = message().bytes(1, "x").message(2, &inner);
        }
        inner.0
    };
    let limits = Limits::default();
    for (depth, kept) in [(limits.depth, Kept::Fields), (limits.depth + 1, Kept::Raw), (5000, Kept::Raw)] {
        let mut v2 = Vec::new();
        assert_eq!(upgrade::checked_up(directories, &deep(depth), &limits, &mut v2), kept, "{depth}");
        // the fields have their numbers, so the V2 message nests as the V1 message does
        let down = upgrade::down(directories, &deep(depth), &limits, &mut Vec::new());
        assert_eq!(down.is_err(), kept == Kept::Raw);
    }
    let limits = Limits { memory: 1 << 20, ..limits };
    let many = message().uint(7, 1).0.repeat(200_000);
    let eventfd = Message::by_name("Eventfd").unwrap();
    let refused = upgrade::up(eventfd, &message().uint(2, 1).0.repeat(200_000), &limits, &mut Vec::new());
    assert_eq!(refused.unwrap_err().kind(), icecore::ErrorKind::Limit);
    assert!(upgrade::down(eventfd, &many, &limits, &mut Vec::new()).is_ok_and(|unknown| unknown == 200_000));
    let refused = upgrade::down(eventfd, &message().uint(2, 1).0.repeat(200_000), &limits, &mut Vec::new());
    assert_eq!(refused.unwrap_err().kind(), icecore::ErrorKind::Limit);
    let refused = upgrade::down(eventfd, &message().bytes(15, &many).0, &limits, &mut Vec::new());
    assert_eq!(refused.unwrap_err().kind(), icecore::ErrorKind::Limit);
}
