//! Programs that are interrupted at each step: strace counts the system calls that touch a folder, then one run for each
//! of them is killed there, told to end, or told that the call failed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::oracle;

/// Calls that change a file or a directory, or make it last.
const CHANGING: [&str; 40] = [
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "copy_file_range",
    "sendfile",
    "splice",
    "ioctl",
    "fallocate",
    "truncate",
    "ftruncate",
    "mkdir",
    "mkdirat",
    "mknodat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "fsync",
    "fdatasync",
    "syncfs",
    "sync_file_range",
    "msync",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "utimensat",
    "fsetxattr",
    "setxattr",
    "flock",
];

/// Calls that only look; they may fail all the same.
const LOOKING: [&str; 6] = ["open", "openat", "getdents64", "pread64", "statx", "readlink"];

/// One call of a program: which of its kind, counted in its first thread or in any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub call: String,
    pub number: u32,
    pub only_first_thread: bool,
}

/// What a name leads to: its mode, and the content or where a link goes.
pub type State = BTreeMap<Vec<u8>, (u32, Vec<u8>)>;

/// All names of a folder.
pub fn state(folder: &Path) -> State {
    fn walk(root: &Path, at: &Path, found: &mut State) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_symlink() {
                fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else if meta.is_dir() {
                walk(root, &path, found);
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(name, (meta.mode(), content));
        }
    }
    let mut found = State::new();
    walk(folder, folder, &mut found);
    found
}

/// Whether a name is of what a run that is not complete may leave.
fn is_left(name: &[u8]) -> bool {
    name.split(|byte| *byte == b'/')
        .any(|part| part.starts_with(b".icecore-") || (part.starts_with(b".") && part.ends_with(b".tmp")))
}

/// The state without what was left, and whether that was anything.
pub fn without_left(state: &State) -> (State, bool) {
    let kept: State =
        state.iter().filter(|(name, _)| !is_left(name)).map(|(name, what)| (name.clone(), what.clone())).collect();
    let was_left = kept.len() < state.len();
    (kept, was_left)
}

/// Names that differ, for messages.
pub fn difference(one: &State, other: &State) -> Vec<String> {
    let names: BTreeSet<&Vec<u8>> = one.keys().chain(other.keys()).collect();
    let differ = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
    differ.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Copies a folder with modes and links.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let new = to.join(path.file_name().unwrap());
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&path).unwrap(), &new).unwrap();
        } else if meta.is_dir() {
            copy(&path, &new);
            fs::set_permissions(&new, fs::Permissions::from_mode(meta.mode() & 0o7777)).unwrap();
        } else {
            fs::copy(&path, &new).unwrap();
        }
    }
}

/// A folder in memory, where there is one: here nobody needs to wait for disks.
pub fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Whether strace can be used; says so where it cannot.
pub fn is_possible() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        oracle::skipped("no strace that may trace: install it to see every step interrupted");
    }
    works
}

/// Whether every step is to be tried with everything, however long that takes.
pub fn is_thorough() -> bool {
    std::env::var("ICECORE_FAULTS").is_ok_and(|value| value == "all")
}

/// A program, and the folder that it works in, which is copied for each run.
pub struct Program {
    pub words: Vec<OsString>,
    pub environment: Vec<(String, OsString)>,
    /// Where it is started; in the folder, if that is a relative path.
    pub started_in: PathBuf,
    pub folder: PathBuf,
}

impl Program {
    /// The words may say `{}` for the folder.
    pub fn new(words: &[&str], folder: &Path) -> Self {
        let words = words.iter().map(|word| OsString::from(word.replace("{}", folder.to_str().unwrap()))).collect();
        Self { words, environment: Vec::new(), started_in: "/".into(), folder: folder.to_path_buf() }
    }

    fn command(&self, tracer: &[String]) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if !tracer.is_empty() {
            words.push("strace".into());
            words.extend(tracer.iter().map(OsString::from));
        }
        words.extend(self.words.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("RAYON_NUM_THREADS", "1").current_dir(self.folder.join(&self.started_in));
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    pub fn run(&self) -> Output {
        self.command(&[]).output().unwrap()
    }

    /// What it does to the folder, call by call: a line of strace each.
    pub fn log(&self) -> Vec<String> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let words = ["-f", "-y", "-s", "0", "-qq", "-e", "trace=all", "-e", "signal=none", "-o"];
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        words.push(log.path().to_str().unwrap().to_owned());
        let output = self.command(&words).output().unwrap();
        assert!(output.status.success(), "{:?}: {output:?}", self.words);
        let text = fs::read(log.path()).unwrap();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// Runs it with something injected: `signal=SIGKILL`, `error=EIO`, `delay_enter=1000`.
    pub fn injected(&self, step: &Step, what: &str) -> Output {
        let mut words = Vec::new();
        if !step.only_first_thread {
            words.push("-f".to_owned());
        }
        let (call, number) = (&step.call, step.number);
        for word in ["-qq", "-o", "/dev/null", "-e", "signal=none", "-e"] {
            words.push(word.to_owned());
        }
        words.push(format!("trace={call}"));
        words.push("-e".to_owned());
        words.push(format!("inject={call}:{what}:when={number}"));
        self.command(&words).output().unwrap()
    }
}

/// The call in a line of a log, and the thread that made it. None for the end of one that another thread interrupted.
pub fn call(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    let (name, arguments) = rest.split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some((thread, name, arguments))
}

/// The steps of a program that touch its folder; `looking` has those that only look too.
pub fn steps(log: &[String], folder: &Path, looking: bool) -> Vec<Step> {
    let folder = folder.to_str().unwrap();
    let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut steps = BTreeSet::new();
    let first = log.iter().find_map(|line| call(line)).map(|(thread, _, _)| thread).unwrap();
    for line in log {
        let Some((thread, name, arguments)) = call(line) else { continue };
        let number = counts.entry((thread, name)).or_default();
        *number += 1;
        let touches = CHANGING.contains(&name) || (looking && LOOKING.contains(&name));
        if touches && arguments.contains(folder) {
            steps.insert(Step { call: name.to_owned(), number: *number, only_first_thread: thread == first });
        }
    }
    steps.into_iter().collect()
}

/// At most so many of them, from all over.
pub fn some<T: Clone>(all: &[T], most: usize) -> Vec<T> {
    let most = if is_thorough() { all.len() } else { most.min(all.len()) };
    (0..most).map(|at| all[at * all.len() / most].clone()).collect()
}

/// Whether everything was synced before a name led to it: what is wrong, line by line.
pub fn unsynced(log: &[String], folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let mut dirty: BTreeSet<String> = BTreeSet::new();
    let mut problems = Vec::new();
    let mut last_rename: Option<&String> = None;
    for line in log {
        let Some((_, name, arguments)) = call(line) else { continue };
        if !arguments.contains(folder) || line.contains(") = -1 ") {
            continue;
        }
        // the file that an argument stands for: 5</dev/shm/x>
        let files: Vec<&str> = arguments.split('<').skip(1).filter_map(|part| part.split('>').next()).collect();
        match name {
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "ftruncate" | "fallocate" => {
                dirty.extend(files.first().map(|file| (*file).to_owned()));
            }
            "copy_file_range" => dirty.extend(files.get(1).map(|file| (*file).to_owned())),
            "ioctl" if arguments.contains("FICLONE") => dirty.extend(files.first().map(|file| (*file).to_owned())),
            "fsync" | "fdatasync" => {
                if let Some(file) = files.first() {
                    dirty.remove(*file);
                }
                last_rename = None;
            }
            "syncfs" => {
                dirty.clear();
                last_rename = None;
            }
            // a further name of an old file leads to nothing new
            "link" | "linkat" if !arguments.contains("/proc/self/fd") => {}
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => {
                problems.extend(dirty.iter().map(|file| format!("{file} is not synced before {line}")));
                if name.starts_with("rename") {
                    last_rename = Some(line);
                }
            }
            // what was replaced goes when what replaces it is there to stay
            "unlink" | "unlinkat" | "rmdir" => {
                if let Some(rename) = last_rename.filter(|rename| rename.contains("EXCHANGE")) {
                    problems.push(format!("{line} before the directory around is synced, after {rename}"));
                }
            }
            _ => {}
        }
    }
    problems.extend(last_rename.map(|line| format!("the directory is not synced after {line}")));
    problems
}
