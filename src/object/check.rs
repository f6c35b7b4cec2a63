//! Checks a message on the wire against its schema, before anything is allocated for it: wire types, required
//! fields, depth, and how much memory its struct will take.

use crate::base::{Error, Limits};
use crate::object::schema::{Field, Label, Message, Type};
use crate::wire::field::{Field as WireField, Fields, Value};
use crate::wire::{WireError, varint};

/// What is wrong with a message, where in it, and in which field.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) error: Error,
    /// Bytes from the start of the outermost message.
    pub(crate) offset: usize,
}

impl Broken {
    #[cold]
    pub(crate) fn new(error: Error, offset: usize) -> Self {
        Self { error, offset }
    }

    #[cold]
    pub(crate) fn wire(error: WireError, base: usize) -> Self {
        Self::new(Error::format(error.to_string()), base.wrapping_add(error.offset))
    }

    /// Adds the name of the field around it.
    #[cold]
    pub(crate) fn inside(self, field: &Field) -> Self {
        self.around(field.name)
    }

    /// The same, by the field's name.
    #[cold]
    pub(crate) fn around(self, field: &'static str) -> Self {
        Self { error: self.error.inside_field(field), offset: self.offset }
    }
}

/// Whether a field may have a value of this wire type: its own, or packed where it repeats.
#[inline]
pub(crate) fn fits(field: &Field, value: &Value<'_>) -> bool {
    let found = value.wire_type();
    let own = field.ty.wire_type();
    found == own || (found == 2 && is_packable(field))
}

/// Whether a run of bytes may hold elements of this field.
#[inline]
pub(crate) fn is_packable(field: &Field) -> bool {
    matches!(field.label, Label::Repeated | Label::Packed) && field.ty.wire_type() != 2
}

#[cold]
pub(crate) fn wrong_wire_type(message: &Message, field: &Field, found: &WireField<'_>, base: usize) -> Broken {
    let error = Error::format(format!(
        "expected wire type {} of {}, found {}",
        field.ty.wire_type(),
        message.name,
        found.value.wire_type()
    ));
    Broken::new(error, base.wrapping_add(found.start)).inside(field)
}

#[cold]
pub(crate) fn missing(message: &Message, field: &Field, base: usize) -> Broken {
    let error = Error::format(format!("expected required field {} of {}, found none", field.number, message.name));
    Broken::new(error, base).inside(field)
}

#[cold]
pub(crate) fn too_deep(limits: &Limits, base: usize) -> Broken {
    let error = Error::limit(format!("messages are nested more than {} deep", limits.depth))
        .hint("Limits::depth, or --max-depth, raises it");
    Broken::new(error, base)
}

#[cold]
pub(crate) fn too_large(limits: &Limits, base: usize) -> Broken {
    let error = Error::limit(format!("decoding the entry takes more than {} bytes of memory", limits.memory))
        .hint("Limits::memory, or --max-memory, raises it");
    Broken::new(error, base)
}

/// Checks `bytes` as a `message`. Errors carry offsets from the start of `bytes`.
pub(crate) fn check(message: &'static Message, bytes: &[u8], limits: &Limits) -> Result<(), Broken> {
    let mut budget = limits.memory;
    Check { limits, budget: &mut budget }.message(message, bytes, 0, limits.depth)
}

struct Check<'a> {
    limits: &'a Limits,
    budget: &'a mut u64,
}

impl Check<'_> {
    fn message(&mut self, message: &'static Message, bytes: &[u8], base: usize, depth: u32) -> Result<(), Broken> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(too_deep(self.limits, base));
        };
        self.spend(message.size, base)?;
        let mut seen = 0u64;
        let mut hint = 0usize;
        for found in Fields::new(bytes) {
            let found = found.map_err(|error| Broken::wire(error, base))?;
            let Some(position) = message.position(found.number, hint) else { continue };
            let Some(field) = message.fields.get(position) else { continue };
            seen |= 1 << position;
            hint = match field.label {
                Label::Repeated => position,
                _ => position.wrapping_add(1),
            };
            if !fits(field, &found.value) {
                return Err(wrong_wire_type(message, field, &found, base));
            }
            if let Value::Bytes(value) = found.value {
                let start = base.wrapping_add(found.body);
                match field.ty {
                    Type::Message(inner) => {
                        self.message(inner, value, start, depth).map_err(|broken| broken.inside(field))?;
                    }
                    Type::Bytes | Type::String => self.element(field, 32, start)?,
                    _ => self.packed(field, value, start)?,
                }
            } else {
                self.element(field, 8, base)?;
            }
        }
        match message.missing(seen) {
            Some(field) => Err(missing(message, field, base)),
            None => Ok(()),
        }
    }

    fn packed(&mut self, field: &Field, value: &[u8], base: usize) -> Result<(), Broken> {
        let mut at = 0usize;
        while at < value.len() {
            at = match field.ty.wire_type() {
                1 | 5 => {
                    let width = if field.ty.wire_type() == 1 { 8usize } else { 4 };
                    let found = value.len().wrapping_sub(at);
                    if found < width {
                        let problem = crate::wire::Problem::ValueCut { needed: width as u64, found: found as u64 };
                        return Err(Broken::wire(WireError { offset: at, problem }, base).inside(field));
                    }
                    at.wrapping_add(width)
                }
                _ => varint::read(value, at).map_err(|error| Broken::wire(error, base).inside(field))?.1,
            };
            self.element(field, 8, base)?;
        }
        Ok(())
    }

    /// One more element of a vector; a field that does not repeat is part of its message's struct.
    fn element(&mut self, field: &Field, size: usize, base: usize) -> Result<(), Broken> {
        match field.label {
            Label::Repeated | Label::Packed => self.spend(size, base).map_err(|broken| broken.inside(field)),
            _ => Ok(()),
        }
    }

    fn spend(&mut self, size: usize, base: usize) -> Result<(), Broken> {
        // a growing vector may have twice the room it needs
        match self.budget.checked_sub((size as u64).saturating_mul(2)) {
            Some(rest) => {
                *self.budget = rest;
                Ok(())
            }
            None => Err(too_large(self.limits, base)),
        }
    }
}
