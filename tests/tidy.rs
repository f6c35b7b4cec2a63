//! The shape of the sources, as a test: it is the documentation of the rules below. It reads every path in `src/`, not
//! only those in `use`.
//!
//! - Data flows from left to right through the layers; a layer uses those to its left and none to its right:
//!   base, wire, source, image, object, memory, checkpoint, view, tool, cli.
//! - Two files of `view/`, or of `tool/`, don't use each other.
//! - A third-party crate that belongs to one layer stays there.
//! - `unsafe` stands only in the files that need it.
//! - A file holds one concept: at most 400 lines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, unreachable_pub)]
#[path = "common/rust.rs"]
mod rust;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From left to right.
const LAYERS: [&str; 10] = ["base", "wire", "source", "image", "object", "memory", "checkpoint", "view", "tool", "cli"];

/// Layers whose files don't use each other.
const APART: [&str; 2] = ["view", "tool"];

/// Crates and macros that stay in some places, and why. Tests may use them anywhere.
const FENCES: &[(&[&str], &[&str], &str)] = &[
    (
        &["prost", "prost_types", "prost_reflect"],
        &["object/"],
        "decode in object/, or add to its API what is missing; checkpoint/ reads the structs without prost",
    ),
    (
        &["clap", "clap_complete", "clap_mangen", "indicatif", "anstream", "anstyle", "terminal_size", "unicode_width"],
        &["cli/"],
        "hand typed rows to base::report::Rows, progress to base::report::Progress; cli/ shows them",
    ),
    (&["println", "print", "eprintln", "eprint"], &["cli/"], "hand typed rows to base::report::Rows; only cli/ prints"),
    (&["tar", "flate2"], &["source/"], "an archive is a source: the rest sees names and bytes"),
    (&["lz4_flex", "zstd"], &["memory/"], "ask memory/ for the bytes: it packs and unpacks, and keeps a few blocks"),
    (&["memmap2", "libc"], &["base/map.rs"], "the only memory map is base/map.rs; rustix has the other system calls"),
    (&["serde_json"], &["view/", "tool/", "cli/"], "crit's JSON is written by object/json, without values in memory"),
    (&["dbg", "todo", "unimplemented"], &[], "finish it, or return an Error that says what is missing"),
];

/// The V1 structs do not pass the checkpoint: views and tools see its own structs, whatever the format.
const STRUCTS: [&str; 3] = ["object", "memory", "checkpoint"];

/// The files that may contain `unsafe`.
const UNSAFE: [&str; 2] = ["base/map.rs", "base/reserve.rs"];

const LINES: usize = 400;

/// Longer files, each with the reason why it is still one concept.
const LONG: &[(&str, &str)] = &[];

/// Every file below a folder, with its path from there; sorted.
fn files(folder: &str) -> Vec<(String, PathBuf)> {
    fn walk(root: &Path, at: &Path, found: &mut Vec<(String, PathBuf)>) {
        let Ok(entries) = fs::read_dir(at) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                // what is built or fetched there is not the project's
                if !["target", "corpus", "artifacts", "data", "seed"].contains(&name.as_str()) {
                    walk(root, &path, found);
                }
            } else {
                found.push((name, path));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    let sources: Vec<_> = files("src")
        .into_iter()
        .filter(|(name, _)| name.ends_with(".rs"))
        .map(|(name, path)| (name, fs::read_to_string(path).unwrap()))
        .collect();
    assert!(sources.len() > 20, "found {} sources", sources.len());
    sources
}

/// `object/json/mod.rs` is the module `object::json`.
fn module(file: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
        parts.pop();
    }
    parts
}

/// Where the names come from that `lib.rs` re-exports: `Error` from `base`.
fn reexports() -> BTreeMap<String, Vec<String>> {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    rust::paths(&lib, &[])
        .into_iter()
        .filter(|path| LAYERS.contains(&path.segments[0].as_str()))
        .map(|path| (path.segments.last().unwrap().clone(), path.segments))
        .collect()
}

fn report(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems\n\n{}\n", problems.len(), problems.join("\n"));
}

fn order() -> String {
    LAYERS.join(" -> ")
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|name| *name == layer)
}

/// What is wrong with the paths of one file.
fn check(file: &str, source: &str, reexports: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let module = module(file);
    let own = module.first().copied().unwrap_or("");
    // lib.rs names everything; main.rs is behind the last layer
    if file == "lib.rs" {
        return Vec::new();
    }
    let own_rank = if file == "main.rs" { LAYERS.len() } else { rank(own).unwrap_or(LAYERS.len()) };
    let mut problems = Vec::new();
    for path in rust::paths(source, &module) {
        let shown = path.segments.join("::");
        let place = format!("src/{file}:{}", path.line);
        let first = path.segments[0].as_str();
        if !path.test {
            for (names, places, way_out) in FENCES {
                if names.contains(&first) && !places.iter().any(|place| file.starts_with(place)) {
                    let places = if places.is_empty() { "nowhere".to_owned() } else { places.join(" and ") };
                    problems.push(format!("{place}: {first} belongs in {places}: {way_out}"));
                }
            }
        }
        let own_crate = first == "crate" || (file == "main.rs" && first == "icecore");
        let Some(name) = path.segments.get(1).filter(|_| own_crate) else { continue };
        let segments = match rank(name) {
            Some(_) => &path.segments[1..],
            None => match reexports.get(name) {
                Some(segments) => segments,
                None => {
                    problems.push(format!("{place}: {shown} is in no layer: move it into one of {}", order()));
                    continue;
                }
            },
        };
        let layer = segments[0].as_str();
        let used = rank(layer).unwrap();
        if used > own_rank {
            problems.push(format!(
                "{place}: {own}/ uses {shown}, and {layer}/ lies to its right ({}): move this code to {layer}/ or \
                 behind it, move what it needs to the left, or let the caller hand it in",
                order()
            ));
        }
        if segments.get(1).is_some_and(|name| name == "v1") && layer == "object" && !path.test {
            let inside = STRUCTS.contains(&own);
            if !inside {
                problems.push(format!(
                    "{place}: {own}/ uses {shown}: V1 structs do not pass the checkpoint; add what is needed to \
                     checkpoint's own structs"
                ));
            }
        }
        let sibling = segments.get(1).map_or("", String::as_str);
        let is_file = |name: &str| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(layer).join(name);
            root.is_dir() || root.with_extension("rs").is_file()
        };
        if layer == own && APART.contains(&own) && module.len() > 1 && module[1] != sibling && is_file(sibling) {
            problems.push(format!(
                "{place}: {shown}: two files of {own}/ don't use each other: move what both need to {own}/mod.rs or \
                 to a layer before it"
            ));
        }
    }
    problems
}

#[test]
fn layers_and_fences() {
    let reexports = reexports();
    let problems = sources().iter().flat_map(|(file, source)| check(file, source, &reexports)).collect();
    report(problems);
}

#[test]
fn every_folder_is_a_layer() {
    let mut problems = Vec::new();
    for (file, source) in sources() {
        let first = file.split('/').next().unwrap();
        if !["lib.rs", "main.rs"].contains(&first) && rank(first).is_none() {
            problems.push(format!("src/{file}: {first} is no layer: move it into one of {}", order()));
        }
        if !source.starts_with("//!") {
            problems.push(format!("src/{file}: begin with a //! line that says which concept the file holds"));
        }
        let words = rust::tokens(&source);
        let declares_core = words.windows(2).any(|pair| {
            pair[0].0 == rust::Token::Word("mod".to_owned()) && pair[1].0 == rust::Token::Word("core".to_owned())
        });
        if declares_core || module(&file).contains(&"core") {
            problems.push(format!("src/{file}: a module called core shadows the crate: call it by what it holds"));
        }
    }
    report(problems);
}

#[test]
fn unsafe_stays_where_it_is_needed() {
    let mut problems = Vec::new();
    for (file, source) in sources() {
        if UNSAFE.contains(&file.as_str()) {
            continue;
        }
        for (token, line) in rust::tokens(&source) {
            if token == rust::Token::Word("unsafe".to_owned()) {
                problems.push(format!(
                    "src/{file}:{line}: unsafe belongs in {}: find a safe way, or argue for one more file in \
                     tests/tidy.rs",
                    UNSAFE.join(", ")
                ));
            }
        }
    }
    report(problems);
}

#[test]
fn files_are_short() {
    let mut problems = Vec::new();
    for (file, source) in sources() {
        let lines = source.lines().count();
        let exempt = LONG.iter().find(|(name, _)| *name == file);
        match exempt {
            None if lines > LINES => problems.push(format!(
                "src/{file}: {lines} lines, at most {LINES}: split it by concept, or give a reason in LONG of \
                 tests/tidy.rs"
            )),
            Some(_) if lines <= LINES => {
                problems.push(format!("src/{file}: {lines} lines, short enough: take it out of LONG in tests/tidy.rs"));
            }
            _ => {}
        }
    }
    for (name, _) in LONG {
        if !Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name).is_file() {
            problems.push(format!("src/{name} is gone: take it out of LONG in tests/tidy.rs"));
        }
    }
    report(problems);
}

#[test]
fn text_hides_nothing() {
    let mut problems = Vec::new();
    for folder in ["src", "tests", "proto", "benches", "fuzz", "docs"] {
        for (file, path) in files(folder) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            for (number, line) in text.lines().enumerate() {
                let hidden = line.chars().find(|&c| {
                    let direction = ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
                    let no_width = ('\u{200b}'..='\u{200f}').contains(&c) || c == '\u{feff}' || c == '\u{ad}';
                    direction || no_width || (c.is_control() && c != '\t')
                });
                if let Some(c) = hidden {
                    let code = u32::from(c);
                    problems.push(format!(
                        "{folder}/{file}:{}: character U+{code:04X} cannot be seen: take it out, or write an escape",
                        number + 1
                    ));
                }
            }
        }
    }
    report(problems);
}

/// The rules find what they are there to find.
#[test]
fn finds_what_it_looks_for() {
    let reexports = BTreeMap::from([
        ("Error".to_owned(), vec!["base".to_owned(), "Error".to_owned()]),
        ("v1".to_owned(), vec!["object".to_owned(), "v1".to_owned()]),
    ]);
    let found = |file: &str, source: &str| check(file, source, &reexports).len();
    for (file, source, want) in [
        ("image/v1.rs", "use crate::object::schema;", 1),
        ("image/v1.rs", "use crate::{base, object::schema};", 1),
        ("image/v1.rs", "use crate::{base::{Error, Limits as L}, wire::varint};", 0),
        ("image/v1.rs", "fn f() { let x = crate::view::ps(1); }", 1),
        ("image/v1.rs", "fn f(x: Vec<crate::view::Row>) {}", 1),
        ("image/v1.rs", "fn f() { super::super::cli::run() }", 1),
        ("image/v1.rs", "fn f() { super::index::walk(); self::g(); }", 0),
        ("image/v1.rs", "mod inner { fn f() { super::super::super::cli::run() } }", 1),
        (
            "image/v1.rs",
            "// crate::view::x\n/* crate::cli /* */ */ fn f() { \"crate::cli::x\"; r#\"crate::cli\"#; }",
            0,
        ),
        ("image/v1.rs", "fn f<'a>(c: &'a char) { let x = 'c'; crate::cli::run() }", 1),
        ("image/v1.rs", "use crate::Error;", 0),
        ("base/map.rs", "use crate::v1::FsEntry;", 2),
        ("image/v1.rs", "use crate::elsewhere::X;", 1),
        ("image/v1.rs", "use prost::Message;", 1),
        ("image/v1.rs", "#[derive(::prost::Message)] struct X;", 1),
        ("image/v1.rs", "#[cfg(test)] mod tests { use prost::Message; }", 0),
        ("image/v1.rs", "#[cfg(test)] mod tests { use prost::Message; } fn f() { prost::decode() }", 1),
        ("image/v1.rs", "fn f() { println!(\"x\") }", 1),
        ("image/v1.rs", "use libc;", 1),
        ("cli/out.rs", "fn f() { println!(\"x\"); clap::Parser::parse(); crate::tool::x(); }", 0),
        ("checkpoint/task.rs", "use crate::object::v1::PstreeEntry;", 0),
        ("view/ps.rs", "use crate::object::v1::PstreeEntry;", 1),
        ("view/ps.rs", "fn f() { x.prost() }", 0),
        ("main.rs", "use icecore::cli; fn main() { icecore::cli::run() }", 0),
        ("main.rs", "use icecore::elsewhere;", 1),
        ("tool/x.rs", "fn f() { todo!() }", 1),
    ] {
        assert_eq!(found(file, source), want, "{file}: {source}: {:#?}", check(file, source, &reexports));
    }
}
