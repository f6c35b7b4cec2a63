//! Every framing that CRIU ever wrote, read from images that the tests' own writer made.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use common::random::{self, Generator};
use common::rng::Rng;
use common::tables;
use common::writer::{COMMON, File, Message, SERVICE, message};
use icecore::image::{FirstWord, KINDS, Shape};
use icecore::v1;
use icecore::{Entry, ErrorKind, Image, Kind, Limits};
use rayon::iter::ParallelIterator;

fn open(name: &str, file: &File) -> Image {
    Image::open(name, file.0.clone().into(), Limits::default()).unwrap()
}

/// All ways to walk an image give the same entries; returns them as (message, payload).
fn walk(image: &Image) -> Vec<(Vec<u8>, Vec<u8>)> {
    let place = |entry: &Entry<'_>| (entry.index(), entry.offset(), entry.message_offset(), entry.payload_offset());
    let entries: Vec<Entry<'_>> = image.iter().map(|entry| entry.unwrap()).collect();
    assert_eq!(image.len(), entries.len());
    assert_eq!(image.is_empty(), entries.is_empty());
    assert!(image.fault().is_none());
    assert_eq!(image.iter().len(), entries.len());
    let places: Vec<_> = entries.iter().map(place).collect();
    let got: Vec<_> = (0..image.len()).map(|i| place(&image.get(i).unwrap())).collect();
    assert_eq!(got, places, "get");
    let mut back: Vec<_> = image.iter().rev().map(|entry| place(&entry.unwrap())).collect();
    back.reverse();
    assert_eq!(back, places, "rev");
    let parallel: Vec<_> = image.par_iter().map(|entry| place(&entry.unwrap())).collect();
    assert_eq!(parallel, places, "par_iter");
    let error = image.get(image.len()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let mut end = (image.bytes().len() - image.body().len()) as u64;
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry.index(), index);
        assert_eq!(entry.offset(), end, "entries lie one behind the other");
        assert_eq!(entry.payload_offset(), entry.message_offset() + entry.message().len() as u64);
        end = entry.payload_offset() + entry.payload().len() as u64;
        assert_eq!(entry.message_bytes(), entry.message());
        assert_eq!(entry.payload_bytes(), entry.payload());
    }
    if !entries.is_empty() && image.kind().row().shape != Shape::Plugin {
        assert_eq!(end, image.bytes().len() as u64);
    }
    entries.iter().map(|entry| (entry.message().to_vec(), entry.payload().to_vec())).collect()
}

fn messages(image: &Image) -> Vec<Vec<u8>> {
    walk(image).into_iter().map(|(message, _)| message).collect()
}

/// Every framed kind, in v1.0 and v1.1, empty and with entries; by its name and by its magic.
#[test]
fn every_kind_in_every_version() {
    let generator = Generator::new();
    let mut kinds = 0;
    for row in tables::images().rows() {
        let magic = row.get("magic");
        if row.get("raw") != "no" || magic == "MEMFD_FILE" {
            continue;
        }
        kinds += 1;
        let name = row.get("template").replace("%lu", "7").replace("%u", "7").replace("%x", "7").replace("%s", "dump");
        let head = row.get("entry_messages").split([',', '*']).next().unwrap();
        let least = generator.least(head);
        for count in [0, 1, 2] {
            for mut file in
                [File::new(magic), File::v1_0(magic), File::default().word(COMMON).raw(&File::v1_0(magic).0)]
            {
                for _ in 0..count {
                    // a pagemap's further entries differ; framing does not look
                    file = file.entry(&least);
                }
                let image = open(&name, &file);
                assert_eq!(image.name(), name);
                assert_eq!(image.kind().magic_name(), magic, "{name}");
                if name.contains('7') {
                    assert_eq!(image.id(), 7);
                }
                // what follows a ghost file's first entry is its content
                if magic == "GHOST_FILE" {
                    assert_eq!(image.len(), count.min(1));
                } else {
                    assert_eq!(messages(&image), vec![least.0.clone(); count], "{name}");
                }
                let by_magic = open("whatever", &file);
                assert_eq!(by_magic.kind(), Kind::from_magic_name(magic).unwrap());
                assert_eq!(by_magic.len(), image.len());
                assert_eq!(by_magic.first_word(), image.first_word());
            }
        }
    }
    assert!(kinds > 70, "{kinds} kinds");
}

#[test]
fn first_words() {
    let least = Generator::new().least("stats_entry");
    let file = File::new("STATS").entry(&least);
    let image = open("stats-restore", &file);
    assert_eq!((image.first_word(), image.id(), image.len()), (FirstWord::Service, 1, 1));
    assert_eq!(file.0[..4], SERVICE.to_le_bytes());

    // the table says which word a kind has; like crit, the reader takes either, and neither
    let file = File::default().word(SERVICE).raw(&File::v1_0("FS").0);
    assert_eq!(open("fs-1.img", &file).first_word(), FirstWord::Service);
    assert_eq!(open("fs-1.img", &File::v1_0("FS")).first_word(), FirstWord::Absent);
    let inventory = File::default().word(COMMON).raw(&File::new("INVENTORY").0).entry(&message().uint(1, 2));
    let image = open("inventory.img", &inventory);
    assert_eq!((image.first_word(), image.len()), (FirstWord::Common, 1));
    assert_eq!(image.get(0).unwrap().offset(), 8);
    assert_eq!(open("inventory.img", &File::new("INVENTORY").entry(&message().uint(1, 2))).get(0).unwrap().offset(), 4);
}

#[test]
fn kinds_that_share_a_magic() {
    let file = File::new("PAGEMAP").entry(&message().uint(1, 5));
    for (name, kind, id) in [
        ("pagemap-3.img", Kind::Pagemap, 3),
        ("pagemap-shmem-18446744073709551615.img", Kind::PagemapShmem, u64::MAX),
        ("a copy of one", Kind::Pagemap, 0),
        ("dump/pagemap-shmem-2.img", Kind::PagemapShmem, 2),
    ] {
        let image = open(name, &file);
        assert_eq!((image.kind(), image.id(), image.name()), (kind, id, name));
        assert_eq!(image.get(0).unwrap().message_name(), "pagemap_head");
    }
    let file = File::new("SIGNAL").entry(&message().bytes(1, [0; 128]));
    assert_eq!(open("signal-s-3.img", &file).kind(), Kind::Signal);
    assert_eq!(open("signal-p-3.img", &file).kind(), Kind::SignalPrivate);
    let file = File::new("FILE_LOCKS");
    assert_eq!(open("filelocks.img", &file).kind(), Kind::FileLocks);
    assert_eq!(open("filelocks-12.img", &file).kind(), Kind::FileLocksPid);
}

/// The sparse index keeps every 64th offset: all around that.
#[test]
fn many_entries() {
    for count in [1u64, 63, 64, 65, 127, 128, 129, 1000] {
        let mut file = File::new("PAGEMAP").entry(&message().uint(1, 5));
        for i in 1..count {
            file = file.entry(&message().uint(1, i << (i % 40)).uint(2, 0).uint(5, i));
        }
        let image = open("pagemap-1.img", &file);
        assert_eq!(walk(&image).len() as u64, count);
        for i in 1..count {
            let entry = image.get(i as usize).unwrap();
            assert_eq!(entry.message_name(), "pagemap_entry");
            assert_eq!(entry.decode::<v1::PagemapEntry>().unwrap().nr_pages, Some(i));
        }
        // the same with payloads, which are walked by another loop
        let mut file = File::new("PIPES_DATA");
        for i in 0..count {
            file = file.entry(&message().uint(1, i).uint(2, i % 7)).raw(vec![9; (i % 7) as usize]);
        }
        let found = walk(&open("pipes-data.img", &file));
        assert!(found.iter().zip(0..).all(|((_, payload), i)| payload.len() as u64 == i % 7));
        assert_eq!(found.len() as u64, count);
    }
}

/// `seccomp.img` without filters: an entry of no bytes.
#[test]
fn empty_entries() {
    let file = File::new("SECCOMP").entry(&message());
    assert_eq!(file.0[8..], [0; 4]);
    let image = open("seccomp.img", &file);
    assert_eq!(messages(&image), [Vec::<u8>::new()]);
    assert!(image.get(0).unwrap().decode::<v1::SeccompEntry>().unwrap().seccomp_filters.is_empty());
}

#[test]
fn bytes_behind_entries() {
    let pipe = |id, bytes: &[u8]| message().uint(1, id).uint(2, bytes.len() as u64);
    let parts: [&[u8]; 3] = [b"first", b"", b"\0\x01\xff"];
    for name in ["PIPES_DATA", "FIFO_DATA"] {
        let mut file = File::new(name);
        for part in parts {
            file = file.entry(&pipe(7, part)).raw(part);
        }
        let found = walk(&open("pipes", &file));
        assert_eq!(found.iter().map(|(_, payload)| &payload[..]).collect::<Vec<_>>(), parts);
    }

    let packet = |text: &[u8]| message().uint(1, 32).uint(2, text.len() as u64);
    let file = File::new("SK_QUEUES")
        .entry(&packet(b"with-fd"))
        .raw(b"with-fd")
        .entry(&packet(b""))
        .entry(&packet(b"x"))
        .raw("x");
    let found = walk(&open("sk-queues.img", &file));
    assert_eq!(found.iter().map(|(_, payload)| &payload[..]).collect::<Vec<_>>(), [b"with-fd".as_slice(), b"", b"x"]);

    let stream = message().uint(1, 3).uint(2, 100).uint(3, 4).uint(4, 200).uint(5, 0).uint(6, 1000);
    let image = open("tcp-stream-1f.img", &File::new("TCP_STREAM").entry(&stream).raw("inqoutq"));
    assert_eq!((image.id(), &walk(&image)[0].1[..]), (31, b"inqoutq".as_slice()));

    let map = message().uint(1, 9).uint(2, 8).uint(3, 2).uint(4, 2);
    let file = File::new("BPFMAP_DATA")
        .entry(&map)
        .raw(b"key1key2vv")
        .entry(&message().uint(1, 1).uint(2, 0).uint(3, 0).uint(4, 0));
    let found = walk(&open("bpfmap-data.img", &file));
    assert_eq!((&found[0].1[..], found.len()), (b"key1key2vv".as_slice(), 2));
}

fn description() -> Message {
    message().uint(1, 4660).uint(2, 0).uint(3, 0).uint(4, 0).uint(5, 0).uint(6, 384).uint(7, 1)
}

#[test]
fn semaphores() {
    for count in 0..9u16 {
        let values: Vec<u8> = (0..count).flat_map(|i| (i * 257).to_le_bytes()).collect();
        let set = message().message(1, &description()).uint(2, u64::from(count));
        let file = File::new("IPCNS_SEM").entry(&set).padded(&values, 8).entry(&set).padded(&values, 8);
        let found = walk(&open("ipcns-sem-1.img", &file));
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].1.len(), values.len().div_ceil(8) * 8);
        assert_eq!(found[1].1[..values.len()], values);
    }
}

#[test]
fn message_queues() {
    let queue = |count| message().message(1, &description()).uint(2, 16384).uint(3, count);
    let texts: [&[u8]; 4] = [b"hello", b"0123456789abcdef", b"", b"12345678x"];
    let mut file = File::new("IPCNS_MSG").entry(&queue(4));
    for (text, kind) in texts.iter().zip(1..) {
        file = file.queued(kind, text);
    }
    file = file.entry(&queue(0)).entry(&queue(1)).queued(9, b"last");
    let image = open("ipcns-msg-1.img", &file);
    assert_eq!(walk(&image).len(), 3);
    let first = image.get(0).unwrap();
    let records: Vec<_> = first.records().map(|record| record.unwrap()).collect();
    assert_eq!(records.iter().map(|record| record.data).collect::<Vec<_>>(), texts);
    for (record, kind) in records.iter().zip(1..) {
        let inner: v1::IpcMsg =
            icecore::object::message(record.message.to_vec().into(), &Limits::default(), "ipcns-msg-1.img").unwrap();
        assert_eq!((inner.mtype, inner.msize as usize), (kind, record.data.len()));
    }
    assert_eq!(image.get(1).unwrap().records().count(), 0);
    assert_eq!(image.get(2).unwrap().records().next().unwrap().unwrap().data, b"last");
    // other kinds have no records
    assert_eq!(open("x", &File::new("FS").entry(&message())).get(0).unwrap().records().count(), 0);
}

/// Segments: with the payload behind each (before v3.0), and without (their pages are in pagemaps).
#[test]
fn shared_memory_segments() {
    let segment = |size: u64| message().message(1, &description()).uint(2, size);
    let old = File::new("IPCNS_SHM").entry(&segment(5)).padded(b"abcde", 4).entry(&segment(4)).padded(b"wxyz", 4);
    let found = walk(&open("ipcns-shm-1.img", &old));
    assert_eq!(found.iter().map(|(_, payload)| &payload[..]).collect::<Vec<_>>(), [b"abcde\0\0\0".as_slice(), b"wxyz"]);

    let new = File::new("IPCNS_SHM").entry(&segment(10_000).uint(3, 1)).entry(&segment(1 << 40).uint(3, 1).uint(4, 0));
    let found = walk(&open("ipcns-shm-1.img", &new));
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(_, payload)| payload.is_empty()));

    let mixed = File::new("IPCNS_SHM").entry(&segment(9).uint(3, 1)).entry(&segment(1).uint(3, 0)).padded(b"x", 4);
    assert_eq!(walk(&open("ipcns-shm-1.img", &mixed))[1].1, b"x\0\0\0");
}

#[test]
fn ghost_files() {
    let ghost = message().uint(1, 0).uint(2, 0).uint(3, 0o100_644);
    let file = File::new("GHOST_FILE").entry(&ghost).raw("ghost contents");
    let image = open("ghost-file-1.img", &file);
    assert_eq!(walk(&image)[0].1, b"ghost contents");
    assert_eq!(walk(&open("ghost-file-1.img", &File::new("GHOST_FILE").entry(&ghost)))[0].1, b"");
    // false is as absent
    let file = File::new("GHOST_FILE").entry(&ghost.clone().uint(9, 0)).raw([0; 9]);
    assert_eq!(walk(&open("ghost-file-1.img", &file))[0].1, [0; 9]);

    let chunk = |length, offset| message().uint(1, length).uint(2, offset);
    let file = File::new("GHOST_FILE")
        .entry(&ghost.uint(9, 1).uint(10, 1 << 20))
        .entry(&chunk(6, 4096))
        .raw("chunk1")
        .entry(&chunk(0, 8192))
        .entry(&chunk(2, 1 << 19))
        .raw("c3");
    let image = open("ghost-file-a.img", &file);
    assert_eq!(image.id(), 10);
    let found = walk(&image);
    assert_eq!(
        found.iter().map(|(_, payload)| &payload[..]).collect::<Vec<_>>(),
        [b"".as_slice(), b"chunk1", b"", b"c3"]
    );
    let names: Vec<_> = image.iter().map(|entry| entry.unwrap().message_name()).collect();
    assert_eq!(names, ["ghost_file_entry", "ghost_chunk_entry", "ghost_chunk_entry", "ghost_chunk_entry"]);
    assert_eq!(image.get(3).unwrap().decode::<v1::GhostChunkEntry>().unwrap().off, 1 << 19);
}

#[test]
fn images_of_plugins() {
    let generator = Generator::new();
    for (name, of, kind) in [
        ("amdgpu-kfd-5.img", "criu_kfd", Kind::AmdgpuKfd),
        ("amdgpu-renderD-5.img", "criu_render_node", Kind::AmdgpuRender),
        ("amdgpu-dmabuf_5.img", "criu_dmabuf_node", Kind::AmdgpuDmabuf),
    ] {
        let least = generator.least(of);
        let file = File::default().long_word(least.0.len() as u64).raw(&least.0);
        let image = open(name, &file);
        assert_eq!((image.kind(), image.id(), image.len()), (kind, 5, 1));
        assert_eq!(messages(&image), std::slice::from_ref(&least.0));
        let entry = image.get(0).unwrap();
        assert_eq!((entry.message_name(), entry.message_offset()), (of, 8));
        entry.check().unwrap();
    }
    // the length word of buffers may be garbage: all behind it is content
    for length in [3, u64::MAX, 0] {
        let image = open("amdgpu-drm-pages-1-128-000a.img", &File::default().long_word(length).raw("abc"));
        assert_eq!(
            (image.kind(), image.id(), image.body(), image.len()),
            (Kind::AmdgpuDrmPages, 1, b"abc".as_slice(), 0)
        );
    }
    let image = open("amdgpu-pages-3-12ab.img", &File::default().long_word(2).raw("xy"));
    assert_eq!((image.kind(), image.body()), (Kind::AmdgpuPages, b"xy".as_slice()));
}

#[test]
fn raw_images() {
    for row in KINDS.iter().filter(|row| row.shape == Shape::Raw) {
        let name = row.kind.file_name(3).unwrap();
        for content in [&b""[..], b"x", b"\x19\x43\x56\x54\x12\x39\x40\x51"] {
            let image = open(&name, &File(content.to_vec()));
            assert_eq!((image.kind(), image.body(), image.len()), (row.kind, content, 0), "{name}");
            assert!(image.fault().is_none() && image.iter().next().is_none());
            assert_eq!(image.get(0).unwrap_err().kind(), ErrorKind::Usage);
        }
    }
    // before v0.5 a pages file had a magic, and an address before each page
    let page = File::default().word(0x5608_4025).long_word(0x1000).raw([7; 4096]).long_word(0x2000).raw([8; 4096]);
    let image = open("pages-1.img", &page);
    assert_eq!((image.kind(), image.body().len()), (Kind::PagesOld, 2 * 4104));
    assert_eq!(open("pages-1.img", &page.clone().raw("x")).kind(), Kind::Pages);
    // today's, whose first page happens to begin like that
    assert_eq!(open("pages-1.img", &File::default().word(0x5608_4025).raw([0; 4092])).kind(), Kind::Pages);
}

/// Random images of every kind: framing finds each entry, and each is sound.
#[test]
fn random_images_are_sound() {
    let generator = Generator::new();
    let mut rng = Rng::new(1);
    for row in tables::images().rows().filter(|row| row.get("raw") == "no" && row.get("magic") != "MEMFD_FILE") {
        let names: Vec<&str> =
            row.get("entry_messages").split(", then ").map(|name| name.split(['*', ' ']).next().unwrap()).collect();
        for _ in 0..20 {
            let single = row.get("cardinality").starts_with("single");
            let file = random::image(&generator, &mut rng, row.get("magic"), &names, single);
            let image = open(row.get("magic"), &file);
            walk(&image);
            for entry in &image {
                entry.unwrap().check().unwrap();
            }
        }
    }
}
