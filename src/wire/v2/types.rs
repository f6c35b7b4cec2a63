//! The numbers of `proto/v2/registry.proto` that the format itself is made of. Those of objects are in `object/`.

/// Bytes that mean nothing and may stand anywhere.
pub const PAD: u32 = 0;
/// The beginning of a section; `count` is its number in its image.
pub const START: u32 = 1;
/// The end of an image; `count` is the number of headers before it.
pub const STOP: u32 = 2;
/// The name of an image's file in version 1.
pub const NAME: u32 = 3;
/// The sections of a bundle, an array.
pub const DIRECTORY: u32 = 4;
/// The end of a bundle.
pub const END: u32 = 5;
/// Pages.
pub const PAGE_BLOCK: u32 = 6;
/// Where blocks of pages are, an array.
pub const BLOCK_TABLE: u32 = 7;
/// Checksums of pages that have none in their block.
pub const SUMS: u32 = 8;
/// What an element of an array has no room for.
pub const NOTE: u32 = 9;
/// How an image stands in version 1, where that does not follow from its kind.
pub const V1_IMAGE: u32 = 10;
/// Bytes of the object before.
pub const BLOB: u32 = 11;
/// What is known of a checkpoint before it is made.
pub const CHECKPOINT: u32 = 12;
/// Names of images, a list.
pub const NAMES: u32 = 13;
/// Runs of pages, an array.
pub const PAGE_RUN: u32 = 64;

/// A type with this bit must be understood.
pub const MUST: u32 = 1 << 31;

/// The kind of the image that comes first in a bundle.
pub const KIND_CHECKPOINT: u32 = 200;
/// The kind of the image that lists the sections of a bundle.
pub const KIND_DIRECTORY: u32 = 201;
/// The kind of files that are no images.
pub const KIND_FILE: u32 = 202;
/// The kind of the image with the pages of a checkpoint: that of pages files in version 1.
pub const KIND_PAGES: u32 = 9;

/// Payloads of all types but blocks of pages are at most so long.
pub const PAYLOAD: u64 = 64 << 20;
/// The data of a block of pages is at most so long.
pub const BLOCK_DATA: u64 = 1 << 30;
