//! The stage, tried on each of its roads.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::base::alike::Likeness;
use crate::base::sink::tests::names;

/// A folder in memory, where there is one: here nobody needs to wait for disks.
fn around() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A dump with a link, a directory, and two files.
fn dump(around: &Path) -> PathBuf {
    let target = around.join("dump");
    fs::create_dir_all(target.join("sub")).unwrap();
    for (name, content) in [("a", "1"), ("b", "2"), ("sub/c", "3")] {
        fs::write(target.join(name), content).unwrap();
    }
    std::os::unix::fs::symlink("../before", target.join("parent")).unwrap();
    target
}

fn content(directory: &Path) -> BTreeMap<String, String> {
    let all = seen(directory).unwrap();
    let read = |path: PathBuf| match fs::read_link(&path) {
        Ok(link) => format!("-> {}", link.display()),
        Err(_) => fs::read_to_string(path).unwrap_or_default(),
    };
    all.iter().map(|seen| (seen.name.display().to_string(), read(directory.join(&seen.name)))).collect()
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

fn put(stage: &Stage, name: &str, content: &str) {
    let mut sink = stage.file(Path::new(name)).unwrap();
    sink.write_all(content.as_bytes()).unwrap();
    sink.finish().unwrap();
}

const OLD: [(&str, &str); 5] = [("a", "1"), ("b", "2"), ("parent", "-> ../before"), ("sub", ""), ("sub/c", "3")];
const NEW: [(&str, &str); 6] =
    [("a", "one"), ("a.bak", "1"), ("new", "4"), ("parent", "-> ../before"), ("sub", ""), ("sub/c", "3")];

/// What leads from [`OLD`] to [`NEW`].
fn change(stage: &Stage) {
    stage.keep_old(Path::new("a")).unwrap();
    put(stage, "a", "one");
    put(stage, "new", "4");
    stage.remove(Path::new("b")).unwrap();
}

/// A stage of each road; of the slow one also as on a file system without hard links.
fn replacing(target: &Path, way: usize) -> Stage {
    let mut stage = Stage::replace(target).unwrap();
    assert_eq!(stage.road, Road::Beside);
    if way > 0 {
        stage.move_inside().unwrap();
    }
    if way > 1 {
        fs::remove_dir_all(&stage.path).unwrap();
        fs::create_dir(&stage.path).unwrap();
        stage.is_whole = false;
    }
    stage
}

#[test]
fn the_old_directory_or_the_new_one() {
    for way in 0..3 {
        let around = around();
        let target = dump(around.path());
        fs::set_permissions(&target, fs::Permissions::from_mode(0o2750)).unwrap();
        let stage = replacing(&target, way);
        change(&stage);
        drop(stage);
        assert_eq!(content(&target), expected(&OLD), "{way}");
        assert_eq!((names(around.path()), names(&target).len()), (vec!["dump".to_owned()], 4));

        let stage = replacing(&target, way);
        change(&stage);
        stage.commit().unwrap();
        assert_eq!(content(&target), expected(&NEW), "{way}");
        assert_eq!((names(around.path()), names(&target).len()), (vec!["dump".to_owned()], 5));
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o2750);
    }
}

#[test]
fn a_new_directory() {
    let around = around();
    let target = around.path().join("some/where/dump");
    let stage = Stage::create(&target).unwrap();
    put(&stage, "a", "1");
    assert!(!target.exists());
    drop(stage);
    assert_eq!(names(around.path()), Vec::<String>::new());
    let stage = Stage::create(&target).unwrap();
    put(&stage, "a", "1");
    stage.commit().unwrap();
    assert_eq!(content(&target), expected(&[("a", "1")]));
    assert_eq!(names(target.parent().unwrap()), ["dump"]);
    let error = Stage::create(&target).err().unwrap();
    assert!(error.what().starts_with("is not empty"), "{error}");
}

#[test]
fn an_empty_directory_keeps_its_mode() {
    for inside in [false, true] {
        let around = around();
        let target = around.path().join("dump");
        fs::create_dir(&target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o711)).unwrap();
        let mut stage = Stage::create(&target).unwrap();
        if inside {
            stage.move_inside().unwrap();
        }
        put(&stage, "a", "1");
        fs::create_dir(stage.path().join("sub")).unwrap();
        put(&stage, "sub/b", "2");
        stage.commit().unwrap();
        assert_eq!(content(&target), expected(&[("a", "1"), ("sub", ""), ("sub/b", "2")]));
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o711);
        assert_eq!((names(around.path()).len(), names(&target).len()), (1, 2));
    }
}

#[test]
fn what_changes_meanwhile_is_left_as_it_is() {
    type Meanwhile = fn(&Path);
    let meanwhile: [(Meanwhile, &str); 6] = [
        (|target| fs::write(target.join("x"), "").unwrap(), "added"),
        (|target| fs::remove_file(target.join("b")).unwrap(), "removed"),
        (|target| fs::write(target.join("b"), "longer").unwrap(), "grown"),
        (|target| fs::write(target.join("b"), "").unwrap(), "cut"),
        (|target| fs::write(target.join("sub/c"), "").unwrap(), "cut below"),
        (
            |target| {
                fs::write(target.join("t"), "2").unwrap();
                fs::rename(target.join("t"), target.join("b")).unwrap();
            },
            "replaced",
        ),
    ];
    for way in 0..3 {
        for (change_it, what) in meanwhile {
            let around = around();
            let target = dump(around.path());
            let stage = replacing(&target, way);
            change(&stage);
            change_it(&target);
            let before = content(&target);
            let error = stage.commit().unwrap_err().to_string();
            assert!(error.contains("was changed by somebody else meanwhile"), "{error}");
            assert_eq!(content(&target), before, "{way}, {what}");
            assert_eq!(names(around.path()), ["dump"]);
            assert!(names(&target).iter().all(|name| !name.starts_with(".icecore")));
        }
    }
    // between the last look and the exchange
    let around = around();
    let target = dump(around.path());
    let stage = replacing(&target, 0);
    change(&stage);
    fs::write(target.join("b"), "late").unwrap();
    stage.rename().unwrap();
    stage.settle().unwrap_err();
    assert_eq!(content(&target)["b"], "late");
    assert_eq!((content(&target).len(), names(around.path()).len()), (5, 1));
}

#[test]
fn two_at_once() {
    let around = around();
    let target = dump(around.path());
    let first = Stage::replace(&target).unwrap();
    let error = Stage::replace(&target).err().unwrap().to_string();
    assert!(error.contains("is being written by another process"), "{error}");
    drop(first);
    drop(Stage::replace(&target).unwrap());
    // two new ones: the second finds that there is one already
    let target = around.path().join("other");
    let (first, second) = (Stage::create(&target).unwrap(), Stage::create(&target).unwrap());
    put(&first, "a", "1");
    put(&second, "a", "2");
    first.commit().unwrap();
    second.commit().unwrap_err();
    assert_eq!(content(&target), expected(&[("a", "1")]));
    assert_eq!(names(around.path()), ["dump", "other"]);
}

#[test]
fn names_that_lead_elsewhere() {
    let around = around();
    let target = dump(around.path());
    let stage = Stage::replace(&target).unwrap();
    for name in ["../x", "/x", "sub/../../x", "", ".icecore-journal", ".icecore-stage/x"] {
        assert!(stage.file(Path::new(name)).is_err(), "{name}");
        stage.remove(Path::new(name)).unwrap_err();
        stage.keep_old(Path::new(name)).unwrap_err();
    }
    fs::write(target.join("a.bak"), "").unwrap();
    let error = stage.keep_old(Path::new("a")).unwrap_err().to_string();
    assert!(error.contains("a.bak: is there already"), "{error}");
}

/// The journal carried out up to each step, then by the next run.
#[test]
fn a_journal_that_was_left() {
    for way in 1..3 {
        for done in 0..5 {
            let around = around();
            let target = dump(around.path());
            let mut stage = replacing(&target, way);
            change(&stage);
            let old = stage.old.take().unwrap();
            let mut journal =
                journal::Journal::between(&stage.path, &old, stage.is_whole.then_some(stage.links.as_slice())).unwrap();
            journal.gone.append(stage.gone.get_mut().unwrap());
            journal.keep.append(stage.kept.get_mut().unwrap());
            stage.is_done = true;
            journal.write(&target).unwrap();
            journal::Journal::enforce(&target).unwrap();
            drop(stage);
            // as far as it got
            let staged = target.join(STAGED);
            let part = journal::Journal {
                keep: journal.keep.iter().take(done).cloned().collect(),
                put: journal.put.iter().take(done.saturating_sub(1)).cloned().collect(),
                gone: journal.gone.iter().take(done.saturating_sub(3)).cloned().collect(),
            };
            for name in &part.keep {
                fs::rename(target.join(name), journal::backup(&target.join(name))).unwrap();
            }
            part.put.iter().for_each(|name| fs::rename(staged.join(name), target.join(name)).unwrap());
            part.gone.iter().for_each(|name| fs::remove_file(target.join(name)).unwrap());

            let error = Stage::replace(&target).err().unwrap().to_string();
            assert!(error.contains("was finished just now"), "{error}");
            assert_eq!(content(&target), expected(&NEW), "{way}, {done}");
            assert_eq!(names(&target).len(), 5);
            assert_eq!(Stage::recover(&target).unwrap(), Recovered::Nothing);
        }
    }
}

#[test]
fn a_stage_that_was_left() {
    let around = around();
    let target = dump(around.path());
    fs::create_dir(target.join(STAGED)).unwrap();
    fs::write(target.join(STAGED).join("a"), "half").unwrap();
    fs::write(target.join(JOURNAL_NEW), "half").unwrap();
    fs::create_dir(around.path().join(".dump.1.2.tmp")).unwrap();
    let held = hold(&target).unwrap();
    Stage::recover(&target).unwrap_err();
    drop(held);
    assert_eq!(Stage::recover(&target).unwrap(), Recovered::Undone);
    assert_eq!(content(&target), expected(&OLD));
    assert_eq!((names(&target).len(), names(around.path()).len()), (4, 1));
    assert_eq!(Stage::recover(&around.path().join("not there")).unwrap(), Recovered::Nothing);
}

/// A directory from a stranger: what it calls a stage leads elsewhere.
#[test]
fn a_stage_that_is_a_link() {
    let around = around();
    let (target, elsewhere) = (dump(around.path()), around.path().join("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("a"), "theirs").unwrap();
    std::os::unix::fs::symlink(&elsewhere, target.join(STAGED)).unwrap();
    let journal = journal::Journal { put: vec!["a".into()], ..journal::Journal::default() };
    journal.write(&target).unwrap();
    journal::Journal::enforce(&target).unwrap();
    Stage::recover(&target).unwrap_err();
    fs::remove_file(target.join(JOURNAL)).unwrap();
    assert_eq!(Stage::recover(&target).unwrap(), Recovered::Undone);
    assert_eq!(content(&target), expected(&OLD));
    assert_eq!(names(&elsewhere), ["a"]);
}

#[test]
fn a_file_looks_as_the_old_one() {
    let around = around();
    let target = dump(around.path());
    fs::set_permissions(target.join("a"), fs::Permissions::from_mode(0o640)).unwrap();
    let old = File::open(target.join("a")).unwrap();
    let before = old.metadata().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(5));
    let stage = Stage::replace(&target).unwrap();
    let mut sink = stage.file(Path::new("a")).unwrap();
    sink.write_all(b"one").unwrap();
    sink.resemble(&Likeness::of(&old, Path::new("a")).unwrap()).unwrap();
    sink.finish().unwrap();
    stage.commit().unwrap();
    let after = fs::metadata(target.join("a")).unwrap();
    assert_eq!((after.mtime(), after.mtime_nsec()), (before.mtime(), before.mtime_nsec()));
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert!(after.ino() != before.ino());
}
