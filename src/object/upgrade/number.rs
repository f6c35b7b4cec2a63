//! One number of V1 as V2 has it, and back: widths, signs, zigzag, ids.

use crate::object::upgrade::schema::{ClassBy, Field, From, Test, To};
use crate::wire::field::Value;
use crate::wire::varint;

/// Ids are V1's number, and below it this many bits of class.
const CLASS_BITS: u32 = 6;

/// Why a V2 value cannot be V1's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Not a value of the V2 type.
    NotOfItsType,
    /// An id of this class.
    Class(u64),
    /// V1's type has no room for this value.
    TooLarge(u64),
}

fn is_int32(number: u64) -> bool {
    i32::try_from(number.cast_signed()).is_ok()
}

fn is_uint32(number: u64) -> bool {
    u32::try_from(number).is_ok()
}

fn is_signed(from: From) -> bool {
    matches!(from, From::Int32 | From::Int64 | From::Sint32 | From::Sint64)
}

/// What V2 has on the wire for a value of V1; `None` if V2's field cannot say it, or V1 does not write it so.
pub(crate) fn up(field: &Field, value: &Value<'_>) -> Option<u64> {
    let number = match (field.from, value) {
        (From::Uint32, Value::Varint(raw)) if is_uint32(*raw) => *raw,
        (From::Int32, Value::Varint(raw)) if is_int32(*raw) => *raw,
        (From::Uint64 | From::Int64, Value::Varint(raw)) => *raw,
        (From::Sint32, Value::Varint(raw)) if is_uint32(*raw) => varint::unzigzag(*raw).cast_unsigned(),
        (From::Sint64, Value::Varint(raw)) => varint::unzigzag(*raw).cast_unsigned(),
        (From::Bool, Value::Varint(raw)) if *raw <= 1 => *raw,
        (From::Fixed32, Value::Fixed32(raw)) => u64::from(*raw),
        (From::Fixed64, Value::Fixed64(raw)) => *raw,
        _ => return None,
    };
    let number = if field.class == 0 { number } else { with_class(number, field.class)? };
    match field.to {
        To::Uint | To::Fixed64 => Some(number),
        To::Sint => Some(varint::zigzag(number.cast_signed())),
        To::Bool => (number <= 1).then_some(number),
        To::Enum => is_int32(number).then_some(number),
        To::Fixed32 if is_signed(field.from) => is_int32(number).then_some(number & u64::from(u32::MAX)),
        To::Fixed32 => is_uint32(number).then_some(number),
        To::Bytes => (number.checked_shr(u32::from(field.width).saturating_mul(8)).unwrap_or(0) == 0).then_some(number),
        To::Message => None,
    }
}

/// An id; `None` if the number leaves no room for the class.
pub(crate) fn with_class(number: u64, class: u8) -> Option<u64> {
    (number.leading_zeros() >= CLASS_BITS).then_some(number << CLASS_BITS | u64::from(class))
}

/// The class of an id whose class another field decides.
pub(crate) fn class_by(by: &ClassBy, value: Option<u64>) -> u8 {
    let fits = |test: &Test| match (*test, value) {
        (Test::Bits(bits), Some(value)) => value & bits != 0,
        (Test::Is(is), Some(value)) => value == is,
        (_, None) => false,
    };
    by.cases.iter().find(|(test, _)| fits(test)).map_or(0, |(_, class)| *class)
}

fn may_be_of(field: &Field, class: u64) -> bool {
    match field.class_by {
        Some(by) => class == 0 || by.cases.iter().any(|(_, of)| u64::from(*of) == class),
        None => u64::from(field.class) == class,
    }
}

/// What V1 has on the wire for a value of V2.
pub(crate) fn down(field: &Field, raw: u64) -> Result<u64, Misfit> {
    let number = match field.to {
        To::Uint | To::Fixed64 | To::Bytes => raw,
        To::Sint => varint::unzigzag(raw).cast_unsigned(),
        To::Bool if raw <= 1 => raw,
        To::Enum if is_int32(raw) => raw,
        To::Fixed32 => match u32::try_from(raw) {
            Ok(raw) if is_signed(field.from) => i64::from(raw.cast_signed()).cast_unsigned(),
            Ok(raw) => u64::from(raw),
            Err(_) => return Err(Misfit::NotOfItsType),
        },
        To::Bool | To::Enum | To::Message => return Err(Misfit::NotOfItsType),
    };
    let is_id = field.class != 0 || field.class_by.is_some();
    let number = match number & 63 {
        _ if !is_id => number,
        class if may_be_of(field, class) => number >> CLASS_BITS,
        class => return Err(Misfit::Class(class)),
    };
    let fits = match field.from {
        From::Uint32 | From::Fixed32 => is_uint32(number),
        From::Int32 | From::Sint32 => is_int32(number),
        From::Bool => number <= 1,
        From::Int64 | From::Sint64 => !is_id || number.cast_signed() >= 0,
        From::Uint64 | From::Fixed64 => true,
        From::Always | From::Bytes | From::Message => false,
    };
    if !fits {
        return Err(Misfit::TooLarge(number));
    }
    Ok(match field.from {
        From::Sint32 | From::Sint64 => varint::zigzag(number.cast_signed()),
        _ => number,
    })
}
