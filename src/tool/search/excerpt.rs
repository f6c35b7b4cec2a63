//! Bytes of a process to be shown, and where they are.

use serde::Serialize;

use super::filter::{kind, label};
use crate::base::name::escape;
use crate::base::{Address, Name};
use crate::checkpoint::AddressSpace;
use crate::checkpoint::mm::Backing;
use crate::memory::Page;

/// The mapping that an address is in.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// Its kind; `None` where nothing is mapped, or the dump does not say.
    pub backing: Option<&'static str>,
    /// Path or name of what is mapped.
    pub name: Option<Name>,
    /// Where it begins.
    pub mapping: Option<Address>,
    #[serde(skip)]
    pub(super) label: String,
    #[serde(skip)]
    pub(super) end: u64,
}

impl Place {
    pub(super) fn of(space: &AddressSpace, address: u64) -> Self {
        let Some(mapping) = space.mapping_at(address) else {
            let end = address.saturating_add(1);
            return Self { backing: None, name: None, mapping: None, label: "[unknown]".to_owned(), end };
        };
        let name = match &mapping.backing {
            Backing::File(name) | Backing::Memfd(name) => name.clone(),
            _ => None,
        };
        Self {
            backing: Some(kind(&mapping.backing)),
            name,
            mapping: Some(mapping.start),
            label: label(mapping),
            end: mapping.end.0,
        }
    }

    /// Whether an address is in the same mapping, or like this one in none.
    pub(super) fn is_of(&self, space: &AddressSpace, address: u64) -> bool {
        match self.mapping {
            Some(start) => (start.0..self.end).contains(&address),
            None => space.mapping_at(address).is_none(),
        }
    }

    /// Bytes from where the mapping begins.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        self.mapping.map(|start| address.saturating_sub(start.0))
    }

    /// For people: what is mapped, and how far in.
    pub(super) fn shown(&self, address: u64) -> String {
        match self.offset(address) {
            Some(offset) => format!("{}+{offset:#x}", self.label),
            None => self.label.clone(),
        }
    }
}

/// Bytes of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// As text, escaped as names are: `\x00` for what cannot be printed.
    pub text: String,
    /// In base 16.
    pub hex: String,
}

impl Excerpt {
    /// These bytes.
    pub fn new(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| DIGITS.get(usize::from(value)).map_or('?', |digit| char::from(*digit));
        let mut text = String::with_capacity(bytes.len());
        // writing to a string cannot fail
        let _ = escape(bytes, &mut text);
        Self { text, hex: bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect() }
    }
}

/// Reads what is in the dump of `from..to`. Where something is missing, the bytes behind it, up to `to`, if
/// `is_before`; else those before it.
pub(super) fn read(space: &AddressSpace, from: u64, to: u64, is_before: bool, into: &mut Vec<u8>) {
    into.clear();
    let mut at = from;
    while at < to {
        let start = at & !space.page_size().wrapping_sub(1);
        let end = start.saturating_add(space.page_size()).min(to);
        let [skip, stop] = [at, end].map(|address| usize::try_from(address.wrapping_sub(start)).unwrap_or(usize::MAX));
        match space.page(at) {
            Ok(Page::Stored(page)) => into.extend_from_slice(page.get(skip..stop).unwrap_or_default()),
            Ok(Page::Zero) => into.resize(into.len().saturating_add(stop.saturating_sub(skip)), 0),
            _ if is_before => into.clear(),
            _ => return,
        }
        at = end;
    }
}
