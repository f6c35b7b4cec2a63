//! The program on a checkpoint in each form that it may have: a dump, a bundle, a directory of `.criu` files, a pipe.
//! The answers are the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::corpus;
use common::pagemap::{PAGE, Pagemap, Store, content, process};
use icecore::Checkpoint;

/// What a run of the program came to.
#[derive(Debug, PartialEq)]
struct Said {
    code: i32,
    out: String,
    errors: String,
}

fn say(words: &[&dyn AsRef<std::ffi::OsStr>], input: Option<&Path>) -> Said {
    let stdin = input.map_or_else(Stdio::null, |path| File::open(path).unwrap().into());
    let mut icecore = Command::new(env!("CARGO_BIN_EXE_icecore"));
    let output = icecore.args(words).stdin(stdin).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), errors: text(output.stderr) }
}

#[track_caller]
fn done(words: &[&dyn AsRef<std::ffi::OsStr>]) -> String {
    let said = say(words, None);
    assert_eq!((said.code, said.errors.as_str()), (0, ""), "{}", said.out);
    said.out
}

/// A dump of `tests/data` as a bundle and as a directory of `.criu` files.
fn forms(dump: &Path, folder: &Path) -> [PathBuf; 2] {
    let (bundle, images) = (folder.join("it.criu"), folder.join("images"));
    done(&[&"convert", &dump, &"-o", &bundle]);
    done(&[&"convert", &bundle, &"-o", &images, &"--to", &"v2"]);
    [bundle, images]
}

#[test]
fn images_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let dump = corpus::data().join("tree");
    let [bundle, images] = forms(&dump, folder.path());
    let one = done(&[&"show", &dump, &"core-100"]);
    let all: Vec<String> = done(&[&"show", &dump, &"--ndjson"])
        .lines()
        .filter(|line| !line.contains("PAGES"))
        .map(str::to_owned)
        .collect();
    for form in [&bundle, &images] {
        assert_eq!(done(&[&"show", form, &"core-100"]), one);
        let lines: Vec<String> = done(&[&"show", form, &"--ndjson"]).lines().map(str::to_owned).collect();
        assert!(lines == all, "{} lines, expected {}", lines.len(), all.len());
        let none = say(&[&"show", form, &"core-7777"], None);
        assert!(none.code == 2 && none.errors.contains("no such image"), "{none:?}");
    }
    assert_eq!(say(&[&"show", &"-", &"core-100"], Some(&bundle)).out, one, "standard input");
    assert_eq!(done(&[&"show", &images.join("core-100.criu")]), one, "an image alone");
    let magic = dump.join("core-100.img");
    assert_eq!(done(&[&"crit", &"info", &images.join("core-100.criu")]), done(&[&"crit", &"info", &magic]));
    assert_eq!(done(&[&"crit", &"show", &images.join("core-100.criu")]), done(&[&"crit", &"show", &magic]));
    let pagemap = [images.join("pagemap-100.criu"), dump.join("pagemap-100.img")];
    let [new, old] = pagemap.map(|path| say(&[&"crit", &"decode"], Some(&path)));
    assert_eq!(new, old, "an image from standard input");
    let many = say(&[&"crit", &"show", &bundle], None);
    assert!(many.code == 1 && many.errors.contains("many images"), "{many:?}");
}

#[test]
fn crit_decodes_all_images() {
    let folder = tempfile::tempdir().unwrap();
    let dump = corpus::data().join("python");
    let [bundle, images] = forms(&dump, folder.path());
    let decoded = |source: &Path, name: &str| {
        let target = folder.path().join(name);
        done(&[&"crit", &"decode", &"-i", &source, &"-o", &target]);
        let names = fs::read_dir(target).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            names.map(|path| (path.file_name().unwrap().to_owned(), fs::read(&path).unwrap())).collect();
        files.sort();
        files
    };
    let expected = decoded(&dump, "dump");
    assert!(expected.len() > 10);
    assert!(decoded(&bundle, "bundle") == expected && decoded(&images, "files") == expected);
    for what in ["ps", "fds", "mems", "rss"] {
        assert_eq!(done(&[&"crit", &"x", &bundle, &what]), done(&[&"crit", &"x", &dump, &what]), "{what}");
    }
}

#[test]
fn cores_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let dump = corpus::data().join("tree");
    let mut cores = Vec::new();
    for (number, form) in [dump.clone()].iter().chain(&forms(&dump, folder.path())).enumerate() {
        let target = folder.path().join(format!("cores{number}"));
        done(&[&"core", form, &"100", &"105", &"-o", &target]);
        cores.push([100, 105].map(|pid| fs::read(target.join(format!("core.{pid}"))).unwrap()));
    }
    assert!(cores[0][0].len() > PAGE && cores[0] == cores[1] && cores[1] == cores[2]);
}

#[test]
fn nothing_differs_from_a_dump() {
    for name in ["tree", "python", "container"] {
        let folder = tempfile::tempdir().unwrap();
        let dump = corpus::data().join(name);
        let [bundle, images] = forms(&dump, folder.path());
        for (a, b) in [(&dump, &bundle), (&bundle, &dump), (&images, &dump), (&bundle, &images)] {
            // code 0: nothing differs
            assert_eq!(say(&[&"diff", a, b], None).code, 0, "{} {}", a.display(), b.display());
        }
        let said = say(&[&"diff", &dump, &"-"], Some(&bundle));
        assert_eq!(said.code, 0, "{said:?}");
    }
}

#[test]
fn a_pipe_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let dump = corpus::data().join("tree");
    let [bundle, _] = forms(&dump, folder.path());
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for verb in ["ps", "show"] {
        let mut writer = Command::new("cp").arg(&bundle).arg(&pipe).spawn().unwrap();
        let said = say(&[&verb, &pipe], None);
        writer.kill().unwrap();
        writer.wait().unwrap();
        assert_eq!(said, say(&[&verb, &bundle], None), "{verb}");
    }
}

#[test]
fn what_is_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let image = corpus::data().join("tree/core-100.img");
    let said = say(&[&"ps", &image], None);
    assert!(said.code == 2 && said.errors.contains("icecore show"), "{said:?}");
    // a dump stays one, whatever lies in it
    let dump = folder.path().join("dump");
    fs::create_dir(&dump).unwrap();
    corpus::copy_dump(&corpus::data().join("tree"), &dump);
    let before = done(&[&"ps", &dump]);
    let [bundle, images] = forms(&dump, folder.path());
    fs::copy(&bundle, dump.join("it.criu")).unwrap();
    fs::copy(images.join("checkpoint.criu"), dump.join("checkpoint.criu")).unwrap();
    assert_eq!(done(&[&"ps", &dump]), before);
    // files of version 2 are one checkpoint without the one that says so, too
    fs::remove_file(images.join("checkpoint.criu")).unwrap();
    assert_eq!(say(&[&"ps", &images], None).out, before);
}

/// A dump and an increment of it: half of its memory is in the parent, to which a link leads.
fn chain(folder: &Path) -> [PathBuf; 2] {
    let [first, second] = ["1", "2"].map(|name| folder.join(name));
    let page = PAGE as u64;
    let mapping = (0x10000, 0x10000 + 8 * page, 0x201, 0x22, 0, 0);
    for dump in [&first, &second] {
        process(dump, 7, &[mapping]);
    }
    Pagemap::new(1).entry(0x10000, &Store::Plain(content(1, 8))).write(&first, 7);
    let half = Pagemap::new(1).entry(0x10000, &Store::Parent(4));
    half.entry(0x10000 + 4 * page, &Store::Plain(content(2, 4))).write(&second, 7);
    symlink("../1", second.join("parent")).unwrap();
    [first, second]
}

fn memory(path: &Path) -> Vec<u8> {
    let dump = Checkpoint::open(path).unwrap();
    let mut bytes = vec![0; 8 * PAGE];
    dump.task(7).unwrap().address_space().unwrap().unwrap().read(0x10000, &mut bytes).unwrap();
    bytes
}

#[test]
fn links_lead_to_parents_in_each_form() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let [first, second] = chain(folder.path());
    let expected = memory(&second);
    assert_eq!(expected, [&content(1, 8)[..4 * PAGE], &content(2, 4)].concat());
    // beside the dumps: to the dump, or a bundle of its name
    for dump in [&first, &second] {
        done(&[&"convert", dump, &"-o", &dump.with_extension("criu")]);
    }
    assert_eq!(memory(&at("2.criu")), expected);
    for (form, options) in [("files", &["--to", "v2"][..]), ("bundles", &[])] {
        fs::create_dir(at(form)).unwrap();
        for name in ["1", "2"] {
            let target = at(form).join(if options.is_empty() { format!("{name}.criu") } else { name.to_owned() });
            // by way of a bundle: what it leaves to its parent is left there
            let mut words: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"convert"];
            let source = at(&format!("{name}.criu"));
            words.extend([&source as &dyn AsRef<std::ffi::OsStr>, &"-o", &target]);
            words.extend(options.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
            done(&words);
            assert_eq!(memory(&target), memory(&at(name)), "{form} {name}");
        }
        let [child, back] = ["2", "back"].map(|name| at(form).join(name));
        let child = if options.is_empty() { child.with_extension("criu") } else { child };
        done(&[&"convert", &child, &"-o", &back]);
        for name in ["pagemap-7.img", "pages-1.img", "mm-7.img"] {
            assert_eq!(fs::read(back.join(name)).unwrap(), fs::read(second.join(name)).unwrap(), "{form} {name}");
        }
        assert_eq!(fs::read_link(back.join("parent")).unwrap(), Path::new("../1"));
    }
}
