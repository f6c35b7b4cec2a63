//! stub
#![allow(missing_docs)]
#[derive(Clone, Debug, Default)]
pub struct PageOptions {
    pub compression: Compression,
    pub unit: Option<u64>,
    pub share: bool,
    pub decompress: bool,
    pub parent: Option<std::path::PathBuf>,
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    None,
    Lz4,
    Zstd(i32),
}
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PageCounts {
    pub pages: u64,
}
