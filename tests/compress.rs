//! `crit compress` and `crit decompress`: real dumps there and back, with crit 4.3 on the other side, and dumps made up
//! for what no real one has.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use common::packing::{all, copy, folder, inventory, pack, pack_in_place, unpack, write_inventory};
use common::pagemap::{PAGE, Pagemap, Store, content, process};
use common::writer::message;
use common::{corpus, oracle};
use icecore::base::report::{Cancel, Silent};
use icecore::memory::{Content, Pagemap as Entries};
use icecore::tool::compress::{self, Compress, Done};
use icecore::{AddressSpace, Checkpoint, ErrorKind, Kind};

const BASE: u64 = 0x1000_0000;

/// Whether crit takes the command for a folder, and what it says.
fn crit(launcher: &Path, words: &[&str], dir: &Path) -> (bool, String) {
    let output = Command::new(launcher).args(words).arg(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

fn dumps() -> Vec<std::path::PathBuf> {
    let mut dumps = corpus::dumps(&corpus::data());
    if let Some(large) = corpus::large() {
        dumps.extend(corpus::dumps(&large));
    }
    dumps.retain(|dump| dump.join("inventory.img").is_file());
    dumps
}

/// The files without those that stay for want of a way to know them: the inventory loses `compress: 0`.
fn without_inventory(dir: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = all(dir);
    files.remove("inventory.img");
    files
}

/// The memory of every process and segment.
fn spaces(dump: &Checkpoint) -> Vec<AddressSpace> {
    let tasks = dump.tasks().unwrap();
    let own = tasks.iter().filter_map(|task| task.address_space().ok()?);
    own.chain(dump.images_of(Kind::PagemapShmem).iter().map(|name| dump.segment(name.id).unwrap())).collect()
}

/// Whether two dumps have the same memory; how many bytes of it are stored.
fn same_memory(a: &Path, b: &Path) -> u64 {
    let (a, b) = (Checkpoint::open(a).unwrap(), Checkpoint::open(b).unwrap());
    let (a, b) = (spaces(&a), spaces(&b));
    assert_eq!(a.len(), b.len());
    let mut stored = 0;
    for (one, other) in a.iter().zip(&b).chain(b.iter().zip(&a)) {
        for run in one.runs(0..u64::MAX) {
            if matches!(run.content, Content::Stored(_)) {
                let length = (run.end - run.start) as usize;
                let (mut here, mut there) = (vec![1; length], vec![2; length]);
                one.read(run.start, &mut here).unwrap();
                other.read(run.start, &mut there).unwrap();
                assert!(here == there, "{:#x}", run.start);
                stored += length as u64;
            }
        }
    }
    stored
}

#[test]
fn dumps_there_and_back() {
    let (mut done, mut refused) = (0, 0);
    let folder = folder();
    for dump in dumps() {
        let own = copy(&dump, &folder.path().join("own"));
        match pack(&own, &Compress { backups: false, ..Compress::default() }) {
            Ok(Done::All(_)) => {
                done += 1;
                assert!(matches!(unpack(&own, false), Ok(Done::All(_))), "{}", dump.display());
                assert!(without_inventory(&own) == without_inventory(&dump), "{}", dump.display());
            }
            Ok(_) => {}
            // pre-dumps, and dumps whose large files of pages were left out
            Err(error) => {
                refused += 1;
                assert!(error.image().is_some(), "{error}");
                assert!(all(&own) == all(&dump), "{}", dump.display());
            }
        }
        fs::remove_dir_all(own).unwrap();
    }
    assert!(done >= 3 && done > 5 * refused, "{done} there and back, {refused} refused");
}

#[test]
fn crit_on_the_other_side() {
    let Some(launcher) = oracle::crit() else { return };
    let folder = folder();
    // crit takes a tenth of a second to start
    for dump in
        dumps().into_iter().enumerate().filter(|(number, _)| *number < 3 || number % 16 == 0).map(|(_, dump)| dump)
    {
        let (own, other) = (copy(&dump, &folder.path().join("own")), copy(&dump, &folder.path().join("other")));
        let packed = pack(&own, &Compress::default());
        let (taken, said) = crit(&launcher, &["compress"], &other);
        assert_eq!(packed.is_ok(), taken, "{}: {packed:?}, crit: {said}", dump.display());
        if let Ok(Done::All(counts)) = packed {
            assert!(said.contains("Done"), "{said}");
            for count in counts.iter().filter(|count| count.before > 0) {
                assert!(said.contains(&format!("{}: {} pages", count.file, count.pages)), "{count:?}\n{said}");
            }
            // the same files changed, the same stayed as backups
            assert_eq!(all(&own).keys().collect::<Vec<_>>(), all(&other).keys().collect::<Vec<_>>());
            for dir in [&own, &other] {
                for (name, content) in all(dir) {
                    if name.ends_with(".bak") {
                        assert!(content == all(&dump)[name.trim_end_matches(".bak")], "{name}");
                        fs::remove_file(dir.join(name)).unwrap();
                    }
                }
            }
            let (taken, said) = crit(&launcher, &["decompress", "--in-place"], &own);
            assert!(taken, "{}: {said}", dump.display());
            unpack(&other, false).unwrap();
            assert!(without_inventory(&own) == without_inventory(&dump), "{}", dump.display());
            assert!(all(&other) == all(&own), "{}", dump.display());
        }
        fs::remove_dir_all(own).unwrap();
        fs::remove_dir_all(other).unwrap();
    }
}

#[test]
fn blocks_of_any_size() {
    let launcher = oracle::crit();
    let folder = folder();
    let dump = corpus::data().join("tree");
    let mut sizes = Vec::new();
    for pages in [1, 2, 16, 64, 1024] {
        let own = copy(&dump, &folder.path().join("own"));
        pack_in_place(&own, pages);
        let said = Checkpoint::open(&own).unwrap();
        let inventory = said.inventory().unwrap().clone();
        assert_eq!((inventory.img_version, inventory.compress), (3, Some("lz4")));
        assert_eq!(inventory.compress_block_size, Some(pages as u32 * 4096));
        assert!(same_memory(&own, &dump) > 100 << 10, "{pages} pages");
        sizes.push(said.stored_bytes());
        if let Some(launcher) = &launcher {
            let (taken, said) = crit(launcher, &["decompress", "--in-place"], &own);
            assert!(taken, "{said}");
        } else {
            unpack(&own, false).unwrap();
        }
        assert!(without_inventory(&own) == without_inventory(&dump));
        assert_eq!(Checkpoint::open(&own).unwrap().inventory().unwrap().img_version, 2);
        fs::remove_dir_all(own).unwrap();
    }
    assert!(sizes.is_sorted_by(|a, b| a >= b), "larger blocks pack better: {sizes:?}");
}

#[test]
fn backups_and_what_is_there_already() {
    let folder = folder();
    let dump = corpus::data().join("tree");
    let own = copy(&dump, &folder.path().join("own"));
    assert_eq!(unpack(&own, true).unwrap(), Done::Already);
    pack(&own, &Compress::default()).unwrap();
    let packed = all(&own);
    for (name, content) in all(&dump) {
        let changes = name == "inventory.img" || name.starts_with("pages-") || name.starts_with("pagemap-");
        assert_eq!(packed.get(&format!("{name}.bak")), changes.then_some(&content), "{name}");
    }
    assert_eq!(pack(&own, &Compress::default()).unwrap(), Done::Already);
    let error = unpack(&own, true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains(".bak: is there already"), "{error}");
    assert!(all(&own) == packed);
    unpack(&own, false).unwrap();
    for (name, content) in all(&dump) {
        assert!(name == "inventory.img" || all(&own)[&name] == content, "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

/// Pages of an entry: what the first bytes say is whether they are plain.
fn noise(pages: usize) -> Vec<u8> {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 32) as u8
    };
    (0..pages * PAGE).map(|_| next()).collect()
}

/// What entry `index` of a pagemap says: flags, sizes of its blocks.
fn entry(dir: &Path, name: &str, index: usize) -> (u32, Option<Vec<u32>>) {
    let dump = Checkpoint::open(dir).unwrap();
    let name = dump.images().iter().find(|image| image.file == name).unwrap();
    let image = dump.open_image(name).unwrap();
    let entry = Entries::open(&image).unwrap().iter().nth(index).unwrap().unwrap();
    (entry.pe_flags(), entry.blocks.map(|blocks| blocks.block_sizes().collect()))
}

#[test]
fn rules_of_crit() {
    let folder = folder();
    let dir = folder.path().join("dump");
    let plain = noise(2);
    let text = content(3, 1);
    let zero = vec![0; PAGE];
    let mixed = [&zero[..], &plain, &text].concat();
    let map = Pagemap::new(1)
        .entry(BASE, &Store::Plain([&text[..], &plain].concat()))
        .entry(BASE + 0x10_0000, &Store::Plain(mixed.clone()))
        .entry(BASE + 0x20_0000, &Store::Plain(plain.clone()))
        .entry(BASE + 0x30_0000, &Store::Plain([&zero[..], &zero].concat()))
        .entry(BASE + 0x40_0000, &Store::Hole(3))
        .entry(BASE + 0x50_0000, &Store::Plain([&zero[..], &text].concat()));
    map.write(&dir, 7);
    inventory(&dir, 2);
    let before = all(&dir);
    let Done::All(counts) = pack_in_place(&dir, 1) else { panic!("nothing was done") };
    let of = |index| entry(&dir, "pagemap-7.img", index);
    let page = PAGE as u32;
    // a page that is packed comes first: no alignment
    let (flags, sizes) = of(0);
    assert_eq!((flags, sizes.as_ref().map(|sizes| sizes[1..].to_vec())), (4, Some(vec![page, page])));
    let small = sizes.unwrap()[0];
    assert!(small > 0 && small < page * 7 / 8);
    // zeros take nothing, then a plain one: aligned
    assert_eq!(of(1), (4 | 8, Some(vec![0, page, page, small])));
    // plain pages alone: no blocks
    assert_eq!(of(2), (4 | 8, None));
    assert_eq!(of(3), (4, Some(vec![0, 0])));
    assert_eq!(of(4), (0, None));
    assert_eq!(of(5), (4, Some(vec![0, small])));
    let pages = fs::read(dir.join("pages-1.img")).unwrap();
    let at = 3 * PAGE;
    assert!(pages[small as usize + 2 * PAGE..at].iter().all(|byte| *byte == 0), "padding");
    assert!(pages[at..at + 2 * PAGE] == plain);
    let end = 8 * PAGE + small as usize;
    assert_eq!((pages.len(), counts[0].pages, counts[0].after), (end, 13, end as u64));
    if let Some(launcher) = oracle::crit() {
        let other = copy(&dir, &folder.path().join("other"));
        assert!(crit(&launcher, &["decompress", "--in-place"], &other).0);
        assert!(all(&other) == before);
    }
    unpack(&dir, false).unwrap();
    assert!(all(&dir) == before);
}

#[test]
fn huge_pages_and_those_of_plugins_stay_plain() {
    const HUGE: u64 = 0x4_0000;
    let folder = folder();
    let dir = folder.path().join("dump");
    let pages = content(5, 4);
    let end = |start: u64| start + 2 * PAGE as u64;
    let (private, plugin, segment) = (BASE, BASE + 0x10_0000, BASE + 0x20_0000);
    process(
        &dir,
        7,
        &[
            (private, end(private), 1, HUGE | 0x22, 0, 0),
            (plugin, end(plugin), 1 | 1 << 27, 2, 0, 0),
            // the third and fourth page of segment 9
            (segment, end(segment), 1 | 1 << 8, HUGE | 1, 9, 2 * PAGE as u64),
        ],
    );
    let zero = [&pages[..PAGE], &vec![0; PAGE], &pages[..PAGE]].concat();
    Pagemap::new(1)
        .entry(private, &Store::Plain(zero))
        .entry(plugin - PAGE as u64, &Store::Plain(pages.clone()))
        .entry(segment, &Store::Plain(pages.clone()))
        .write(&dir, 7);
    Pagemap::new(2).entry(0, &Store::Plain(pages.clone())).write_as(&dir, "pagemap-shmem-9.img");
    inventory(&dir, 2);
    let before = all(&dir);
    for per_block in [1, 2] {
        pack_in_place(&dir, per_block);
        let plain = per_block as u32 * PAGE as u32;
        let is_plain = |name, index| -> Vec<bool> {
            let (_, sizes) = entry(&dir, name, index);
            sizes.unwrap().iter().map(|size| *size == plain || *size == PAGE as u32 && per_block == 2).collect()
        };
        if per_block == 1 {
            assert_eq!(
                entry(&dir, "pagemap-7.img", 0).1,
                Some(vec![4096, 0, entry(&dir, "pagemap-7.img", 1).1.unwrap()[0]])
            );
            assert_eq!(is_plain("pagemap-7.img", 1), [false, true, true, false]);
            assert_eq!(is_plain("pagemap-7.img", 2), [false; 4], "of a segment: not by address");
            assert_eq!(is_plain("pagemap-shmem-9.img", 0), [false, false, true, true]);
        } else {
            // a block with one such page is plain as a whole
            assert_eq!(entry(&dir, "pagemap-7.img", 1), (4 | 8, None));
            assert_eq!(is_plain("pagemap-shmem-9.img", 0), [false, true]);
        }
        unpack(&dir, false).unwrap();
        assert!(all(&dir) == before);
    }
}

/// A dump that can be packed.
fn sound(dir: &Path) {
    let map = Pagemap::new(1).entry(BASE, &Store::Plain(content(1, 9))).entry(BASE * 2, &Store::Plain(noise(2)));
    map.write(dir, 7);
    Pagemap::new(2).entry(0, &Store::Plain(content(2, 3))).write_as(dir, "pagemap-shmem-5.img");
    inventory(dir, 2);
}

#[test]
fn what_is_broken_is_refused_and_left() {
    let pages = |number: u64| message().uint(1, BASE * 4).uint(2, 0).uint(4, 4).uint(5, number);
    type Break<'b> = Box<dyn Fn(&Path) + 'b>;
    let with = |entry: common::writer::Message| -> Break<'static> {
        Box::new(move |dir: &Path| {
            let map = Pagemap::new(1).entry(BASE, &Store::Plain(content(1, 9)));
            map.raw(&entry).write(dir, 7);
        })
    };
    let flags = |flags: u64| with(message().uint(1, BASE * 4).uint(2, 0).uint(4, flags).uint(5, 1));
    let blocks = message().packed(1, &[1]).uint(2, 1).uint(3, 1);
    let cases: Vec<(Break<'_>, &str, Option<u64>, &str)> = vec![
        (with(pages(0)), "pagemap-7.img", Some(2), "expected at least one page"),
        (with(pages(1 << 60)), "pagemap-7.img", Some(2), "fit the address space"),
        (
            with(message().uint(1, BASE + 1).uint(2, 0).uint(4, 4).uint(5, 1)),
            "pagemap-7.img",
            Some(2),
            "a multiple of 4096",
        ),
        (
            with(message().uint(1, u64::MAX - 4095).uint(2, 0).uint(4, 4).uint(5, 2)),
            "pagemap-7.img",
            Some(2),
            "fit the address space",
        ),
        (with(message().uint(2, 1)), "pagemap-7.img", Some(2), "vaddr"),
        (flags(5), "pagemap-7.img", Some(2), "PE_PRESENT or PE_PARENT"),
        (flags(8), "pagemap-7.img", Some(2), "only together with PE_PRESENT"),
        (flags(12), "pagemap-7.img", Some(2), "PE_PAYLOAD_ALIGNED"),
        (with(pages(1).message(6, &blocks)), "pagemap-7.img", Some(2), "found blocks"),
        (
            with(message().uint(1, BASE * 4).uint(2, 0).uint(4, 0).uint(5, 1).message(6, &blocks)),
            "pagemap-7.img",
            Some(2),
            "only together",
        ),
        (with(pages(1)), "pages-1.img", None, "expected 40960 bytes, as pagemap-7.img describes, found 36864"),
        (Box::new(|dir| fs::write(dir.join("pages-2.img"), "").unwrap()), "pages-2.img", None, "found 0"),
        (
            Box::new(|dir| fs::remove_file(dir.join("pages-2.img")).unwrap()),
            "pagemap-shmem-5.img",
            Some(0),
            "pages-2.img",
        ),
        (
            Box::new(|dir| {
                fs::copy(dir.join("pagemap-7.img"), dir.join("pagemap-8.img")).unwrap();
            }),
            "pagemap-8.img",
            Some(0),
            "pages-1.img",
        ),
        (
            Box::new(|dir| {
                let file = dir.join("pagemap-7.img");
                let bytes = fs::read(&file).unwrap();
                fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
            }),
            "pagemap-7.img",
            Some(2),
            "",
        ),
        (Box::new(|dir| inventory(dir, 1)), "inventory.img", Some(0), "expected version 2 or 3, found 1"),
        (Box::new(|dir| inventory(dir, 0)), "inventory.img", Some(0), "expected version 2 or 3, found 0"),
        (
            Box::new(|dir| write_inventory(dir, &message().uint(1, 2).uint(15, 1))),
            "inventory.img",
            Some(0),
            "expected version 3",
        ),
        (Box::new(|dir| write_inventory(dir, &message().uint(1, 3).uint(15, 2))), "inventory.img", Some(0), "found 2"),
        (Box::new(|dir| fs::remove_file(dir.join("inventory.img")).unwrap()), "inventory.img", None, ""),
        (Box::new(|dir| process(dir, 7, &[(BASE, BASE, 1, 0x4_0000, 0, 0)])), "mm-7.img", Some(0), "mapping 0"),
        (
            Box::new(|dir| process(dir, 7, &[(BASE, BASE * 2, 1 | 1 << 8, 0x4_0000, 1, 5)])),
            "mm-7.img",
            Some(0),
            "an offset",
        ),
        (
            Box::new(|dir| {
                fs::rename(dir.join("pages-1.img"), dir.join("elsewhere")).unwrap();
                std::os::unix::fs::symlink("elsewhere", dir.join("pages-1.img")).unwrap();
            }),
            "pages-1.img",
            None,
            "a link",
        ),
    ];
    let folder = folder();
    for (number, (damage, image, entry, what)) in cases.iter().enumerate() {
        let dir = folder.path().join("dump");
        sound(&dir);
        damage(&dir);
        let before = all(&dir);
        let error = pack(&dir, &Compress::default()).unwrap_err();
        let shown = error.to_string();
        assert_eq!((error.image(), error.entry()), (Some(*image), *entry), "{number}: {shown}");
        assert!(shown.contains(what), "{number}: {shown}, not {what}");
        assert!(all(&dir) == before, "{number}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{number}");
        fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn broken_blocks_are_refused_and_left() {
    let folder = folder();
    let sound = folder.path().join("sound");
    self::sound(&sound);
    pack_in_place(&sound, 1);
    let (_, sizes) = entry(&sound, "pagemap-7.img", 0);
    let first = sizes.unwrap()[0] as usize;
    let image = |dir: &Path, sizes: &[u64], total: u64, per_block: u64| {
        let blocks = message().packed(1, sizes).uint(2, total).uint(3, per_block);
        let entry = message().uint(1, BASE).uint(2, 0).uint(4, 4).uint(5, 2).message(6, &blocks);
        Pagemap::new(1).raw(&entry).write(dir, 7);
        fs::write(dir.join("pages-1.img"), vec![0; total as usize]).unwrap();
    };
    type Break<'b> = Box<dyn Fn(&Path) + 'b>;
    let cases: Vec<(Break<'_>, &str, Option<u64>, &str)> = vec![
        (Box::new(|dir| image(dir, &[20], 20, 1)), "pagemap-7.img", Some(1), "expected 2 sizes of blocks, found 1"),
        (Box::new(|dir| image(dir, &[20, 30], 49, 1)), "pagemap-7.img", Some(1), "total_payload_size"),
        (Box::new(|dir| image(dir, &[20, 4097], 4117, 1)), "pagemap-7.img", Some(1), "block 1: expected at most 4096"),
        (Box::new(|dir| image(dir, &[20], 20, 0)), "pagemap-7.img", Some(1), "pages in a block"),
        (Box::new(|dir| image(dir, &[20], 20, 1025)), "pagemap-7.img", Some(1), "pages in a block"),
        // nothing is known of what it says before it is unpacked
        (Box::new(|dir| image(dir, &[20, 30], 50, 1)), "pages-1.img", Some(1), "a block of pagemap-7.img"),
        (
            Box::new(|dir| {
                let file = dir.join("pages-1.img");
                let mut bytes = fs::read(&file).unwrap();
                bytes[first..first + 40].fill(0xff);
                fs::write(file, bytes).unwrap();
            }),
            "pages-1.img",
            Some(1),
            "a block of pagemap-7.img: expected an LZ4 block of 4096 bytes",
        ),
    ];
    for (number, (damage, image, entry, what)) in cases.iter().enumerate() {
        let dir = copy(&sound, &folder.path().join("dump"));
        damage(&dir);
        let before = all(&dir);
        let error = unpack(&dir, true).unwrap_err();
        let shown = error.to_string();
        assert_eq!((error.image(), error.entry()), (Some(*image), *entry), "{number}: {shown}");
        assert!(shown.contains(what), "{number}: {shown}, not {what}");
        assert!(all(&dir) == before, "{number}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "{number}");
        fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn what_nobody_knows_stays() {
    let folder = folder();
    let dir = folder.path().join("dump");
    // fields of tomorrow, in an entry, between others and behind them, and in the inventory
    let entry = message().uint(1, BASE).uint(2, 0).uint(4, 4).uint(5, 2).bytes(9, "tomorrow").uint(70, 5);
    let mut map = Pagemap::new(1).raw(&entry);
    map.pages = content(1, 2);
    map.write(&dir, 7);
    write_inventory(&dir, &message().uint(1, 2).uint(2, 1).bytes(80, "run").fixed64(90, 7));
    fs::write(dir.join("stray"), "not ours").unwrap();
    let before = all(&dir);
    pack_in_place(&dir, 1);
    let packed = all(&dir);
    let has = |name: &str, bytes: &[u8]| packed[name].windows(bytes.len()).any(|window| window == bytes);
    assert!(has("pagemap-7.img", b"tomorrow") && has("inventory.img", b"run") && packed["stray"] == before["stray"]);
    unpack(&dir, false).unwrap();
    assert!(all(&dir) == before);
}

#[test]
fn files_keep_what_they_are() {
    let folder = folder();
    let dir = folder.path().join("dump");
    sound(&dir);
    let names = ["pages-1.img", "pagemap-7.img", "inventory.img"];
    for (number, name) in names.iter().enumerate() {
        let path = dir.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640 + number as u32)).unwrap();
        let _ = std::os::unix::fs::chown(&path, Some(1000), Some(1001));
        let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000 + number as u64, 123_456_789);
        let times = fs::FileTimes::new().set_modified(time).set_accessed(time);
        fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    }
    let said = || {
        names.map(|name| {
            let meta = fs::metadata(dir.join(name)).unwrap();
            (meta.uid(), meta.gid(), meta.mode(), meta.mtime(), meta.mtime_nsec())
        })
    };
    let before = said();
    pack_in_place(&dir, 1);
    assert_eq!(said(), before);
    unpack(&dir, false).unwrap();
    assert_eq!(said(), before);
}

#[test]
fn chains_and_empty_ones_and_holes() {
    let folder = folder();
    let (first, second) = (folder.path().join("1"), folder.path().join("2"));
    Pagemap::new(1).entry(BASE, &Store::Plain(content(1, 8))).write(&first, 7);
    inventory(&first, 2);
    let map =
        Pagemap::new(1).entry(BASE, &Store::Parent(2)).entry(BASE + 2 * PAGE as u64, &Store::Plain(content(9, 3)));
    map.write(&second, 7);
    // a segment without a page, and a pagemap without anything
    Pagemap::new(2).write_as(&second, "pagemap-shmem-3.img");
    fs::write(second.join("pagemap-8.img"), common::writer::File::new("PAGEMAP").0).unwrap();
    inventory(&second, 2);
    std::os::unix::fs::symlink("../1", second.join("parent")).unwrap();
    let before = all(&second);
    for dir in [&first, &second] {
        pack_in_place(dir, 1);
    }
    unpack(&second, false).unwrap();
    let mut now = all(&second);
    // an ancestor has blocks still: version 3, as crit leaves it
    let inventory = now.insert("inventory.img".to_owned(), before["inventory.img"].clone()).unwrap();
    assert!(now == before);
    assert_eq!(inventory[8..], [8, 3, 16, 1]);
    assert!(Checkpoint::open(&second).unwrap().parents().get(1).unwrap().is_some());

    // a sparse file of pages
    let dir = folder.path().join("3");
    Pagemap::new(1).raw(&message().uint(1, BASE).uint(2, 0).uint(4, 4).uint(5, 3 << 10)).write(&dir, 7);
    self::inventory(&dir, 2);
    let file = fs::File::options().write(true).open(dir.join("pages-1.img")).unwrap();
    file.set_len((3 << 10) * PAGE as u64).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"late", (5 << 20) + 9).unwrap();
    drop(file);
    let before = all(&dir);
    let Done::All(counts) = pack_in_place(&dir, 64) else { panic!("nothing was done") };
    assert!(counts[0].after < 8192, "{counts:?}");
    unpack(&dir, false).unwrap();
    assert!(all(&dir) == before);
}

#[test]
fn wrong_calls() {
    let folder = folder();
    let dir = folder.path().join("dump");
    sound(&dir);
    let before = all(&dir);
    for (options, what) in [
        (Compress { block: Some(4095), ..Compress::default() }, "whole pages"),
        (Compress { block: Some(0), ..Compress::default() }, "whole pages"),
        (Compress { block: Some((4 << 20) + 4096), ..Compress::default() }, "at most 4194304"),
        (Compress { acceleration: 0, ..Compress::default() }, "1 to 65537"),
        (Compress { acceleration: 65538, ..Compress::default() }, "1 to 65537"),
    ] {
        let error = pack(&dir, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains(what), "{error}");
    }
    let cancel = Cancel::default();
    cancel.cancel();
    let error = compress::compress(&dir, &Compress::default(), &mut || Ok(()), (&Silent, &cancel)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(pack(&dir.join("pages-1.img"), &Compress::default()).unwrap_err().to_string().contains("no directory"));
    assert!(all(&dir) == before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // quicker, not smaller, and as right
    pack(&dir, &Compress { acceleration: 65537, backups: false, ..Compress::default() }).unwrap();
    unpack(&dir, false).unwrap();
    assert!(all(&dir) == before);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    inventory(&empty, 2);
    assert_eq!(pack(&empty, &Compress::default()).unwrap(), Done::Nothing);
}

#[test]
fn what_changes_meanwhile_is_refused() {
    let folder = folder();
    let dir = folder.path().join("dump");
    sound(&dir);
    let file = dir.join("pages-1.img");
    let mut touch = || {
        let mut bytes = fs::read(&file).unwrap();
        bytes[100] ^= 1;
        // the clock of the file system may not have moved
        fs::write(&file, bytes).unwrap();
        let times = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
        fs::File::options().write(true).open(&file).unwrap().set_times(times).unwrap();
        Ok(())
    };
    let options = Compress::default();
    let error = compress::compress(&dir, &options, &mut touch, (&Silent, &Cancel::default())).unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
    assert_eq!(all(&dir).len(), 5);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
