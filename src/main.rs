//! The program: the library's questions and tools as verbs.

mod cli;

// what cli/ is made of, under the names it has in the library
use icecore::{base, checkpoint, image, object, source, tool, view};

fn main() -> std::process::ExitCode {
    cli::main()
}
