//! Version 1 of the format to version 2 and back.

pub mod pages;
