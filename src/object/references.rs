//! Numbers that lead from image to image: which field defines one, which refers to one. The schema says so (options in
//! `proto/v1`); here a message on the wire is walked for them, without decoding it.
//!
//! # How to add a class
//!
//! A variant of [`Class`], its name in [`Class::name`], and the options `defines`, `knows` and `refers` at its fields.
//! `tests/references.rs` holds the options against the table of all fields that are ids.

use std::fmt;

use crate::image::Entry;
use crate::object::check::is_packable;
use crate::object::schema::{Field, Message, Type};
use crate::wire::field::{Fields, Value, last_varint};
use crate::wire::varint;

/// What a number is the number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An open file. Files of different types may have the same number.
    File,
    /// What memfds of the same content share.
    MemfdInode,
    /// A terminal.
    Tty,
    /// A set of control groups.
    CgroupSet,
    /// A namespace, of any kind.
    Namespace,
    /// A process.
    Task,
    /// A thread.
    Thread,
    /// A BPF map.
    BpfMap,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::File,
        Self::MemfdInode,
        Self::Tty,
        Self::CgroupSet,
        Self::Namespace,
        Self::Task,
        Self::Thread,
        Self::BpfMap,
    ];

    /// Its name, as the options have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::MemfdInode => "memfd_inode",
            Self::Tty => "tty",
            Self::CgroupSet => "cgroup_set",
            Self::Namespace => "namespace",
            Self::Task => "task",
            Self::Thread => "thread",
            Self::BpfMap => "bpf_map",
        }
    }
}

/// What a field does with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What has the number is described here and nowhere else.
    Defines,
    /// Something has the number; others may say so too.
    Knows,
    /// What has the number is described elsewhere.
    Refers,
}

/// Which type the files have that the numbers of a field are those of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfType {
    /// Any; other classes than files have no types.
    Any,
    /// This one.
    Is(u32),
    /// What the field with this number of the same message says.
    Field(u32),
}

/// What the schema says of a field whose number leads somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is the number of.
    pub class: Class,
    /// Of files: of which type.
    pub of_type: OfType,
    /// What the field does with it.
    pub role: Role,
    /// The number that means that there is nothing.
    pub none: Option<u64>,
}

/// A number that was found in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it is the number of.
    pub class: Class,
    /// Of files: of which type; `None` if of any.
    pub of_type: Option<u32>,
    /// What the field does with it.
    pub role: Role,
    /// The number.
    pub number: u64,
}

/// Which field of a message, and of the messages around it.
#[derive(Clone, Copy, Debug)]
pub struct Path<'p> {
    outer: Option<&'p Path<'p>>,
    field: &'static Field,
}

impl<'p> Path<'p> {
    pub(crate) fn of(outer: Option<&'p Path<'p>>, field: &'static Field) -> Self {
        Self { outer, field }
    }
}

impl fmt::Display for Path<'_> {
    /// `reg.fown.pid`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            write!(f, "{outer}.")?;
        }
        f.write_str(self.field.name)
    }
}

impl Entry<'_> {
    /// Hands out every number in the message that leads to another image, or that others lead to. What is broken ends
    /// it: [`check`](Self::check) says what.
    pub fn references(&self, visit: &mut dyn FnMut(Reference, &Path<'_>)) {
        if let Ok(schema) = self.schema() {
            walk(schema, self.message(), self.image().limits().depth, None, visit);
        }
    }
}

fn walk(
    message: &'static Message,
    bytes: &[u8],
    depth: u32,
    outer: Option<&Path<'_>>,
    visit: &mut dyn FnMut(Reference, &Path<'_>),
) {
    let Some(depth) = depth.checked_sub(1).filter(|_| message.has_links) else { return };
    let mut hint = 0usize;
    // found once: a message may repeat its number as often as somebody likes
    let mut said = None;
    for found in Fields::new(bytes) {
        let Ok(found) = found else { return };
        let Some(position) = message.position(found.number, hint) else { continue };
        let Some(field) = message.fields.get(position) else { continue };
        hint = position;
        let path = Path { outer, field };
        let mut tell = |link: &Link, value: u64| {
            let number = number(field, value);
            if link.none == Some(number) {
                return;
            }
            let of_type = match link.of_type {
                OfType::Any => None,
                OfType::Is(known) => Some(known),
                OfType::Field(of) => Some(*said.get_or_insert_with(|| {
                    let found = last_varint(bytes, of).ok().flatten().unwrap_or(0);
                    u32::try_from(found & LOW).unwrap_or(0)
                })),
            };
            visit(Reference { class: link.class, of_type, role: link.role, number }, &path);
        };
        match (field.ty, found.value, &field.link) {
            (Type::Message(inner), Value::Bytes(value), _) => walk(inner, value, depth, Some(&path), visit),
            (_, Value::Varint(value), Some(link)) => tell(link, value),
            (_, Value::Bytes(values), Some(link)) if is_packable(field) => {
                let mut at = 0usize;
                while let Ok((value, next)) = varint::read(values, at) {
                    tell(link, value);
                    at = next;
                }
            }
            _ => {}
        }
    }
}

const LOW: u64 = 0xffff_ffff;

fn number(field: &Field, value: u64) -> u64 {
    match field.ty {
        Type::Uint64 | Type::Int64 => value,
        Type::Sint32 | Type::Sint64 => varint::unzigzag(value).cast_unsigned(),
        // protobuf drops what does not fit
        _ => value & LOW,
    }
}

impl Message {
    /// Calls `visit` for each field that is a number which leads somewhere, in this message and those in it.
    pub fn links(&'static self, visit: &mut dyn FnMut(&Link)) {
        let mut seen: Vec<&'static Message> = vec![self];
        let mut at = 0usize;
        while let Some(message) = seen.get(at).copied() {
            at = at.wrapping_add(1);
            for field in message.fields {
                match field.ty {
                    Type::Message(inner) if !seen.iter().any(|known| std::ptr::eq(*known, inner)) => seen.push(inner),
                    Type::Message(_) => {}
                    _ => field.link.iter().for_each(&mut *visit),
                }
            }
        }
    }
}
