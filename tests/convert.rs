//! Dumps as version 2 and back: byte for byte, whatever way, and no larger than they may be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::cast_precision_loss
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use common::corpus;
use icecore::base::report::{Cancel, Silent};
use icecore::tool::convert::pages::{Compression, PageOptions};
use icecore::tool::convert::{Convert, Converted, Target, convert};

/// All that a directory holds: content of files, targets of links.
fn content(directory: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            if path.is_symlink() {
                found.insert(
                    [&name[..], b" ->"].concat(),
                    fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec(),
                );
            } else if path.is_dir() {
                found.insert([&name[..], b"/"].concat(), Vec::new());
                walk(root, &path, found);
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, &mut found);
    found
}

fn run(source: &Path, target: Target<'_>, pages: &PageOptions) -> Converted {
    let options = Convert { pages: pages.clone(), ..Convert::default() };
    convert(source, target, &options, (&Silent, &Cancel::default()))
        .unwrap_or_else(|error| panic!("{}: {error}", source.display()))
}

/// A folder in memory, where there is one: here nobody needs to wait for disks.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Converts a dump and back, and compares. Gives what was told, and how long the bundle is.
fn there_and_back(dump: &Path, pages: &PageOptions) -> (Converted, u64) {
    let folder = in_memory();
    let (bundle, back) = (folder.path().join("it.criu"), folder.path().join("back"));
    let there = run(dump, Target::Bundle(&bundle), pages);
    run(&bundle, Target::V1(&back), pages);
    same(dump, &content(dump), &content(&back));
    (there, fs::metadata(&bundle).unwrap().len())
}

#[track_caller]
fn same(dump: &Path, original: &BTreeMap<Vec<u8>, Vec<u8>>, found: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let names = |content: &BTreeMap<Vec<u8>, Vec<u8>>| -> Vec<String> {
        content.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    };
    assert_eq!(names(original), names(found), "{}", dump.display());
    for (name, bytes) in original {
        let at = bytes.iter().zip(&found[name]).position(|(a, b)| a != b);
        assert!(
            bytes == &found[name],
            "{}/{}: differs at {at:?}, {} and {} bytes",
            dump.display(),
            String::from_utf8_lossy(name),
            bytes.len(),
            found[name].len()
        );
    }
}

fn ways() -> [PageOptions; 5] {
    let usual = PageOptions::default();
    [
        usual.clone(),
        PageOptions { compression: Compression::Lz4, ..usual.clone() },
        PageOptions { compression: Compression::Zstd(3), ..usual.clone() },
        PageOptions { share: false, ..usual.clone() },
        PageOptions { unit: Some(4096), compression: Compression::Lz4, ..usual },
    ]
}

#[test]
fn every_way_there_and_back() {
    for dump in corpus::dumps(&corpus::data()) {
        for pages in ways() {
            let (there, _) = there_and_back(&dump, &pages);
            assert_eq!(there.counts.kept, 0, "{}", dump.display());
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dump = corpus::data().join("tree");
    for pages in ways() {
        let bytes = |threads: usize| {
            let folder = tempfile::tempdir().unwrap();
            let bundle = folder.path().join("it.criu");
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&dump, Target::Bundle(&bundle), &pages));
            fs::read(&bundle).unwrap()
        };
        assert!(bytes(1) == bytes(2), "{pages:?}");
        assert!(bytes(4) == bytes(2), "{pages:?}");
    }
}

#[test]
fn a_file_for_each_image() {
    let folder = tempfile::tempdir().unwrap();
    for dump in corpus::dumps(&corpus::data()) {
        let name = dump.file_name().unwrap();
        let (images, back) = (folder.path().join(name), folder.path().join("back").join(name));
        run(&dump, Target::Images(&images), &PageOptions::default());
        assert!(images.join("checkpoint.criu").is_file() && images.join("files.criu").is_file());
        run(&images, Target::V1(&back), &PageOptions::default());
        same(&dump, &content(&dump), &content(&back));
        // and into one file again
        let (first, second) = (folder.path().join("first.criu"), folder.path().join("second.criu"));
        run(&dump, Target::Bundle(&first), &PageOptions::default());
        run(&images, Target::Bundle(&second), &PageOptions::default());
        assert!(fs::read(first).unwrap() == fs::read(second).unwrap(), "{}", dump.display());
    }
}

/// Names that are no text, directories, links, files that are cut or empty, images twice: all comes back.
#[test]
fn what_is_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    fs::create_dir(&dump).unwrap();
    corpus::copy_dump(&corpus::data().join("python"), &dump);
    let at = |name: &[u8]| dump.join(std::ffi::OsStr::from_bytes(name));
    fs::write(at(b"dump.log"), "a log\n").unwrap();
    fs::write(at(b"caf\xe9.log"), "no text").unwrap();
    fs::write(at(b"empty"), "").unwrap();
    fs::write(at(b"core-77.img"), "").unwrap();
    fs::write(at(b"core-78.img"), b"\x19\x43\x56\x54").unwrap();
    fs::write(at(b"files.img.bak"), vec![7; 3 << 20]).unwrap();
    fs::create_dir(at(b"plugin")).unwrap();
    fs::create_dir(at(b"nothing")).unwrap();
    fs::write(at(b"plugin/state"), "of a plugin").unwrap();
    std::os::unix::fs::symlink("../nowhere", at(b"a link")).unwrap();
    std::os::unix::fs::symlink("../../parent of it", at(b"parent")).unwrap();
    let mm = fs::read_dir(&dump).unwrap().map(|entry| entry.unwrap().path());
    let mm = mm
        .into_iter()
        .find(|path| path.file_name().unwrap().to_str().is_some_and(|name| name.starts_with("mm-")))
        .unwrap();
    let mut bytes = fs::read(&mm).unwrap();
    bytes.truncate(bytes.len() - 5);
    fs::write(&mm, &bytes).unwrap();
    let mut fs_image = fs::read(at(b"pstree.img")).unwrap();
    fs_image.extend(b"garbage behind it");
    fs::write(at(b"pstree.img"), &fs_image).unwrap();
    for pages in ways() {
        there_and_back(&dump, &pages);
    }
}

/// A dump whose pages files are all there.
fn is_whole(dump: &Path) -> bool {
    let checkpoint = icecore::Checkpoint::open(dump).unwrap();
    let pages: Vec<u64> = checkpoint.images_of(icecore::Kind::Pages).iter().map(|image| image.id).collect();
    [icecore::Kind::Pagemap, icecore::Kind::PagemapShmem].iter().all(|kind| {
        checkpoint.images_of(*kind).iter().all(|name| {
            let image = checkpoint.open_image(name).unwrap();
            icecore::memory::Pagemap::open(&image).is_ok_and(|pagemap| pages.contains(&u64::from(pagemap.pages_id())))
        })
    })
}

fn entries(dump: &Path) -> u64 {
    let checkpoint = icecore::Checkpoint::open(dump).unwrap();
    let kinds = [icecore::Kind::Pagemap, icecore::Kind::PagemapShmem];
    let images = kinds.iter().flat_map(|kind| checkpoint.images_of(*kind));
    images.map(|name| checkpoint.open_image(name).unwrap().len() as u64).sum()
}

#[test]
fn the_corpus_there_and_back_and_how_large_it_is() {
    let mut dumps: Vec<PathBuf> = corpus::dumps(&corpus::data());
    if let Some(large) = corpus::large() {
        dumps.extend(corpus::dumps(&large));
    }
    let (mut v1, mut v2, mut count, mut objects) = (0, 0, 0, 0);
    let mut problems = Vec::new();
    for dump in &dumps {
        let size: u64 = content(dump).values().map(|bytes| bytes.len() as u64).sum();
        let (there, length) = there_and_back(dump, &PageOptions::default());
        if there.counts.kept > 0 {
            problems.push(format!("{}: {} entries keep their bytes", dump.display(), there.counts.kept));
        }
        if !is_whole(dump) {
            continue;
        }
        let most = size + size / 100 + 8192 + 32 * entries(dump);
        if length > most {
            problems.push(format!("{}: {length} bytes, from {size}; expected at most {most}", dump.display()));
        }
        (v1, v2, count) = (v1 + size, v2 + length, count + 1);
        objects += there.counts.entries;
    }
    eprintln!("{count} dumps with {objects} entries: {v1} bytes, in version 2 {v2} ({:.3})", v2 as f64 / v1 as f64);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(v2 <= v1, "{v2} bytes, from {v1}");
}

/// Pages that the parent has are not written again; every verb finds them there, and the way back makes them whole.
#[test]
fn increments() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let dump = corpus::data().join("tree");
    run(&dump, Target::Bundle(&at("base.criu")), &PageOptions::default());
    let increment = PageOptions { parent: Some(at("base.criu")), ..PageOptions::default() };
    for (name, child) in [("child.criu", "tree"), ("other.criu", "container")] {
        let dump = corpus::data().join(child);
        fs::create_dir_all(at("below")).unwrap();
        for place in [at(name), at("below").join(name)] {
            let told = run(&dump, Target::Bundle(&place), &increment);
            if child == "tree" {
                assert_eq!(told.counts.pages.stored, 0);
                assert_eq!(told.counts.pages.inherited + told.counts.pages.zero, told.counts.pages.pages);
            } else {
                assert!(told.counts.pages.inherited > 0 && told.counts.pages.stored > 0, "{:?}", told.counts);
            }
            let back = tempfile::tempdir().unwrap();
            run(&place, Target::V1(&back.path().join("back")), &PageOptions::default());
            same(&dump, &content(&dump), &content(&back.path().join("back")));
            // as one that needs no parent
            run(&place, Target::Bundle(&back.path().join("whole.criu")), &PageOptions::default());
            run(&dump, Target::Bundle(&back.path().join("direct.criu")), &PageOptions::default());
            let read = |name: &str| fs::read(back.path().join(name)).unwrap();
            assert!(read("whole.criu") == read("direct.criu"));
        }
    }
    // a parent that is gone, or another
    fs::rename(at("base.criu"), at("gone.criu")).unwrap();
    let lost = |what: &str| {
        let options = Convert::default();
        let target = at("lost");
        let error =
            convert(&at("child.criu"), Target::V1(&target), &options, (&Silent, &Cancel::default())).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert!(!target.exists());
    };
    lost("ancestor 1, which is not there");
    run(&corpus::data().join("python"), Target::Bundle(&at("base.criu")), &PageOptions::default());
    lost("ancestor 1, which is not there");
}

/// Dumps whose parents are links: what a child leaves to its parent is found there, in version 2 as in version 1.
#[test]
fn chains() {
    let Some(large) = corpus::large() else { return };
    let steps: Vec<PathBuf> =
        corpus::dumps(&large).into_iter().filter(|path| path.parent().unwrap().ends_with("tracked")).collect();
    let folder = in_memory();
    for pages in [PageOptions::default(), PageOptions { compression: Compression::Lz4, ..PageOptions::default() }] {
        for step in &steps {
            let name = step.file_name().unwrap().to_str().unwrap();
            let bundle = folder.path().join(format!("{name}.criu"));
            let _ = fs::remove_file(&bundle);
            let parent = name.parse::<u32>().ok().map(|number| folder.path().join(format!("{}.criu", number - 1)));
            let parent = parent.filter(|path| path.exists());
            for parent in [None, parent] {
                let _ = fs::remove_file(&bundle);
                run(step, Target::Bundle(&bundle), &PageOptions { parent, ..pages.clone() });
                let back = in_memory();
                run(&bundle, Target::V1(&back.path().join("back")), &PageOptions::default());
                same(step, &content(step), &content(&back.path().join("back")));
            }
            let (v1, v2) = (icecore::Checkpoint::open(step).unwrap(), icecore::Checkpoint::open(&bundle).unwrap());
            for (one, other) in v1.tasks().unwrap().items.iter().zip(&v2.tasks().unwrap().items) {
                let (Some(one), Some(other)) = (one.address_space().unwrap(), other.address_space().unwrap()) else {
                    continue;
                };
                let (mut pages, mut scratch) = (0, Vec::new());
                for run in one.runs(0..u64::MAX) {
                    let icecore::memory::Content::Stored(stored) = run.content else { continue };
                    let bytes = stored.bytes(&mut scratch).unwrap();
                    let mut found = vec![1; bytes.len()];
                    other.read(run.start, &mut found).unwrap();
                    assert!(bytes == found, "{}: {:#x}", step.display(), run.start);
                    pages += 1;
                }
                assert!(pages > 0);
            }
        }
    }
    assert!(steps.len() >= 6, "{steps:?}");
}

/// A damaged bundle: what is whole comes out as it was, what is not is told.
#[test]
fn salvage() {
    let folder = in_memory();
    let dump = corpus::data().join("python");
    let bundle = folder.path().join("it.criu");
    run(&dump, Target::Bundle(&bundle), &PageOptions::default());
    let (whole, original) = (fs::read(&bundle).unwrap(), content(&dump));
    let options = Convert { salvage: true, ..Convert::default() };
    let mut told = 0;
    for step in 0..40 {
        for cut in [false, true] {
            let at = whole.len() * step / 40 + 7;
            let mut bytes = whole.clone();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 0x10;
            }
            fs::write(&bundle, &bytes).unwrap();
            let back = folder.path().join("back");
            let converted = match convert(&bundle, Target::V1(&back), &options, (&Silent, &Cancel::default())) {
                Ok(converted) => converted,
                // nothing is whole
                Err(_) if cut && step == 0 => continue,
                Err(error) => panic!("{at}, {cut}: {error}"),
            };
            let found = content(&back);
            for (name, bytes) in &found {
                assert!(original[name] == *bytes, "{at}, {cut}: {}", String::from_utf8_lossy(name));
            }
            let is_less = found.len() < original.len();
            assert!(!is_less || !converted.lost.is_empty(), "{at}, {cut}: nothing is said of what is lost");
            told += usize::from(is_less);
            if !is_less {
                // the damage is in what is derived: directory, tables, padding
                assert!(found == original);
            }
            fs::remove_dir_all(&back).unwrap();
        }
    }
    assert!(told > 40, "{told}");
}

#[test]
fn as_a_stream() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let folder = in_memory();
    let program = env!("CARGO_BIN_EXE_icecore");
    let dump = corpus::data().join("tree");
    let output = Command::new(program).arg("convert").arg(&dump).args(["-o", "-"]).output().unwrap();
    assert!(output.status.success());
    let bundle = folder.path().join("it.criu");
    run(&dump, Target::Bundle(&bundle), &PageOptions::default());
    assert!(fs::read(bundle).unwrap() == output.stdout);
    let back = folder.path().join("back");
    let mut child = Command::new(program)
        .args(["convert", "-", "-o"])
        .arg(&back)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&output.stdout).unwrap();
    assert!(child.wait().unwrap().success());
    same(&dump, &content(&dump), &content(&back));
}
