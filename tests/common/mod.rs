//! What the tests share. Nothing here uses the library's own reading code where it makes or judges images.
#![allow(dead_code, unreachable_pub)]

pub mod tables;
