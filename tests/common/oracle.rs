//! crit, asked through one Python process instead of one for each image.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running crit.
pub struct Crit {
    child: Child,
    requests: Option<ChildStdin>,
    answers: ChildStdout,
}

/// What crit says: its output, or what it died of.
pub type Answer = Result<Vec<u8>, String>;

/// What `crit decode`, `crit decode --pretty` and `crit info` say of one image.
pub struct Decoded {
    pub compact: Answer,
    pub pretty: Answer,
    pub count: Answer,
}

/// The oldest crit that is an oracle: those before name task states wrongly and don't know newer fields.
const OLDEST: [u32; 2] = [4, 3];

/// The program `name` that the tests may use: what the variable says, or what `tests/tools/install-criu target/criu`
/// put there.
pub fn tool(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return Some(path.into());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/criu/bin").join(name);
    path.is_file().then_some(path)
}

/// Says loudly that a test did not run; fails where it must.
pub fn skipped(why: &str) {
    assert!(env::var_os("ICECORE_REQUIRE_CRIU").is_none_or(|v| v == "0"), "this may not be skipped here: {why}");
    // not through eprintln, which a test that passes keeps to itself
    let _ = writeln!(std::io::stderr(), "\n  SKIPPED: {why}\n");
}

/// The crit to ask, if there is one: the file of its launcher.
pub fn crit() -> Option<PathBuf> {
    let launcher = tool("ICECORE_CRIT", "crit");
    if launcher.is_none() {
        skipped("no crit: run tests/tools/install-criu target/criu, or set ICECORE_CRIT to the launcher that it made");
    }
    launcher
}

/// The criu that can dump here: root, and version 4 or newer.
pub fn criu() -> Option<PathBuf> {
    let path = tool("ICECORE_CRIU", "criu").unwrap_or_else(|| "criu".into());
    let said = Command::new(&path).arg("--version").output().ok();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = said.lines().find_map(|line| line.strip_prefix("Version:")).map(numbers).unwrap_or_default();
    if version < vec![4] {
        skipped(&format!(
            "{} is no criu of version 4 or newer: run tests/tools/install-criu target/criu, or set ICECORE_CRIU",
            path.display()
        ));
        return None;
    }
    // a process of another user, or one without the right to ask the kernel, cannot dump
    if !fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t0\t0\t0") {
        skipped("dumping needs root");
        return None;
    }
    Some(path)
}

pub fn numbers(version: &str) -> Vec<u32> {
    version.trim().split('.').map_while(|part| part.parse().ok()).collect()
}

impl Crit {
    /// Starts the crit behind a launcher: `env PYTHONPATH=FOLDER PYTHON -m crit`.
    pub fn start(launcher: &Path) -> Self {
        let script = fs::read_to_string(launcher).unwrap_or_else(|error| panic!("{}: {error}", launcher.display()));
        let words: Vec<&str> = script.split_whitespace().collect();
        let modules = words.iter().find_map(|word| word.strip_prefix("PYTHONPATH="));
        let python = words.iter().position(|word| *word == "-m").and_then(|at| words.get(at.checked_sub(1)?));
        let (Some(modules), Some(python)) = (modules, python) else {
            panic!("{}: not a launcher made by tests/tools/install-criu", launcher.display());
        };
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/ask_crit.py"))
            .env("PYTHONPATH", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{python}: {error}"));
        let (requests, answers) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut crit = Self { child, requests, answers };
        let version = crit.answer().pop().unwrap().unwrap();
        let version = String::from_utf8(version).unwrap();
        assert!(numbers(&version) >= OLDEST.to_vec(), "{}: crit {version} is too old", launcher.display());
        crit
    }

    fn ask(&mut self, letter: u8, data: &[u8]) -> Vec<Answer> {
        let requests = self.requests.as_mut().unwrap();
        let mut request = vec![letter];
        request.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        request.extend(data);
        requests.write_all(&request).expect("crit died");
        self.answer()
    }

    fn answer(&mut self) -> Vec<Answer> {
        let count = self.word();
        (0..count)
            .map(|_| {
                let mut letter = [0];
                self.answers.read_exact(&mut letter).expect("crit died");
                let mut data = vec![0; self.word() as usize];
                self.answers.read_exact(&mut data).expect("crit died");
                match letter {
                    [b'o'] => Ok(data),
                    _ => Err(String::from_utf8_lossy(&data).into_owned()),
                }
            })
            .collect()
    }

    fn word(&mut self) -> u32 {
        let mut word = [0; 4];
        self.answers.read_exact(&mut word).expect("crit died: run its launcher by hand to see why");
        u32::from_le_bytes(word)
    }

    pub fn decode(&mut self, image: &[u8]) -> Decoded {
        let mut parts = self.ask(b'd', image).into_iter();
        let mut next = || parts.next().unwrap();
        Decoded { compact: next(), pretty: next(), count: next() }
    }

    pub fn show_without_payloads(&mut self, image: &[u8]) -> Answer {
        self.ask(b'n', image).pop().unwrap()
    }

    /// What `crit x` prints for ps, fds, mems and rss.
    pub fn explore(&mut self, directory: &Path) -> Vec<Answer> {
        self.ask(b'x', directory.to_str().unwrap().as_bytes())
    }

    pub fn encode(&mut self, json: &[u8]) -> Answer {
        self.ask(b'e', json).pop().unwrap()
    }
}

impl Drop for Crit {
    fn drop(&mut self) {
        // the end of its input ends it
        self.requests = None;
        let _ = self.child.wait();
    }
}
