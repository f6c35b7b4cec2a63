//! Messages whose fields do not ascend, which CRIU never writes: put in order, and merged as protobuf merges.

use std::borrow::Cow;

use crate::object::check::{Broken, fits, missing, too_large, wrong_wire_type};
use crate::object::json::message::{End, Place, Unknown, Writer};
use crate::object::schema::{Field, Label, Message, Type};
use crate::wire::field::{Fields, Value, write_key};
use crate::wire::varint;

impl Writer<'_, '_> {
    /// The rare case: the fields are put in order first, and what protobuf merges is merged.
    pub(super) fn sorted(
        &mut self,
        message: &'static Message,
        bytes: &[u8],
        any: &mut bool,
        place: Place,
    ) -> Result<Unknown, Broken> {
        let mut fields: Vec<(u32, usize, usize)> = Vec::new();
        for found in Fields::new(bytes) {
            let found = found.map_err(|error| Broken::wire(error, place.base))?;
            // of a field that stands twice the first is not written, and is wrong all the same
            let field = message.position(found.number, 0).and_then(|position| message.fields.get(position));
            if let Some(field) = field.filter(|field| !fits(field, &found.value)) {
                return Err(wrong_wire_type(message, field, &found, place.base));
            }
            self.spend(size_of::<(u32, usize, usize)>() as u64, place)?;
            fields.push((found.number, found.start, found.end));
        }
        self.spend((bytes.len() as u64).saturating_mul(2), place)?;
        fields.sort_by_key(|&(number, ..)| number);
        let mut ordered = Vec::with_capacity(bytes.len());
        let mut unknown = Unknown::new();
        let mut rest = fields.as_slice();
        while let Some(&(number, first_start, first_end)) = rest.first() {
            let count = rest.iter().take_while(|field| field.0 == number).count();
            let (same, behind) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            rest = behind;
            let wire = |&(_, start, end): &(u32, usize, usize)| bytes.get(start..end).unwrap_or_default();
            match message.position(number, 0).and_then(|position| message.fields.get(position)) {
                None => unknown.extend(same.iter().map(|&(_, start, end)| (start, end))),
                Some(field) if matches!(field.label, Label::Repeated | Label::Packed) => {
                    same.iter().for_each(|field| ordered.extend_from_slice(wire(field)));
                }
                Some(field) => match field.ty {
                    Type::Message(_) if same.len() > 1 => {
                        let place = Place { base: place.base.saturating_add(first_start), ..place };
                        merge(&mut ordered, number, same.iter().map(wire), field, message, place.base)?;
                    }
                    // of a field that stands once the last counts
                    _ => ordered.extend_from_slice(same.last().map_or(&[], wire)),
                },
            }
            debug_assert!(first_start <= first_end);
        }
        let pass = match self.pass(message, &ordered, place) {
            Ok(pass) => pass,
            // the place in what was put in order says nothing; the message's own does
            Err(End::Broken(broken)) => return Err(Broken { offset: place.base, ..broken }),
            Err(End::Unordered) => return Err(too_large(self.limits, place.base)),
        };
        *any = pass.any;
        if let Some(field) = message.missing(pass.seen) {
            let broken = missing(message, field, place.base);
            self.warn(broken)?;
        }
        Ok(unknown)
    }

    /// Counts memory against the limit before it is taken.
    pub(super) fn spend(&mut self, bytes: u64, place: Place) -> Result<(), Broken> {
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| too_large(self.limits, place.base))?;
        Ok(())
    }
}

/// Several occurrences of a message that stands once: their fields one after the other are the merged message.
fn merge<'b>(
    ordered: &mut Vec<u8>,
    number: u32,
    occurrences: impl Iterator<Item = &'b [u8]>,
    field: &'static Field,
    message: &'static Message,
    base: usize,
) -> Result<(), Broken> {
    let mut merged = Vec::new();
    for wire in occurrences {
        for found in Fields::new(wire) {
            let found = found.map_err(|error| Broken::wire(error, base))?;
            match found.value {
                Value::Bytes(bytes) => {
                    // one that goes on behind its end must not find the rest in the next
                    for part in Fields::new(bytes) {
                        part.map_err(|error| Broken::wire(error, base).inside(field))?;
                    }
                    merged.extend_from_slice(bytes);
                }
                _ => return Err(wrong_wire_type(message, field, &found, base)),
            }
        }
    }
    write_key(ordered, number, 2);
    varint::write(ordered, merged.len() as u64);
    ordered.append(&mut merged);
    Ok(())
}

/// Whether the known fields ascend and none that stands once stands twice.
pub(super) fn is_ordered(message: &'static Message, bytes: &[u8]) -> bool {
    let mut next = 0usize;
    for found in Fields::new(bytes) {
        // what is broken is found again, and reported, by the pass that writes
        let Ok(found) = found else { return true };
        let Some(position) = message.position(found.number, next) else { continue };
        let again = position.saturating_add(1) == next;
        let repeats =
            message.fields.get(position).is_some_and(|field| matches!(field.label, Label::Repeated | Label::Packed));
        if position < next && !(again && repeats) {
            return false;
        }
        next = position.saturating_add(1);
    }
    true
}

/// The fields in `wire` in the order of their numbers; those of one number stay in theirs.
pub(super) fn ascending(wire: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let fields = || Fields::new(&wire).flatten();
    if fields().map(|field| field.number).is_sorted() {
        return wire;
    }
    let mut fields: Vec<_> = fields().map(|field| (field.number, field.start, field.end)).collect();
    fields.sort_by_key(|&(number, ..)| number);
    let field = |(_, start, end): (u32, usize, usize)| wire.get(start..end).unwrap_or_default();
    Cow::Owned(fields.into_iter().flat_map(field).copied().collect())
}
