//! The V1 messages as static tables, made by `build.rs` from `proto/v1`: what JSON and the checks are driven by.

use crate::object::flags::{self, Names};
use crate::object::references::{Class, Link, OfType, Role};

/// A message: its fields in the order of their numbers.
#[derive(Debug)]
pub struct Message {
    /// Its name, such as `pstree_entry`.
    pub name: &'static str,
    /// Its place in [`MESSAGES`].
    pub index: usize,
    /// Bytes its struct takes, without what the struct points to.
    pub size: usize,
    /// Bit k is set if `fields[k]` is required.
    pub required: u64,
    /// Whether numbers in it, or in the messages in it, lead to other images.
    pub has_links: bool,
    /// Its fields, at most 64, in ascending order of their numbers.
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Its number on the wire.
    pub number: u32,
    /// Its name, which is its key in JSON.
    pub name: &'static str,
    /// Its key as JSON has it behind another: a comma, the name in quotes, a colon, spaces between them.
    pub next_key: &'static [u8],
    /// [`next_key`](Self::next_key) with spaces behind it, where `tag` is not 0: an array is copied without a call.
    pub short_key: [u8; 32],
    /// Its key on the wire, if that is one byte, the value a number that stands once, and the name short; else 0,
    /// which is no key.
    pub tag: u8,
    /// How often it occurs.
    pub label: Label,
    /// What it holds.
    pub ty: Type,
    /// How it is presented to people.
    pub show: Show,
    /// Where its number leads, if it is one that leads somewhere.
    pub link: Option<Link>,
}

impl Field {
    /// Its key as JSON has it: in quotes, with the colon and the space behind it.
    #[inline]
    pub fn key(&self) -> &'static [u8] {
        self.next_key.get(2..).unwrap_or_default()
    }
}

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Once.
    Required,
    /// Once or not at all; present and zero is not the same as absent.
    Optional,
    /// Any number of times, a key before each element.
    Repeated,
    /// Any number of times, all in one run of bytes.
    Packed,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// Varint, sign-extended.
    Int32,
    /// Varint, sign-extended.
    Int64,
    /// Varint.
    Uint32,
    /// Varint.
    Uint64,
    /// Varint, zigzag.
    Sint32,
    /// Varint, zigzag.
    Sint64,
    /// Four bytes.
    Fixed32,
    /// Eight bytes.
    Fixed64,
    /// Varint.
    Bool,
    /// Bytes that should be UTF-8.
    String,
    /// Bytes.
    Bytes,
    /// Varint with names.
    Enum(&'static Enum),
    /// Another message.
    Message(&'static Message),
}

impl Type {
    /// The wire type of one element.
    #[inline]
    pub fn wire_type(self) -> u8 {
        match self {
            Type::Fixed32 => 5,
            Type::Fixed64 => 1,
            Type::String | Type::Bytes | Type::Message(_) => 2,
            _ => 0,
        }
    }
}

/// How a field is presented in the pretty form of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// As it is.
    Plain,
    /// Hexadecimal; of a message: everything in it.
    Hex,
    /// `major:minor`, the kernel's encoding.
    Device,
    /// `major:minor`, the C library's encoding.
    OldDevice,
    /// Names of bits.
    Flags(Names),
    /// Name of a value.
    Dict(Names),
    /// An IPv4 or IPv6 address.
    Address,
    /// Quoted-printable, the name of a unix socket. Not only in the pretty form.
    UnixName,
}

/// An enum: the names of its values.
#[derive(Debug)]
pub struct Enum {
    /// Its name; that of a nested one has its message's in front: `core_entry.march`.
    pub name: &'static str,
    /// Its values, as declared.
    pub values: &'static [(i32, &'static str)],
}

impl Enum {
    /// Name of a value.
    pub fn name_of(&self, number: i32) -> Option<&'static str> {
        self.values.iter().find(|(value, _)| *value == number).map(|(_, name)| *name)
    }

    /// Value of a name.
    pub fn number_of(&self, name: &[u8]) -> Option<i32> {
        self.values.iter().find(|(_, known)| known.as_bytes() == name).map(|(value, _)| *value)
    }
}

impl Message {
    /// The message with this name.
    pub fn by_name(name: &str) -> Option<&'static Message> {
        let position = MESSAGES.binary_search_by(|message| message.name.cmp(name)).ok()?;
        MESSAGES.get(position).copied()
    }

    /// Position of the field with this number. `hint` is where it is looked for first: fields ascend on the wire.
    #[inline]
    pub fn position(&self, number: u32, hint: usize) -> Option<usize> {
        if self.fields.get(hint).is_some_and(|field| field.number == number) {
            return Some(hint);
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }

    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The first required field that `seen` (bit k for `fields[k]`) lacks.
    pub fn missing(&self, seen: u64) -> Option<&'static Field> {
        let missing = self.required & !seen;
        (missing != 0).then(|| self.fields.get(missing.trailing_zeros() as usize)).flatten()
    }
}

/// A struct of [`v1`](crate::object::v1) and the message it is made from.
pub trait Typed {
    /// Its message.
    fn schema() -> &'static Message;
}

include!(concat!(env!("OUT_DIR"), "/v1_schema.rs"));

/// The descriptors of `proto/v1`, an encoded `google.protobuf.FileDescriptorSet` with all it imports.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/v1.fds"));
