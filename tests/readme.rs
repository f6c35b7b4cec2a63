//! The README against the program: commands that are shown with their output give that output, and the code is the
//! example's. `ICECORE_BLESS=1` writes the outputs anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::Command;

const SHOWN: &str = "    $ cargo run --release -- ";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the program prints for a command line of the README, indented as there.
fn output(arguments: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_icecore"))
        .args(arguments.split_whitespace())
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect()
}

#[test]
fn commands_print_what_is_shown() {
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let mut renewed = String::new();
    let mut shown = 0;
    let mut lines = readme.lines().peekable();
    while let Some(line) = lines.next() {
        renewed.push_str(line);
        renewed.push('\n');
        if let Some(arguments) = line.strip_prefix(SHOWN) {
            while lines.peek().is_some_and(|next| next.starts_with("    ")) {
                lines.next();
            }
            renewed.push_str(&output(arguments));
            shown += 1;
        }
    }
    assert!(shown >= 2, "the README shows {shown} commands with their output");
    if std::env::var_os("ICECORE_BLESS").is_some() {
        std::fs::write(&path, renewed).unwrap();
    } else {
        assert!(renewed == readme, "the README shows other output than the program prints; ICECORE_BLESS=1 renews it");
    }
}

#[test]
fn the_code_is_the_example() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let example = std::fs::read_to_string(root().join("examples/library.rs")).unwrap();
    let (_, code) = readme.split_once("```rust\n").expect("the README has code");
    let (code, _) = code.split_once("```").unwrap();
    let mut rest: Vec<&str> = example.lines().map(str::trim).collect();
    for line in code.lines().map(str::trim) {
        let at = rest.iter().position(|known| *known == line);
        let at = at.unwrap_or_else(|| panic!("examples/library.rs lacks the README's line: {line}"));
        rest.drain(..=at);
    }
}
