//! `icecore flatten` of a chain of five dumps with 256 MiB of pages, beside `cp` of the pages that come out followed by
//! `sync -d`, in one run, in turn; whole processes. Each dump has an eighth of the pages anew: in one piece, in pieces
//! of 16 pages, or one page here and one there. Aim: no slower.
//!
//! Where: below the directory that `ICECORE_BENCH` names, or that for temporary files; `ICECORE_BENCH_MIB` is the size.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PAGE: u64 = 4096;
const DUMPS: u64 = 5;
const ROUNDS: usize = 7;
const START: u64 = 0x5500_0000_0000;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Writes a chain, and gives the newest dump. `piece` is how many pages are anew together.
fn chain(root: &Path, pages: u64, piece: u64) -> PathBuf {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for number in 0..DUMPS {
        let dir = root.join(number.to_string());
        fs::create_dir(&dir).unwrap();
        let mut map = BufWriter::new(File::create(dir.join("pagemap-1.img")).unwrap());
        let mut content = BufWriter::new(File::create(dir.join("pages-1.img")).unwrap());
        for word in [0x5456_4319u32, 0x5608_4025, 2] {
            map.write_all(&word.to_le_bytes()).unwrap();
        }
        map.write_all(&[8, 1]).unwrap();
        let mut inventory = 0x5831_3116u32.to_le_bytes().to_vec();
        inventory.extend(4u32.to_le_bytes());
        inventory.extend([8, 2, 16, 1]);
        fs::write(dir.join("inventory.img"), inventory).unwrap();
        if number > 0 {
            std::os::unix::fs::symlink(format!("../{}", number - 1), dir.join("parent")).unwrap();
        }
        let mut at = 0;
        while at < pages {
            let some = piece.min(pages - at);
            let is_new = number == 0 || random.next().is_multiple_of(8);
            let mut message = Vec::new();
            for (field, value) in [(1, START + at * PAGE), (2, 0), (4, if is_new { 4 } else { 1 }), (5, some)] {
                varint(&mut message, field << 3);
                varint(&mut message, value);
            }
            map.write_all(&u32::try_from(message.len()).unwrap().to_le_bytes()).unwrap();
            map.write_all(&message).unwrap();
            if is_new {
                for _ in 0..some * PAGE / 8 {
                    content.write_all(&random.next().to_le_bytes()).unwrap();
                }
            }
            at += some;
        }
    }
    root.join((DUMPS - 1).to_string())
}

fn timed(commands: &mut [&mut Command]) -> Duration {
    let start = Instant::now();
    for command in commands {
        assert!(command.stdout(Stdio::null()).status().unwrap().success());
    }
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let mib = std::env::var("ICECORE_BENCH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(256u64);
    let place = std::env::var_os("ICECORE_BENCH").map_or_else(std::env::temp_dir, PathBuf::from);
    let pages = (mib << 20) / PAGE;
    for (name, piece) in [("in one piece", pages / 16), ("in pieces of 16", 16), ("page by page", 1)] {
        let root = tempfile::tempdir_in(&place).unwrap();
        let newest = chain(root.path(), pages, piece);
        let (target, copy) = (root.path().join("whole"), root.path().join("copy"));
        let (mut own, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            // what the other one left to be written is not counted here
            assert!(Command::new("sync").status().unwrap().success());
            let mut flatten = Command::new(env!("CARGO_BIN_EXE_icecore"));
            own.push(timed(&mut [flatten.arg("flatten").arg(&newest).arg("-o").arg(&target)]));
            let _ = fs::remove_file(&copy);
            assert!(Command::new("sync").status().unwrap().success());
            let (mut cp, mut sync) = (Command::new("cp"), Command::new("sync"));
            plain.push(timed(&mut [cp.arg(target.join("pages-1.img")).arg(&copy), sync.arg("-d").arg(&copy)]));
            fs::remove_dir_all(&target).unwrap();
        }
        let (own, plain) = (median(own), median(plain));
        let ratio = own.as_secs_f64() / plain.as_secs_f64();
        println!("{name:16} flatten {own:8.3?}   cp and sync -d {plain:8.3?}   {ratio:.2} of it");
    }
}
