//! How often each field of version 1 stands in the entries of a dump, what it takes, and what version 2 takes for it.

use crate::object::schema::{Field, Label, MESSAGES, Message, Type};
use crate::object::upgrade::places::Places;
use crate::object::visit::{Found, visit};
use crate::wire::field::Value;
use crate::wire::varint;

/// One field, in all entries that were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// How often it stands there; of packed ones each element.
    pub count: u64,
    /// Bytes it takes, keys included.
    pub bytes: u64,
    /// Bytes of its keys, and of the lengths behind them.
    pub keys: u64,
    /// How often it is 0, or empty.
    pub zeros: u64,
    /// The sum of its numbers, as far as 64 bits go.
    pub sum: u64,
    /// How often a number does not fit 31 bits; a negative one is none.
    pub high: u64,
    /// How often it does not fit 32 bits; a negative one is none.
    pub over: u64,
    /// Bytes that version 2 takes for it, keys included, where the tables of version 2 say.
    pub v2: u64,
}

impl Stat {
    pub(crate) fn add(&mut self, other: &Self) {
        let own = [
            &mut self.count,
            &mut self.bytes,
            &mut self.keys,
            &mut self.zeros,
            &mut self.sum,
            &mut self.high,
            &mut self.over,
            &mut self.v2,
        ];
        let others = [other.count, other.bytes, other.keys, other.zeros, other.sum, other.high, other.over, other.v2];
        for (own, other) in own.into_iter().zip(others) {
            *own = own.saturating_add(other);
        }
    }

    fn number(&mut self, number: u64) {
        self.count = self.count.saturating_add(1);
        self.zeros = self.zeros.saturating_add(u64::from(number == 0));
        self.sum = self.sum.saturating_add(number);
        let is_negative = number >> 63 != 0;
        self.high = self.high.saturating_add(u64::from(!is_negative && number >> 31 != 0));
        self.over = self.over.saturating_add(u64::from(!is_negative && number >> 32 != 0));
    }

    /// Bytes of its values alone.
    pub fn values(&self) -> u64 {
        self.bytes.saturating_sub(self.keys)
    }
}

/// All fields of all messages.
#[derive(Clone, Debug)]
pub struct Tally(Vec<Vec<Stat>>);

impl Default for Tally {
    fn default() -> Self {
        Self(MESSAGES.iter().map(|message| vec![Stat::default(); message.fields.len()]).collect())
    }
}

impl Tally {
    /// Counts the fields of a message, and of those in it.
    pub fn message(&mut self, places: &Places, message: &'static Message, bytes: &[u8], depth: u32) {
        visit(message, bytes, depth, &mut |found| self.field(places, found));
    }

    fn field(&mut self, places: &Places, found: &Found<'_, '_>) {
        let (Some(position), Some(field)) = (found.position, found.field()) else { return };
        let stats = self.0.get_mut(found.message.index);
        let Some(stat) = stats.and_then(|stats| stats.get_mut(position)) else { return };
        stat.bytes = stat.bytes.saturating_add(found.bytes as u64);
        stat.keys = stat.keys.saturating_add(found.key as u64);
        stat.v2 = stat.v2.saturating_add(places.bytes(found.message, position, &found.value, found.bytes));
        match found.value {
            Value::Varint(number) => stat.number(number),
            Value::Fixed64(number) => stat.number(number),
            Value::Fixed32(number) => stat.number(u64::from(number)),
            Value::Bytes(bytes) if field.label == Label::Packed && field.ty.wire_type() == 0 => {
                let mut at = 0;
                while let Ok((number, next)) = varint::read(bytes, at) {
                    stat.number(number);
                    at = next;
                }
            }
            Value::Bytes(bytes) => {
                stat.count = stat.count.saturating_add(1);
                stat.zeros = stat.zeros.saturating_add(u64::from(bytes.is_empty()));
            }
        }
    }

    /// Adds what another one counted.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            for (own, other) in own.iter_mut().zip(other) {
                own.add(other);
            }
        }
        self
    }

    /// A field, by the names of its message and itself; nothing where there is no such field.
    pub fn of(&self, message: &str, field: &str) -> Stat {
        let find = || {
            let message = Message::by_name(message)?;
            let position = message.fields.iter().position(|known| known.name == field)?;
            self.0.get(message.index)?.get(position).copied()
        };
        find().unwrap_or_default()
    }

    /// All fields that were met.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Message, &'static Field, &Stat)> {
        let messages = MESSAGES.iter().zip(&self.0);
        let all = messages.flat_map(|(message, stats)| {
            message.fields.iter().zip(stats).map(move |(field, stat)| (*message, field, stat))
        });
        all.filter(|(_, _, stat)| stat.bytes > 0)
    }
}

/// Bytes that a number of this type takes where all numbers are as wide as their type; `None` of what is no number.
pub fn width(ty: Type) -> Option<u64> {
    match ty {
        Type::Int32 | Type::Uint32 | Type::Sint32 | Type::Fixed32 | Type::Bool | Type::Enum(_) => Some(4),
        Type::Int64 | Type::Uint64 | Type::Sint64 | Type::Fixed64 => Some(8),
        Type::String | Type::Bytes | Type::Message(_) => None,
    }
}
