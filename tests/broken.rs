//! Broken images: each gives an error that says what kind it is, which image, entry and offset, what was expected and
//! what was found. Nothing panics, and nothing is allocated because a broken file says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use common::random::Generator;
use common::writer::{COMMON, File, Message, message, varint};
use icecore::v1;
use icecore::{Error, ErrorKind, Image, Limits};

fn open(name: &str, file: &File) -> Result<Image, Error> {
    Image::open(name, file.0.clone().into(), Limits::default())
}

/// What an error must say: kind, image, entry, offset, and its whole text.
#[track_caller]
fn says(error: &Error, kind: ErrorKind, image: &str, entry: Option<u64>, offset: Option<u64>, text: &str) {
    let found = (error.kind(), error.image(), error.entry(), error.offset());
    assert_eq!(found, (kind, Some(image), entry, offset), "{error}");
    assert_eq!(error.to_string(), text);
}

/// Opens an image that is broken behind some entries: `get`, iterating and iterating in parallel all say the same.
#[track_caller]
fn fault(name: &str, file: &File, sound: usize) -> Error {
    use rayon::iter::ParallelIterator;
    let image = open(name, file).unwrap();
    let fault = image.fault().expect("a fault").clone();
    assert_eq!(image.len(), sound);
    assert!(image.iter().take(sound).all(|entry| entry.is_ok()));
    let text = fault.to_string();
    assert_eq!(image.get(sound).unwrap_err().to_string(), text, "get");
    assert_eq!(image.get(sound + 100).unwrap_err().to_string(), text, "get far behind");
    assert_eq!(image.iter().last().unwrap().unwrap_err().to_string(), text, "iter");
    assert_eq!(image.iter().next_back().unwrap().unwrap_err().to_string(), text, "rev");
    assert_eq!((image.iter().len(), image.iter().count()), (sound + 1, sound + 1));
    let parallel: Vec<_> = image.par_iter().map(|entry| entry.err().map(|error| error.to_string())).collect();
    assert_eq!(parallel.len(), sound + 1);
    assert_eq!(parallel[sound].as_ref(), Some(&text), "par_iter");
    assert!(parallel[..sound].iter().all(Option::is_none));
    fault
}

/// The error of checking the first entry; decoding it says the same.
#[track_caller]
fn check(name: &str, message: &Message, limits: Limits) -> Error {
    let kind = icecore::Kind::from_file_name(name).unwrap().0;
    let file = File::new(kind.magic_name()).entry(message);
    let image = Image::open(name, file.0.into(), limits).unwrap();
    image.get(0).unwrap().check().unwrap_err()
}

#[test]
fn wrong_magics() {
    let fs = |file: &File| open("fs-1.img", file).unwrap_err();
    says(
        &fs(&File::default()),
        ErrorKind::Format,
        "fs-1.img",
        None,
        Some(0),
        "fs-1.img: offset 0 (0x0): expected a magic of 4 bytes, found 0",
    );
    says(
        &fs(&File::default().raw([1, 2, 3])),
        ErrorKind::Format,
        "fs-1.img",
        None,
        Some(0),
        "fs-1.img: offset 0 (0x0): expected a magic of 4 bytes, found 3",
    );
    for length in 4..8 {
        let text = format!("fs-1.img: offset 4 (0x4): expected a magic of 4 bytes, found {}", length - 4);
        says(&fs(&File::new("FS").cut(length)), ErrorKind::Format, "fs-1.img", None, Some(4), &text);
    }
    says(
        &fs(&File::default().word(0x1122_3344)),
        ErrorKind::Format,
        "fs-1.img",
        None,
        Some(0),
        "fs-1.img: offset 0 (0x0): expected the magic of an image, found 0x11223344 \
         (an image with raw data, such as pages-1.img, has no magic)",
    );
    says(
        &fs(&File::default().word(COMMON).word(0)),
        ErrorKind::Format,
        "fs-1.img",
        None,
        Some(4),
        "fs-1.img: offset 4 (0x4): expected the magic of an image, found 0x00000000 \
         (an image with raw data, such as pages-1.img, has no magic)",
    );
    says(
        &fs(&File::new("MM")),
        ErrorKind::Format,
        "fs-1.img",
        None,
        Some(4),
        "fs-1.img: offset 4 (0x4): expected the magic of FS (0x51403912), found that of MM (0x57492820)",
    );
    says(
        &fs(&File::v1_0("MM")),
        ErrorKind::Format,
        "fs-1.img",
        None,
        Some(0),
        "fs-1.img: offset 0 (0x0): expected the magic of FS (0x51403912), found that of MM (0x57492820)",
    );
    says(
        &fs(&File::default().word(0x5702_3458)),
        ErrorKind::Format,
        "fs-1.img",
        None,
        Some(0),
        "fs-1.img: offset 0 (0x0): this is CRIU's cache of kernel features (criu.kdat), not an image",
    );
    // a name that says nothing
    says(
        &open("x", &File::default().raw("#!/bin/sh")).unwrap_err(),
        ErrorKind::Format,
        "x",
        None,
        Some(0),
        "x: offset 0 (0x0): expected the magic of an image, found 0x622f2123 \
         (an image with raw data, such as pages-1.img, has no magic)",
    );
}

#[test]
fn big_endian() {
    let swapped = |file: File| -> File {
        let words = file.0.chunks(4).flat_map(|word| word.iter().rev().copied().collect::<Vec<_>>()).collect();
        File(words)
    };
    for (name, magic) in [("fs-1.img", "FS"), ("stats-dump", "STATS"), ("inventory.img", "INVENTORY"), ("x", "MNTS")] {
        let text = format!(
            "{name}: offset 0 (0x0): the image was written by a big-endian machine (s390x), which icecore does not read"
        );
        for file in [File::new(magic), File::v1_0(magic)] {
            let error = open(name, &swapped(file)).unwrap_err();
            // with a first word, the magic is what was looked at last
            assert_eq!((error.kind(), error.image(), error.to_string()), (ErrorKind::Format, Some(name), text.clone()));
        }
    }
}

#[test]
fn sizes_that_lie() {
    let entry = message().uint(1, 16).uint(2, 17);
    let one = File::new("PSTREE").entry(&entry);
    for left in 1..4 {
        let text = format!(
            "pstree.img: entry 1: offset 16 (0x10): expected the size of an entry, 4 bytes, found {left} \
             (the file is cut short)"
        );
        let error = fault("pstree.img", &one.clone().raw(vec![0; left]), 1);
        says(&error, ErrorKind::Format, "pstree.img", Some(1), Some(16), &text);
    }
    for size in [5u32, 1000, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let text = format!(
            "pstree.img: entry 1: offset 16 (0x10): expected an entry of {size} bytes, found 4 to the end of the file \
             (the file is cut short, or the size before the entry is wrong)"
        );
        let error = fault("pstree.img", &one.clone().word(size).raw(&entry.0), 1);
        says(&error, ErrorKind::Format, "pstree.img", Some(1), Some(16), &text);
    }
    // far behind the start, around the sparse index
    for count in [63usize, 64, 65, 200] {
        let mut file = File::new("PSTREE");
        for _ in 0..count {
            file = file.entry(&entry);
        }
        let error = fault("pstree.img", &file.word(9), count);
        assert_eq!((error.entry(), error.offset()), (Some(count as u64), Some(8 + 8 * count as u64)));
    }
    // the length before a plugin's message
    for (bytes, what) in [
        (
            File::default().raw([0; 7]),
            "entry 0: offset 0 (0x0): expected the size of an entry, 8 bytes, found 7 (the file is cut short)",
        ),
        (
            File::default().long_word(u64::MAX).raw("abc"),
            "entry 0: offset 0 (0x0): expected an entry of 18446744073709551615 bytes, found 3 to the end of the file (the file is cut short, or the size before the entry is wrong)",
        ),
    ] {
        let error = fault("amdgpu-kfd-1.img", &bytes, 0);
        assert_eq!(error.kind(), ErrorKind::Format);
        assert_eq!(error.to_string(), format!("amdgpu-kfd-1.img: {what}"));
    }
}

#[test]
fn payloads_that_are_cut() {
    let pipe = message().uint(1, 7).uint(2, 10);
    let file = File::new("PIPES_DATA").entry(&pipe).raw("0123456789").entry(&pipe).raw("012");
    says(
        &fault("pipes-data.img", &file, 1),
        ErrorKind::Format,
        "pipes-data.img",
        Some(1),
        Some(34),
        "pipes-data.img: entry 1: offset 34 (0x22): expected 10 bytes of payload behind the entry, found 3 \
         (the file is cut short, or the length in the entry is wrong)",
    );

    // two lengths of 32 bits, whose sum has 33
    let map = message().uint(1, 9).uint(2, 0xffff_ffff).uint(3, 0xffff_ffff).uint(4, 1);
    says(
        &fault("bpfmap-data.img", &File::new("BPFMAP_DATA").entry(&map), 0),
        ErrorKind::Format,
        "bpfmap-data.img",
        Some(0),
        Some(28),
        "bpfmap-data.img: entry 0: offset 28 (0x1c): expected 8589934590 bytes of payload behind the entry, found 0 \
         (the file is cut short, or the length in the entry is wrong)",
    );

    // as many values as 64 bits can say
    let set = |count| message().message(1, &message()).uint(2, count);
    says(
        &fault("ipcns-shm-1.img", &File::new("IPCNS_SHM").entry(&set(u64::MAX)), 0),
        ErrorKind::Format,
        "ipcns-shm-1.img",
        Some(0),
        Some(12),
        "ipcns-shm-1.img: entry 0: offset 12 (0xc): expected a payload that fits a file, found lengths that overflow",
    );
    let error = fault("ipcns-sem-1.img", &File::new("IPCNS_SEM").entry(&set(0xffff_ffff)).raw([0; 64]), 0);
    assert_eq!(error.what(), "expected 8589934592 bytes of payload behind the entry, found 64");
    // the padding belongs to it
    let error = fault("ipcns-sem-1.img", &File::new("IPCNS_SEM").entry(&set(3)).raw([0; 7]), 0);
    assert_eq!(error.what(), "expected 8 bytes of payload behind the entry, found 7");

    // ten bytes of key and length, none of which is there
    let broken = File::new("SK_QUEUES").entry(&message().uint(1, 1).raw([0x10, 0xff]));
    says(
        &fault("sk-queues.img", &broken, 0),
        ErrorKind::Format,
        "sk-queues.img",
        Some(0),
        Some(15),
        "sk-queues.img: entry 0: offset 15 (0xf): expected the rest of a varint, found the end",
    );

    let chunk = message().uint(1, 100).uint(2, 0);
    let ghost = message().uint(1, 0).uint(2, 0).uint(3, 0o100_644).uint(9, 1).uint(10, 5000);
    let file = File::new("GHOST_FILE").entry(&ghost).entry(&chunk).raw([7; 99]);
    let error = fault("ghost-file-1.img", &file, 1);
    assert_eq!((error.entry(), error.what()), (Some(1), "expected 100 bytes of payload behind the entry, found 99"));
}

#[test]
fn queues_that_are_cut() {
    let queue = |count| message().message(1, &message()).uint(2, 0).uint(3, count);
    let whole = File::new("IPCNS_MSG").entry(&queue(2)).queued(1, b"abc").queued(2, b"12345678");
    let start = 12 + queue(2).0.len();
    assert!(open("ipcns-msg-1.img", &whole).unwrap().fault().is_none());
    for cut in start..whole.0.len() {
        let error = fault("ipcns-msg-1.img", &whole.clone().cut(cut), 0);
        assert_eq!((error.kind(), error.entry()), (ErrorKind::Format, Some(0)), "{error}");
        assert_eq!(error.offset(), Some(start as u64), "{error}");
        assert!(error.what().contains("bytes of payload behind the entry"), "{error}");
    }
    // more records than 32 bits can count, in a file of some bytes
    let error = fault("ipcns-msg-1.img", &File::new("IPCNS_MSG").entry(&queue(u64::MAX)).queued(1, b""), 0);
    assert_eq!(error.kind(), ErrorKind::Format);
    // a record that cannot be read
    let bad = File::new("IPCNS_MSG").entry(&queue(1)).word(2).raw([0x08, 0x80]);
    let error = fault("ipcns-msg-1.img", &bad, 0);
    assert_eq!(error.what(), "expected the rest of a varint, found the end");
}

#[test]
fn messages_that_are_no_messages() {
    let limits = Limits::default();
    let least = |message: Message| check("fs-1.img", &message, limits);
    let at = |offset: u64, what: &str| format!("fs-1.img: entry 0: offset {offset} ({offset:#x}): {what}");
    for (broken, offset, what) in [
        (message().raw([0x80; 11]), 12, "expected a varint of at most 10 bytes, found a longer one"),
        (
            message().uint(1, 1).raw([0x10]).raw([0xff; 11]),
            15,
            "expected a varint of at most 10 bytes, found a longer one",
        ),
        (message().uint(1, 1).raw([0x10]), 15, "expected the rest of a varint, found the end"),
        (message().raw([0x00, 0x00]), 12, "expected a field number from 1 to 536870911, found 0"),
        (message().uint(1, 1).raw([0x0b]), 14, "expected wire type 0, 1, 2 or 5, found 3"),
        (message().uint(1, 1).raw([0x0c]), 14, "expected wire type 0, 1, 2 or 5, found 4"),
        (message().raw([0x0e]), 12, "expected wire type 0, 1, 2 or 5, found 6"),
        (message().length(99, 5).raw("abcd"), 15, "expected a value of 5 bytes, found 4"),
        (message().length(99, u64::MAX), 24, "expected a value of 18446744073709551615 bytes, found 0"),
    ] {
        says(&least(broken), ErrorKind::Format, "fs-1.img", Some(0), Some(offset), &at(offset, what));
    }
    // a key of more than 32 bits
    let mut key = message();
    varint(&mut key.0, 1 << 40);
    assert_eq!(least(key).what(), format!("expected a field number from 1 to 536870911, found {}", 1u64 << 37));
}

#[test]
fn wrong_wire_types() {
    let limits = Limits::default();
    let text = |message: &Message| check("fs-1.img", message, limits).to_string();
    assert_eq!(
        text(&message().bytes(1, "x").uint(2, 1)),
        "fs-1.img: entry 0: offset 12 (0xc): field cwd_id: expected wire type 0 of fs_entry, found 2"
    );
    assert_eq!(
        text(&message().uint(1, 1).fixed64(2, 7)),
        "fs-1.img: entry 0: offset 14 (0xe): field root_id: expected wire type 0 of fs_entry, found 1"
    );
    // in a message within a message, and in elements of packed runs
    let files = |inner: Message| check("files.img", &message().uint(1, 1).uint(2, 1).message(3, &inner), limits);
    let error = files(message().uint(1, 1).message(5, &message().fixed32(1, 9)));
    assert_eq!(error.field(), Some("reg.fown.uid"));
    assert_eq!((error.kind(), error.entry(), error.offset()), (ErrorKind::Format, Some(0), Some(22)));
    assert_eq!(error.what(), "expected wire type 0 of fown_entry, found 5");
    let group = check("creds-1.img", &message().raw([0x72, 2, 0x80, 0x80]), limits);
    assert_eq!(group.what(), "expected the rest of a varint, found the end");
    // what repeats may be packed or not, whatever the schema says; both readers take both
    let least = Generator::new().least("creds_entry");
    let (plain, run) = (least.clone().uint(14, 5).uint(14, 6), least.packed(14, &[5, 6]));
    for groups in [plain, run] {
        let image = open("creds-1.img", &File::new("CREDS").entry(&groups)).unwrap();
        assert_eq!(image.get(0).unwrap().decode::<v1::CredsEntry>().unwrap().groups, [5, 6]);
    }
}

#[test]
fn missing_required_fields() {
    let limits = Limits::default();
    says(
        &check("fs-1.img", &message(), limits),
        ErrorKind::Format,
        "fs-1.img",
        Some(0),
        Some(12),
        "fs-1.img: entry 0: offset 12 (0xc): field cwd_id: expected required field 1 of fs_entry, found none",
    );
    says(
        &check("fs-1.img", &message().uint(1, 1), limits),
        ErrorKind::Format,
        "fs-1.img",
        Some(0),
        Some(12),
        "fs-1.img: entry 0: offset 12 (0xc): field root_id: expected required field 2 of fs_entry, found none",
    );
    // deep inside: the path names every message, the offset is that of the innermost
    let reg = message().uint(1, 1).uint(2, 0).uint(3, 0).message(5, &message().uint(1, 0));
    let error = check("files.img", &message().uint(1, 1).uint(2, 1).message(3, &reg), limits);
    assert_eq!((error.field(), error.offset()), (Some("reg.fown.euid"), Some(26)));
    assert_eq!(error.what(), "expected required field 2 of fown_entry, found none");
    // every message without any of its fields
    let generator = Generator::new();
    for row in
        common::tables::images().rows().filter(|row| row.get("raw") == "no" && !row.get("magic_hex").starts_with('-'))
    {
        let name = row.get("entry_messages").split([',', '*']).next().unwrap();
        let file = File::new(row.get("magic")).entry(&message());
        let image = open("x", &file).unwrap();
        let entry = image.get(0).unwrap();
        assert_eq!(entry.check().is_ok(), generator.least(name).0.is_empty(), "{name}");
    }
}

#[test]
fn nested_too_deep() {
    // messages that hold themselves: the only two ways to get deep
    let generator = Generator::new();
    let nest = |depth: usize, inner: &dyn Fn(&Message) -> Message| (0..depth).fold(message(), |m, _| inner(&m));
    for (name, of, field, depth) in
        [("cgroup.img", "cgroup_dir_entry", "children", 98), ("apparmor.img", "aa_namespace", "namespaces", 99)]
    {
        let schema = icecore::object::schema::Message::by_name(of).unwrap();
        let number = schema.field(field).unwrap().number;
        let least = generator.least(of);
        let chain = |depth| {
            nest(depth, &|inner| if inner.0.is_empty() { least.clone() } else { least.clone().message(number, inner) })
        };
        let wrap = |depth| match name {
            "cgroup.img" => message().message(2, &message().message(2, &chain(depth))),
            _ => message().message(1, &chain(depth)),
        };
        let fits = |depth, limits: Limits| {
            let kind = icecore::Kind::from_file_name(name).unwrap().0;
            let image = Image::open(name, File::new(kind.magic_name()).entry(&wrap(depth)).0.into(), limits).unwrap();
            let entry = image.get(0).unwrap();
            entry.check().map(|()| {
                // what the check lets pass, the decoder takes
                match name {
                    "cgroup.img" => drop(entry.decode::<v1::CgroupEntry>().unwrap()),
                    _ => drop(entry.decode::<v1::ApparmorEntry>().unwrap()),
                }
            })
        };
        let limits = Limits::default();
        fits(depth, limits).unwrap_or_else(|error| panic!("{name} {depth}: {error}"));
        for depth in [depth + 1, depth + 1000, 20_000] {
            let error = fits(depth, limits).unwrap_err();
            assert_eq!((error.kind(), error.image(), error.entry()), (ErrorKind::Limit, Some(name), Some(0)));
            assert!(error.offset().is_some());
            assert_eq!(error.what(), "messages are nested more than 100 deep");
            assert!(error.to_string().ends_with("(Limits::depth, or --max-depth, raises it)"), "{error}");
        }
        let low = Limits { depth: 3, ..limits };
        assert_eq!(fits(5, low).unwrap_err().what(), "messages are nested more than 3 deep");
    }
}

/// Few bytes in the file, many in memory.
#[test]
fn more_memory_than_allowed() {
    let limits = Limits::default();
    // empty messages without required fields: two bytes each in the file, a hundred and more as a struct
    let millions = message().raw(b"\x12\x00".repeat(3_000_000));
    let error = check("cgroup.img", &millions, limits);
    assert_eq!(
        (error.kind(), error.image(), error.entry()),
        (ErrorKind::Limit, Some("cgroup.img"), Some(0)),
        "{error}"
    );
    assert_eq!(error.field(), Some("controllers"));
    assert_eq!(error.what(), "decoding the entry takes more than 268435456 bytes of memory");
    assert!(error.to_string().ends_with("(Limits::memory, or --max-memory, raises it)"));
    // empty names
    let names = message().message(2, &message().raw(b"\x0a\x00".repeat(5_000_000)));
    assert_eq!(check("cgroup.img", &names, limits).field(), Some("controllers.cnames"));
    // numbers: one byte in a packed run, four or eight in a vector
    let least = Generator::new().least("creds_entry");
    let run = least.bytes(14, vec![0u8; 20_000_000]);
    let error = check("creds-1.img", &run, limits);
    assert_eq!((error.kind(), error.field()), (ErrorKind::Limit, Some("groups")), "{error}");
    let raised = Limits { memory: 1 << 40, ..limits };
    let image = Image::open("creds-1.img", File::new("CREDS").entry(&run).0.into(), raised).unwrap();
    image.get(0).unwrap().check().unwrap();
}

#[test]
fn names_need_not_be_utf8() {
    let least = Generator::new().least("reg_file_entry");
    let file = File::new("REG_FILES").entry(&least.bytes(6, b"caf\xe9"));
    let image = open("reg-files.img", &file).unwrap();
    let entry = image.get(0).unwrap();
    entry.check().unwrap();
    assert_eq!(entry.decode::<v1::RegFileEntry>().unwrap().name, b"caf\xe9".as_slice());
}

/// What a newer CRIU may write: not an error, and left alone.
#[test]
fn unknown_fields_are_no_errors() {
    let newer = message().uint(1, 1).uint(2, 2).bytes(77, "?").fixed64(78, 1).fixed32(79, 1).uint(536_870_911, 5);
    let image = open("fs-1.img", &File::new("FS").entry(&newer)).unwrap();
    let entry = image.get(0).unwrap();
    let fs = entry.decode::<v1::FsEntry>().unwrap();
    assert_eq!((fs.cwd_id, fs.root_id, fs.umask), (1, 2, None));
    assert_eq!(entry.message(), newer.0);
}

#[test]
fn wrong_questions() {
    let image = open("fs-1.img", &File::new("FS").entry(&message().uint(1, 1).uint(2, 2))).unwrap();
    let error = image.get(1).unwrap_err();
    says(&error, ErrorKind::Usage, "fs-1.img", None, None, "fs-1.img: expected an entry below 1, asked for 1");
    let error = image.get(0).unwrap().decode::<v1::MmEntry>().unwrap_err();
    says(
        &error,
        ErrorKind::Usage,
        "fs-1.img",
        Some(0),
        Some(12),
        "fs-1.img: entry 0: offset 12 (0xc): the entry is a fs_entry, asked for a mm_entry",
    );
}

/// Of a field that stands twice the last counts, and all are looked at. A message that stands in parts is one in JSON, as
/// crit has it; to be decoded each part has to be whole.
#[test]
fn fields_that_stand_twice() {
    let says = |message: &Message| {
        let file = File::new("EVENTFD_FILE").entry(message);
        let image = Image::open("eventfd.img", file.0.into(), Limits::default()).unwrap();
        let mut warnings = Vec::new();
        let mut warn = |error: Error| warnings.push(error.what().to_owned());
        let decoded =
            icecore::object::json::decode(&image, &icecore::object::json::Form::COMPACT, &mut Vec::new(), &mut warn);
        warnings.extend(decoded.err().map(|error| error.what().to_owned()));
        let checked = image.get(0).unwrap().check().err().map(|error| error.what().to_owned());
        (checked.unwrap_or_default(), warnings.join("; "))
    };
    let eventfd = |first: &Message, second: &Message| {
        message().uint(1, 1).uint(2, 2).message(3, first).message(3, second).uint(4, 4)
    };
    let same = |what: &str| (what.to_owned(), what.to_owned());
    let whole = |number: u64| (1..=5).fold(message(), |fown, field| fown.uint(field, number));
    assert_eq!(says(&eventfd(&whole(1), &whole(2))), same(""));
    let (first, second) = (message().uint(1, 1).uint(2, 2), message().uint(3, 3).uint(4, 4).uint(5, 5));
    let lacks = "expected required field 3 of fown_entry, found none";
    assert_eq!(says(&eventfd(&first, &second)), (lacks.to_owned(), String::new()));
    let half = message().uint(3, 3).uint(4, 4);
    assert_eq!(says(&eventfd(&first, &half)).1, "expected required field 5 of fown_entry, found none");
    // a part that goes on in the next one is broken, though both together are a message
    let cut = message().raw([8, 1, 16]);
    let rest = message().raw([2, 24, 3, 32, 4, 40, 5]);
    assert_eq!(says(&eventfd(&cut, &rest)), same("expected the rest of a varint, found the end"));
    let wrong = message().fixed32(1, 7).uint(2, 2).message(3, &first).uint(1, 1).message(3, &second).uint(4, 4);
    assert_eq!(says(&wrong), same("expected wire type 0 of eventfd_file_entry, found 5"));
}
