//! Core files read back by a plain reader: every byte against a plain program's memory, every register against the
//! images, and processes that no machine here could have had. What gdb says of them is in `gdb.rs`.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use common::elf::{CoreFile, PT_LOAD, PT_NULL, number};
use common::synthetic::{PAGE, Process, X86, plain};
use common::{corpus, flat};
use icecore::base::report::{Cancel, Collect, Progress, Silent};
use icecore::memory::Page;
use icecore::tool::coredump::{Written, cores};
use icecore::{Checkpoint, ErrorKind, v1};
use prost::Message;

fn written(dir: &Path, pids: &[u32], target: &Path) -> Collect<Written> {
    let dump = Checkpoint::open(dir).unwrap();
    let mut rows = Collect::default();
    cores(&dump, pids, target, (&Silent, &Cancel::default()), &mut rows).unwrap_or_else(|error| panic!("{error}"));
    rows
}

fn core_file(target: &Path, pid: u32) -> CoreFile {
    CoreFile::read(&target.join(format!("core.{pid}")))
}

/// The pages that the plain program finds.
fn pages(dir: &Path, pid: u32) -> BTreeMap<u64, Vec<u8>> {
    let ranges = flat::memory(dir, pid);
    let pages = ranges.iter().flat_map(|range| {
        range
            .bytes
            .chunks(PAGE as usize)
            .enumerate()
            .map(|(page, bytes)| (range.start + page as u64 * PAGE, bytes.to_vec()))
    });
    pages.collect()
}

fn same_pages(found: &BTreeMap<u64, Vec<u8>>, want: &BTreeMap<u64, Vec<u8>>, place: &str) {
    for (address, bytes) in want {
        assert!(found.get(address) == Some(bytes), "{place}: {address:#x} differs, or is not in the core file");
    }
    let more = found.keys().find(|address| !want.contains_key(address));
    assert!(more.is_none(), "{place}: {:#x} is in the core file alone", more.unwrap_or(&0));
}

fn mm(dir: &Path, pid: u32) -> v1::MmEntry {
    v1::MmEntry::decode(&flat::entries(&dir.join(format!("mm-{pid}.img")))[0][..]).unwrap()
}

fn core_image(dir: &Path, tid: u32) -> v1::CoreEntry {
    v1::CoreEntry::decode(&flat::entries(&dir.join(format!("core-{tid}.img")))[0][..]).unwrap()
}

/// Every address that is mapped is in one program header, with its protection.
fn all_that_is_mapped(core: &CoreFile, mm: &v1::MmEntry, place: &str) {
    let guards: Vec<_> = mm.vmas.iter().filter(|vma| vma.status & 1 << 16 != 0).collect();
    let mut covered: Vec<_> = core.headers.iter().filter(|header| header.memory > 0).collect();
    covered.sort_by_key(|header| header.address);
    assert!(covered.windows(2).all(|pair| pair[0].address + pair[0].memory <= pair[1].address), "{place}: overlap");
    for header in covered {
        assert!([PT_LOAD, PT_NULL].contains(&header.kind));
        assert!(header.kind == PT_LOAD || header.bytes == 0);
        assert_eq!((header.offset % PAGE, header.align), (0, PAGE), "{place}");
        if let Some(vma) = mm.vmas.iter().find(|vma| (vma.start..vma.end).contains(&header.address)) {
            assert!(header.address + header.memory <= vma.end, "{place}");
            let flags = u64::from(vma.prot & 1) << 2 | u64::from(vma.prot & 2) | u64::from(vma.prot >> 2 & 1);
            assert_eq!(header.flags, flags, "{place}: {:#x}", header.address);
        }
    }
    for vma in mm.vmas.iter().filter(|vma| vma.status & 1 << 16 == 0) {
        let inside = |header: &&common::elf::Header| (vma.start..vma.end).contains(&header.address);
        let length: u64 = core.headers.iter().filter(inside).map(|header| header.memory).sum();
        let guarded = guards.iter().filter(|guard| vma.start <= guard.start && guard.end <= vma.end);
        let guarded: u64 = guarded.map(|guard| guard.end - guard.start).sum();
        assert_eq!(length + guarded, vma.end - vma.start, "{place}: {:#x}", vma.start);
    }
}

/// Notes against the images, as prost reads them.
fn notes_are_what_the_images_say(core: &CoreFile, dir: &Path, pid: u32) {
    let place = format!("{} {pid}", dir.display());
    let tree = flat::entries(&dir.join("pstree.img"));
    let tree = tree.iter().map(|message| v1::PstreeEntry::decode(&message[..]).unwrap());
    let entry = tree.into_iter().find(|entry| entry.pid == pid).unwrap();
    let status = core.notes_of("CORE", 1);
    assert_eq!(status.len(), entry.threads.len(), "{place}");
    let float = core.notes_of("CORE", 2);
    let xstate = core.notes_of("LINUX", 0x202);
    for (index, &tid) in entry.threads.iter().enumerate() {
        let image = core_image(dir, tid);
        let info = image.thread_info.unwrap();
        let (r, fp) = (&info.gpregs, &info.fpregs);
        let note = status[index];
        assert_eq!(note.len(), 336);
        let numbers = [32, 36, 40, 44].map(|at| number(note, at, 4) as u32);
        assert_eq!(numbers, [tid, entry.ppid, entry.pgid, entry.sid], "{place}");
        let blocked = match &image.tc {
            Some(tc) => tc.blk_sigset,
            None => image.thread_core.as_ref().unwrap().blk_sigset(),
        };
        assert_eq!(number(note, 24, 8), blocked, "{place}");
        let stopped = core_image(dir, pid).tc.unwrap().stop_signo.unwrap_or(0);
        assert_eq!(number(note, 12, 2), u64::from(stopped), "{place}");
        for (at, want) in [
            (0, r.r15),
            (1, r.r14),
            (2, r.r13),
            (3, r.r12),
            (4, r.bp),
            (5, r.bx),
            (6, r.r11),
            (7, r.r10),
            (8, r.r9),
            (9, r.r8),
            (10, r.ax),
            (11, r.cx),
            (12, r.dx),
            (13, r.si),
            (14, r.di),
            (15, r.orig_ax),
            (16, r.ip),
            (17, r.cs),
            (18, r.flags),
            (19, r.sp),
            (20, r.ss),
            (21, r.fs_base),
            (22, r.gs_base),
            (23, r.ds),
            (24, r.es),
            (25, r.fs),
            (26, r.gs),
        ] {
            assert_eq!(number(note, 112 + 8 * at, 8), want, "{place}: register {at} of {tid}");
        }
        let note = float[index];
        assert_eq!(
            (note.len(), number(note, 0, 2), number(note, 24, 4)),
            (512, u64::from(fp.cwd), u64::from(fp.mxcsr))
        );
        let words =
            |from: usize, count: usize| (0..count).map(|at| number(note, from + 4 * at, 4) as u32).collect::<Vec<_>>();
        assert_eq!((words(32, 32), words(160, 64)), (fp.st_space.clone(), fp.xmm_space.clone()), "{place}");
        let (note, xsave) = (xstate[index], fp.xsave.as_ref().unwrap());
        assert_eq!(note[..464], float[index][..464]);
        let xcr0 = number(note, 464, 8);
        assert_eq!(number(note, 512, 8), xsave.xstate_bv & xcr0);
        for (bit, at, want) in [
            (2, 576, xsave.ymmh_space.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()),
            (5, 1088, xsave.opmask_reg.iter().flat_map(|word| word.to_le_bytes()).collect()),
            (6, 1152, xsave.zmm_upper.iter().flat_map(|word| word.to_le_bytes()).collect()),
            (7, 1664, xsave.hi16_zmm.iter().flat_map(|word| word.to_le_bytes()).collect()),
            (9, 2688, xsave.pkru.iter().flat_map(|word| word.to_le_bytes()).collect()),
        ] {
            assert_eq!(xcr0 >> bit & 1 == 1, !want.is_empty(), "{place}: component {bit}");
            assert!(want.is_empty() || note[at..at + want.len()] == want, "{place}: component {bit}");
        }
    }
    let leader = core_image(dir, pid);
    let info = core.notes_of("CORE", 3)[0];
    let tc = leader.tc.unwrap();
    assert_eq!((info.len(), info[40..56].split(|byte| *byte == 0).next().unwrap()), (136, &tc.comm[..]), "{place}");
    assert_eq!(info[1], if tc.stop_signo.is_some() { b'T' } else { b'R' });
    let creds = leader.thread_core.unwrap().creds.unwrap();
    assert_eq!((number(info, 16, 4), number(info, 20, 4)), (u64::from(creds.uid), u64::from(creds.gid)));
    let mm = mm(dir, pid);
    let auxv = core.notes_of("CORE", 6)[0];
    let pairs: Vec<u64> = auxv.chunks(8).map(|word| number(word, 0, 8)).collect();
    let end = mm.mm_saved_auxv.chunks(2).position(|pair| pair[0] == 0).unwrap_or(mm.mm_saved_auxv.len() / 2);
    assert_eq!(pairs, [&mm.mm_saved_auxv[..2 * end], &[0, 0]].concat(), "{place}");
    assert!(core.notes_of("CORE", 0x5349_4749).iter().all(|note| note.len() == 128));
    // what is mapped, and nothing else
    let files = flat::entries(&dir.join("files.img"));
    let files = files.iter().map(|message| v1::FileEntry::decode(&message[..]).unwrap());
    let paths: BTreeMap<u64, String> = files
        .filter_map(|entry| Some((u64::from(entry.id), String::from_utf8_lossy(&entry.reg?.name).into_owned())))
        .collect();
    let mut want = Vec::new();
    for vma in mm.vmas.iter().filter(|vma| vma.status & 3 << 6 != 0 && vma.status & 1 << 14 == 0) {
        want.push((vma.start, vma.end, vma.pgoff / PAGE, paths[&vma.shmid].clone()));
    }
    let found: Vec<_> = core
        .files()
        .into_iter()
        .map(|(start, end, page, path)| (start, end, page, path.replace(" (deleted)", "")))
        .collect();
    assert_eq!(found, want, "{place}");
}

#[test]
fn every_byte_of_every_dump() {
    let target = tempfile::tempdir().unwrap();
    let (mut processes, mut count) = (0, 0);
    for (dir, pids) in flat::data() {
        let target = target.path().join(dir.file_name().unwrap());
        let rows = written(&dir, &[], &target);
        assert!(rows.problems.is_empty(), "{:?}", rows.problems);
        assert_eq!(rows.rows.iter().map(|row| row.pid).collect::<Vec<_>>(), pids);
        assert_eq!(rows.notes.len(), usize::from(dir.ends_with("tree")), "one zombie");
        for (pid, row) in pids.into_iter().zip(&rows.rows) {
            let place = format!("{} {pid}", dir.display());
            let core = core_file(&target, pid);
            let (mm, space) =
                (mm(&dir, pid), Checkpoint::open(&dir).unwrap().task(pid).unwrap().address_space().unwrap().unwrap());
            all_that_is_mapped(&core, &mm, &place);
            notes_are_what_the_images_say(&core, &dir, pid);
            assert_eq!((row.bytes, row.segments), (core.bytes.len() as u64, core.loads().count() as u64), "{place}");
            assert_eq!(row.stored + row.zero, core.loads().map(|header| header.memory).sum::<u64>(), "{place}");
            assert_eq!((row.threads, row.missing), (core.notes_of("CORE", 1).len() as u64, 0));
            if mm.vmas.iter().map(|vma| vma.end - vma.start).sum::<u64>() < 1 << 30 {
                let want = pages(&dir, pid);
                same_pages(&core.pages(), &want, &place);
                count += want.len();
            } else {
                // too much for the plain program: what is stored, and that the rest is zero
                let stored = flat::stored(&dir, &format!("pagemap-{pid}.img"));
                let mut found = 0;
                for header in core.loads() {
                    for (at, bytes) in core.content(header).chunks(PAGE as usize).enumerate() {
                        let address = header.address + at as u64 * PAGE;
                        match stored.get(&address) {
                            Some(want) => assert!(want.as_deref() == Some(bytes), "{place}: {address:#x}"),
                            None => {
                                let mut want = vec![0; PAGE as usize];
                                space.read(address, &mut want).unwrap();
                                assert!(want == bytes, "{place}: {address:#x}");
                            }
                        }
                        found += usize::from(stored.contains_key(&address));
                    }
                    if header.bytes == 0 {
                        assert!(matches!(space.page(header.address).unwrap(), Page::Zero), "{place}");
                    }
                }
                assert_eq!(found, stored.len(), "{place}");
                count += found;
            }
            processes += 1;
        }
    }
    assert!(processes > 20 && count > 1000, "{processes} processes, {count} pages");
    // what others make of them
    for program in ["readelf", "eu-readelf"] {
        for entry in fs::read_dir(target.path().join("tree")).unwrap() {
            let path = entry.unwrap().path();
            let Ok(output) = Command::new(program).args(["-h", "-l", "-n"]).arg(&path).output() else {
                let _ = writeln!(std::io::stderr(), "\n  SKIPPED: no {program}\n");
                break;
            };
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && told.is_empty(), "{program} {}: {told}", path.display());
        }
    }
}

#[test]
fn a_command_line_of_its_own() {
    let target = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_icecore"))
        .args(["core", "tree", "115", "110", "--ndjson", "-o"])
        .arg(target.path().join("new/folder"))
        .current_dir(corpus::data())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "icecore: task 115 is a zombie: it has neither memory nor registers any more\n");
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (row["pid"].as_u64(), row["threads"].as_u64(), row["comm"].as_str()),
        (Some(110), Some(5), Some("threads"))
    );
    let meta = fs::metadata(row["file"].as_str().unwrap()).unwrap();
    assert_eq!((meta.len(), meta.mode() & 0o777), (row["bytes"].as_u64().unwrap(), 0o600));
    assert!(meta.blocks() * 512 < meta.len(), "zeros take no room");
    // no such task, and no such dump
    for words in [["core", "tree", "9999"], ["core", "nothing", "1"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_icecore"))
            .args(words)
            .arg("-o")
            .arg(target.path().join("other"))
            .current_dir(corpus::data())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
    assert!(!target.path().join("other").exists());
}

#[test]
fn cancelled_work_leaves_nothing() {
    let target = tempfile::tempdir().unwrap();
    let dump = Checkpoint::open(corpus::data().join("tree")).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let made = target.path().join("made");
    let error = cores(&dump, &[], &made, (&Silent, &cancel), &mut Collect::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(!made.exists());
}

/// Asked to end while the second file is being written: the first stays, of the second nothing is left.
#[test]
fn asked_to_end_half_way() {
    struct Ends<'c>(&'c Cancel, u64);

    impl Progress for Ends<'_> {
        fn advance(&self, done: u64, _total: u64) {
            if done > self.1 {
                self.0.cancel();
            }
        }
    }

    let target = tempfile::tempdir().unwrap();
    let dir = corpus::data().join("container");
    let dump = Checkpoint::open(&dir).unwrap();
    let (cancel, mut rows) = (Cancel::default(), Collect::default());
    let first = written(&dir, &[1], &target.path().join("first")).rows[0].stored;
    let error = cores(&dump, &[], &target.path().join("all"), (&Ends(&cancel, first + 50_000), &cancel), &mut rows);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Cancelled);
    let names = fs::read_dir(target.path().join("all")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["core.1"]);
    assert_eq!(rows.rows.len(), 1);
}

#[test]
fn more_mappings_than_a_header_can_count() {
    let mut process = Process::new(7);
    let start = |index: u64| 0x10_0000_0000 + index * 2 * PAGE;
    // every second page, a few of them with a byte of its own
    for index in 0..66_000u64 {
        process.map(start(index), start(index) + PAGE, 1 + index % 7, 0x22, 0x201);
        if index % 97 == 0 {
            process.page(start(index), (index % 251) as u8 + 1);
        }
    }
    let dump = process.write();
    let target = tempfile::tempdir().unwrap();
    let rows = written(dump.path(), &[], target.path());
    assert_eq!(rows.rows[0].segments, 66_000);
    let core = core_file(target.path(), 7);
    assert_eq!(core.headers.len(), 66_001);
    for (index, header) in (0..).zip(core.loads()) {
        let prot = 1 + index % 7;
        assert_eq!((header.address, header.memory, header.bytes), (start(index), PAGE, PAGE));
        assert_eq!(header.flags, (prot & 1) << 2 | prot & 2 | prot >> 2);
        let byte = if index % 97 == 0 { (index % 251) as u8 + 1 } else { 0 };
        assert!(core.content(header) == [byte; PAGE as usize]);
    }
}

/// Pages of a parent, compressed ones, some that are nowhere, a file that is mapped, and all of them side by side.
#[test]
fn pages_from_everywhere() {
    let base = 0x20_0000u64;
    let at = |page: u64| base + page * PAGE;
    let mut parent = Process::new(7);
    parent.map(at(0), at(16), 3, 0x22, 0x201);
    for page in [0, 1, 5] {
        parent.page(at(page), 0x40 + page as u8);
    }
    let parent = parent.write();
    let mut process = Process::new(7);
    process.map(at(0), at(16), 3, 0x22, 0x201);
    process.file(at(32), at(40), 5, 3, "/srv/a program");
    process.in_parent(at(0), 2);
    process.page(at(2), 0x77);
    process.lz4(at(3), &[plain(PAGE as usize * 2, 9)], 2);
    // the parent has 5 and not 6
    process.in_parent(at(5), 2);
    process.lazy(at(8), 1);
    // a page of its own where a file is mapped, and one that should be
    process.page(at(34), 0x55);
    process.in_parent(at(36), 1);
    // not mapped at all
    process.page(at(50), 0x66);
    let dump = process.write();
    std::os::unix::fs::symlink(parent.path(), dump.path().join("parent")).unwrap();

    let target = tempfile::tempdir().unwrap();
    let rows = written(dump.path(), &[], target.path());
    let core = core_file(target.path(), 7);
    let found = core.pages();
    same_pages(&found, &pages(dump.path(), 7), "everywhere");
    assert_eq!(found[&at(0)], vec![0x40; PAGE as usize]);
    assert_eq!(found[&at(3)], plain(PAGE as usize * 2, 9)[..PAGE as usize]);
    assert!(![6, 8, 32, 33, 35, 36].iter().any(|page| found.contains_key(&at(*page))));
    all_that_is_mapped(&core, &mm(dump.path(), 7), "everywhere");
    let row = &rows.rows[0];
    assert_eq!((row.missing, row.in_files, row.stored), (3 * PAGE, 6 * PAGE, 8 * PAGE));
    let told: Vec<String> = rows.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("task 7: 12288 bytes of its memory are not in the dump"), "{told:?}");
    assert!(told[0].contains("0x206000"), "{told:?}");
    // who looks for the missing page in the file finds what the process did not have there
    let mapped: Vec<_> = core.files().into_iter().map(|(start, end, page, _)| (start, end, page)).collect();
    assert_eq!(mapped, [(at(32), at(36), 3), (at(37), at(40), 8)]);
    assert!(core.files().iter().all(|(.., path)| path == "/srv/a program"));
}

#[test]
fn a_broken_block_is_not_passed_off() {
    let base = 0x20_0000u64;
    let mut process = Process::new(7);
    process.map(base, base + 8 * PAGE, 3, 0x22, 0x201);
    process.lz4(base, &[plain(PAGE as usize, 1), b"\xf0garbage".to_vec(), plain(PAGE as usize, 3)], 1);
    let dump = process.write();
    let target = tempfile::tempdir().unwrap();
    let rows = written(dump.path(), &[7], target.path());
    assert_eq!((rows.rows[0].missing, rows.problems.len()), (PAGE, 1));
    assert!(rows.problems[0].to_string().contains("pages-7.img: offset"), "{}", rows.problems[0]);
    let found = core_file(target.path(), 7).pages();
    assert!(found[&base] == plain(PAGE as usize, 1) && found[&(base + 2 * PAGE)] == plain(PAGE as usize, 3));
    assert!(!found.contains_key(&(base + PAGE)) && found.contains_key(&(base + 3 * PAGE)));
}

#[test]
fn a_task_of_32_bits() {
    let mut process = Process::new(7);
    let mut cpu = X86 { compat: true, ..X86::default() };
    for (at, value) in cpu.general.iter_mut().enumerate() {
        *value = 0x1000 + at as u64;
    }
    // what a kernel of 64 bits keeps of a negative number
    cpu.general[15] = u64::MAX;
    process.cpu = Some(cpu);
    process.auxv = vec![0x1000_0000_0006, 0, 0];
    process.map(0x0804_8000, 0x0804_a000, 5, 2, 0x201);
    process.map(0xffff_d000, 0xffff_e000, 3, 0x122, 0x201);
    process.page(0x0804_9000, 0x11);
    process.page(0xffff_ffff_ffff_d000, 0x22);
    let dump = process.write();
    let target = tempfile::tempdir().unwrap();
    assert!(written(dump.path(), &[], target.path()).problems.is_empty());
    let core = core_file(target.path(), 7);
    assert_eq!((core.is_64, core.machine), (false, 3));
    same_pages(&core.pages(), &pages(dump.path(), 7), "32 bits");
    let status = core.notes_of("CORE", 1)[0];
    assert_eq!(status.len(), 144);
    // bx cx dx si di bp ax ds es fs gs orig_ax ip cs flags sp ss, by their places in CRIU's message
    let places = [5, 11, 12, 13, 14, 4, 10, 23, 24, 25, 26, 15, 16, 17, 18, 19, 20];
    for (at, place) in places.into_iter().enumerate() {
        let want = if place == 15 { 0xffff_ffff } else { 0x1000 + place };
        assert_eq!(number(status, 72 + 4 * at, 4), want, "register {at}");
    }
    assert_eq!(core.notes_of("CORE", 2)[0].len(), 108);
    assert_eq!(core.notes_of("LINUX", 0x46e6_2b7f)[0].len(), 512);
    assert_eq!(core.notes_of("CORE", 3)[0].len(), 124);
    let auxv = core.notes_of("CORE", 6)[0];
    assert_eq!(auxv.chunks(4).map(|word| number(word, 0, 4)).collect::<Vec<_>>(), [6, 4096, 0, 0]);
}

#[test]
fn an_arm_of_64_bits() {
    let mut process = Process::new(7);
    process.arm();
    process.map(0x40_0000, 0x40_2000, 5, 2, 0x201);
    process.page(0x40_1000, 0x33);
    let dump = process.write();
    let target = tempfile::tempdir().unwrap();
    assert!(written(dump.path(), &[], target.path()).problems.is_empty());
    let core = core_file(target.path(), 7);
    assert_eq!((core.is_64, core.machine), (true, 183));
    let status = core.notes_of("CORE", 1)[0];
    assert_eq!(
        (status.len(), number(status, 112 + 8 * 30, 8), number(status, 112 + 8 * 32, 8)),
        (392, 0x101e, 0x40_1004)
    );
    let float = core.notes_of("CORE", 2)[0];
    assert_eq!((float.len(), number(float, 16 * 31 + 8, 8), number(float, 516, 4)), (528, 0x203f, 0x300));
    assert_eq!(number(core.notes_of("LINUX", 0x401)[0], 0, 8), 0x7777_0000);
    same_pages(&core.pages(), &pages(dump.path(), 7), "aarch64");
}

#[test]
fn machines_and_dumps_that_cannot_be() {
    let target = tempfile::tempdir().unwrap();
    let refused = |dir: &Path| {
        let dump = Checkpoint::open(dir).unwrap();
        let mut rows = Collect::default();
        let made = target.path().join("made");
        let error = cores(&dump, &[], &made, (&Silent, &Cancel::default()), &mut rows).unwrap_err();
        assert!(!made.exists() && rows.rows.is_empty());
        error.to_string()
    };
    let mut process = Process::new(7);
    process.riscv();
    process.map(0x40_0000, 0x40_2000, 5, 2, 0x201);
    let dump = process.write();
    let told = refused(dump.path());
    assert!(told.ends_with("expected registers of x86_64 or aarch64, found those of riscv64"), "{told}");
    let output =
        Command::new(env!("CARGO_BIN_EXE_icecore")).arg("core").arg(dump.path()).arg("-o").arg(target.path()).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    // a pre-dump
    for name in ["pstree.img", "core-7.img", "mm-7.img"] {
        fs::remove_file(dump.path().join(name)).unwrap();
    }
    let told = refused(dump.path());
    assert!(told.contains("it has no registers") && told.contains("a pre-dump has memory only"), "{told}");
}

/// Registers of another length than the machine has are no registers.
#[test]
fn registers_that_cannot_be() {
    let mut process = Process::new(7);
    process.cpu = Some(X86 { xmm: vec![1; 63], ..X86::default() });
    process.map(0x40_0000, 0x40_2000, 5, 2, 0x201);
    let dump = process.write();
    let error = Checkpoint::open(dump.path()).unwrap().task(7).unwrap().cpu(7).unwrap_err();
    assert_eq!(
        error.to_string(),
        "core-7.img: entry 0: offset 12 (0xc): field thread_info.fpregs.xmm_space: expected 64 words of registers, found 63"
    );
}
