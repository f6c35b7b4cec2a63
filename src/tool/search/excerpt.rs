//! Bytes of a process to be shown, and where they are.

use std::sync::Arc;

use serde::Serialize;

use crate::base::name::escape;
use crate::base::{Address, Name};
use crate::checkpoint::AddressSpace;
use crate::checkpoint::mm::Backing;
use crate::memory::{Content, Page, Run};

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
    pub(super) label: Arc<str>,
    #[serde(skip)]
    pub(super) end: u64,
}

impl Place {
    pub(super) fn of(space: &AddressSpace, address: u64) -> Self {
        let Some(mapping) = space.mapping_at(address) else {
            let end = address.saturating_add(1);
            return Self { backing: None, name: None, mapping: None, label: "[unknown]".into(), end };
        };
        let name = match &mapping.backing {
            Backing::File(name) | Backing::Memfd(name) => name.clone(),
            _ => None,
        };
        Self {
            backing: Some(mapping.backing.kind()),
            name,
            mapping: Some(mapping.start),
            label: mapping.what().into(),
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
            None => self.label.to_string(),
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

/// Reads the bytes of a process, here and there; the run that was read last is kept.
pub(super) struct Reader<'a> {
    space: &'a AddressSpace,
    run: Option<Run<'a>>,
    bytes: Vec<u8>,
}

/// A run is looked at so far ahead: the bytes that are asked for next are often behind those asked for now.
const AHEAD: u64 = 1 << 20;

impl<'a> Reader<'a> {
    pub(super) fn new(space: &'a AddressSpace) -> Self {
        Self { space, run: None, bytes: Vec::new() }
    }

    /// What is in the dump of `from..to`. Where something is missing, the bytes behind it, up to `to`, if `is_before`;
    /// else those before it.
    pub(super) fn read(&mut self, from: u64, to: u64, is_before: bool) -> &[u8] {
        self.bytes.clear();
        let mut at = from;
        while at < to {
            match self.some(at, to) {
                Some(end) => at = end,
                None if is_before => {
                    self.bytes.clear();
                    at = self.page_end(at);
                }
                None => break,
            }
        }
        &self.bytes
    }

    fn page_end(&self, at: u64) -> u64 {
        (at & !self.space.page_size().wrapping_sub(1)).saturating_add(self.space.page_size())
    }

    /// Adds the bytes from `at` on, as many as one run or page has; where they end.
    fn some(&mut self, at: u64, to: u64) -> Option<u64> {
        if !self.run.as_ref().is_some_and(|run| (run.start..run.end).contains(&at)) {
            let run = self.space.runs(at..at.saturating_add(AHEAD)).next();
            self.run = Some(run.filter(|run| run.start <= at)?);
        }
        let run = self.run.as_ref()?;
        let part = |start: u64, end: u64| {
            let offset = |address: u64| usize::try_from(address.saturating_sub(start)).unwrap_or(usize::MAX);
            offset(at)..offset(end)
        };
        let end = run.end.min(to);
        match &run.content {
            Content::Zero => self.bytes.resize(self.bytes.len().saturating_add(part(at, end).len()), 0),
            Content::Stored(stored) => match stored.map() {
                Some(bytes) => self.bytes.extend_from_slice(bytes.get(part(run.start, end))?),
                // a few unpacked blocks are kept there
                None => {
                    let end = self.page_end(at).min(to);
                    let start = at & !self.space.page_size().wrapping_sub(1);
                    let Ok(Page::Stored(page)) = self.space.page(at) else { return None };
                    self.bytes.extend_from_slice(page.get(part(start, end))?);
                    return Some(end);
                }
            },
            _ => return None,
        }
        Some(end)
    }
}
