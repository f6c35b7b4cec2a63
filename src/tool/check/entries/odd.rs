//! What is odd about entries that are sound, told once for each image and field.

use std::collections::BTreeMap;

use crate::base::Result;
use crate::image::{Entry, Image};
use crate::object::oddities::Oddity;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;

/// So many different ones of one image are kept apart.
const KEPT: usize = 200;

/// Which field, and what is odd about it, values apart: a thousand unknown values of one field are one finding.
type Key = (u8, String);

/// What was found odd.
#[derive(Default)]
pub(super) struct Odd(BTreeMap<Key, Found>);

struct Found {
    oddity: Oddity,
    message: &'static str,
    /// The first entry.
    entry: usize,
    times: u64,
}

fn order(oddity: Oddity) -> u8 {
    match oddity {
        Oddity::UnknownField(_) => 0,
        Oddity::UnknownValue(_) => 1,
        Oddity::TooLong(_) => 2,
        Oddity::Again => 3,
    }
}

impl Odd {
    pub(super) fn look(&mut self, entry: &Entry<'_>) {
        entry.oddities(&mut |oddity, message, path| {
            let mut field = path.map(ToString::to_string).unwrap_or_default();
            if let Oddity::UnknownField(number) = oddity {
                let dot = if field.is_empty() { "" } else { "." };
                field.push_str(&format!("{dot}{number}"));
            }
            let found = Found { oddity, message: message.name, entry: entry.index(), times: 1 };
            self.put((order(oddity), field), found);
        });
    }

    fn put(&mut self, key: Key, found: Found) {
        if let Some(known) = self.0.get_mut(&key) {
            known.times = known.times.saturating_add(found.times);
        } else if self.0.len() < KEPT {
            self.0.insert(key, found);
        }
    }

    /// Adds what was found in the entries behind.
    pub(super) fn add(&mut self, behind: Self) {
        for (key, found) in behind.0 {
            self.put(key, found);
        }
    }

    pub(super) fn tell(self, image: &Image, findings: &mut Findings<'_>) -> Result<()> {
        for ((_, field), found) in self.0 {
            let finding = found.finding().in_image(image.name()).in_field(field);
            findings.add(finding.at_entry(u64::try_from(found.entry).unwrap_or(u64::MAX)))?;
        }
        Ok(())
    }
}

impl Found {
    fn finding(&self) -> Finding {
        let times = match self.times {
            1 => String::new(),
            times => format!(", and {} more", times.saturating_sub(1)),
        };
        let message = self.message;
        match self.oddity {
            Oddity::UnknownField(number) => {
                Finding::note("field-unknown", format!("expected a field of {message}, found field {number}{times}"))
                    .advice("a newer CRIU wrote it; an older one passes it over")
            }
            Oddity::UnknownValue(value) => {
                Finding::warning("value-unknown", format!("expected a value that has a name, found {value}{times}"))
                    .advice("a newer CRIU wrote it, or the image is damaged; CRIU 4.3 does not know it either")
            }
            Oddity::TooLong(value) => {
                let what =
                    format!("expected a number of 32 bits, found {value:#x}{times}: what does not fit is dropped");
                Finding::warning("number-cut", what).advice("CRIU does not write such numbers: who edited the image?")
            }
            Oddity::Again => {
                let what =
                    format!("expected the field once in a {message}, found it again{times}: the last one counts");
                Finding::warning("field-again", what).advice("CRIU does not write that: who edited the image?")
            }
        }
    }
}
