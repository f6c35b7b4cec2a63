//! What only the files of version 1 had, of a pagemap: which fields its entries have, and what is odd about it.

use prost::Message as _;

use crate::object::upgrade::{v2, write};
use crate::wire::varint;

/// `PE_PARENT`.
const PARENT: u32 = 1;
/// The upper half of an address whose sign was extended.
const SIGN: u64 = 0xffff_ffff;

/// Which fields the entries of a pagemap have; it changed over the years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Since CRIU 4.2: flags, pages counted in field 5.
    #[default]
    Now,
    /// Since 3.5: flags, pages counted in field 2.
    Counted,
    /// Before: pages counted in field 2, and whether they are in the parent.
    Old,
}

/// What only the files of version 1 had, of a pagemap and its pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The number in the name of its pages file.
    pub pages_id: u64,
    /// Which fields its entries have.
    pub style: Style,
    /// Whether it has no first word, as in version 1.0 of the format.
    pub is_bare: bool,
    /// Its first message, where it says more than `pages_id`.
    pub head: Option<Vec<u8>>,
    /// Whether addresses from 2 GiB to 4 GiB had their sign extended to 64 bits.
    pub is_extended: bool,
    /// Whether there is no pages file.
    pub is_absent: bool,
    /// What follows the last page in the pages file.
    pub tail: Vec<u8>,
    /// Whether the pagemap has no bytes at all.
    pub is_empty: bool,
}

impl Facts {
    /// The payload of its `V1_IMAGE` record.
    pub fn encode(&self) -> Vec<u8> {
        let style = match self.style {
            Style::Now => None,
            Style::Counted => Some(1),
            Style::Old => Some(2),
        };
        let image = v2::V1Image {
            pages_id: Some(self.pages_id),
            first_word: self.is_bare.then_some(v2::V1FirstWord::Absent.into()),
            pagemap_style: style,
            pages_absent: self.is_absent.then_some(true),
            pages_tail: (!self.tail.is_empty()).then(|| self.tail.clone().into()),
            pagemap_head: self.head.clone().map(Into::into),
            sign_extended: self.is_extended.then_some(true),
            empty: self.is_empty.then_some(true),
            ..v2::V1Image::default()
        };
        image.encode_to_vec()
    }

    /// What a `V1_IMAGE` says. `None` where it cannot be read.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let image = v2::V1Image::decode(payload).ok()?;
        let style = match image.pagemap_style.unwrap_or_default() {
            0 => Style::Now,
            1 => Style::Counted,
            2 => Style::Old,
            _ => return None,
        };
        Some(Self {
            pages_id: image.pages_id.unwrap_or_default(),
            style,
            is_bare: image.first_word == Some(v2::V1FirstWord::Absent.into()),
            head: image.pagemap_head.map(Into::into),
            is_extended: image.sign_extended.unwrap_or_default(),
            is_absent: image.pages_absent.unwrap_or_default(),
            tail: image.pages_tail.map(Into::into).unwrap_or_default(),
            is_empty: image.empty.unwrap_or_default(),
        })
    }

    /// The first message of the pagemap.
    pub fn head(&self) -> Vec<u8> {
        self.head.clone().unwrap_or_else(|| usual_head(self.pages_id))
    }

    /// The message of an entry, as CRIU writes it.
    pub fn entry(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let is_high = (0x8000_0000..=SIGN).contains(&entry.vaddr);
        let vaddr = if self.is_extended && is_high { entry.vaddr | SIGN << 32 } else { entry.vaddr };
        let mut number = |key: u8, value: u64| {
            out.push(key);
            varint::write(out, value);
        };
        number(0x08, vaddr);
        match self.style {
            Style::Now => {
                number(0x10, 0);
                number(0x20, u64::from(entry.flags));
                number(0x28, entry.pages);
            }
            Style::Counted => {
                number(0x10, entry.pages);
                number(0x20, u64::from(entry.flags));
            }
            Style::Old => {
                number(0x10, entry.pages);
                if entry.flags & PARENT != 0 {
                    number(0x18, 1);
                }
            }
        }
        let Some((per_block, sizes)) = entry.blocks else { return };
        let mut packed = Vec::with_capacity(sizes.len().saturating_mul(2));
        sizes.iter().for_each(|size| varint::write(&mut packed, u64::from(*size)));
        let mut blocks = Vec::with_capacity(packed.len().saturating_add(16));
        write::bytes(&mut blocks, 1, &packed);
        let total = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(u64::from(*size)));
        for (key, value) in [(0x10, total), (0x18, u64::from(per_block))] {
            blocks.push(key);
            varint::write(&mut blocks, value);
        }
        write::bytes(out, 6, &blocks);
    }
}

/// The first message of a pagemap as CRIU writes it.
pub fn usual_head(pages_id: u64) -> Vec<u8> {
    let mut head = vec![0x08];
    varint::write(&mut head, pages_id);
    head
}

/// An entry of a pagemap, as far as runs say it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Address of its first page.
    pub vaddr: u64,
    /// How many pages.
    pub pages: u64,
    /// Its `PE_*` bits.
    pub flags: u32,
    /// Pages of a block and the sizes of all blocks, where it is in blocks.
    pub blocks: Option<(u32, &'a [u32])>,
}
