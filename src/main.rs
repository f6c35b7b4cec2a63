//! icecore
fn main() {}
