//! The V2 messages as static tables, made by `build/v2` from the options in `proto/v2`: where each field comes from.

use std::ops::Range;

/// Field of every V2 message that holds what V1 had beyond it, as a V1 message.
pub const REST: u32 = 15;
/// Field of every V2 message that holds the V1 message as it was, where it would not come back so.
pub const RAW: u32 = 16;
/// Code fills the V1 fields with numbers from here: for a path `#1` this and 1 more. V1 itself has none so high.
pub const FILLED_BY_CODE: u32 = 536_870_656;

/// A V2 message and the V1 message it is made from.
#[derive(Debug)]
pub struct Message {
    /// Its name in version 2, such as `Vma`.
    pub name: &'static str,
    /// The V1 message's name, such as `vma_entry`.
    pub v1: &'static str,
    /// Whether there are fields that always have the same value, or ids whose class another field decides.
    pub(crate) is_special: bool,
    /// Whether another table is to be used, and which.
    pub(crate) choice: Option<&'static Choice>,
    /// The V1 message, then those inside it that have no message of their own in version 2.
    pub(crate) nodes: &'static [Node],
    /// In ascending order of their V2 numbers.
    pub(crate) fields: &'static [Field],
}

/// A field whose value says which table is the right one.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Its number in V1; 0 if the caller knows (inotify or fanotify).
    pub(crate) v1: u32,
    /// Its number in V2.
    pub(crate) v2: u32,
    pub(crate) tables: &'static [(u64, &'static Message)],
}

/// A V1 message whose fields stand in the V2 message.
#[derive(Debug)]
pub(crate) struct Node {
    /// Ranks of the fields in it.
    pub(crate) ranks: Range<u16>,
    /// In ascending order of their numbers.
    pub(crate) rows: &'static [Row],
}

/// A V1 field that the table knows.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) number: u32,
    pub(crate) place: Place,
}

/// What becomes of a V1 field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// A V2 field, by its position.
    Field(u16),
    /// The fields in it are fields here: the node.
    Node(u16),
    /// It always has this value on the wire, a varint.
    Constant(u64),
}

/// A V2 field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    /// Its number in V1.
    pub(crate) v1: u32,
    /// Its position in the order in which V1 has them.
    pub(crate) rank: u16,
    pub(crate) from: From,
    pub(crate) to: To,
    pub(crate) is_repeated: bool,
    /// Class of the id in it; 0 if it is none.
    pub(crate) class: u8,
    /// Which class the id in it has, where it may be of several.
    pub(crate) class_by: Option<&'static ClassBy>,
    /// Bytes each of V1's integers takes in V2's bytes; 0 if V2 has no bytes for integers.
    pub(crate) width: u8,
    /// V1's value if V2 does not have the field.
    pub(crate) constant: Option<u64>,
    /// For [`From::Always`].
    pub(crate) always: u64,
    pub(crate) message: Option<&'static Message>,
}

/// The class of an id by the value of another field.
#[derive(Debug)]
pub(crate) struct ClassBy {
    /// The other field's position.
    pub(crate) field: u16,
    /// Bits of which it has one, or its value, and the class then. The first that fits counts; without one it is 0.
    pub(crate) cases: &'static [(Test, u8)],
}

/// What a value is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Test {
    Bits(u64),
    Is(u64),
}

/// What a field is in V1.
#[allow(dead_code, reason = "those that no field of the tables is today may be one's tomorrow")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Nothing: V2 always has the same value there.
    Always,
    /// Enums too.
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Bool,
    Fixed32,
    Fixed64,
    /// Strings too.
    Bytes,
    Message,
}

/// What a field is in V2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Uint,
    Sint,
    Bool,
    Enum,
    Fixed32,
    Fixed64,
    Bytes,
    Message,
}

/// How objects of a type stand in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Many messages: `message List { repeated T item = 1; }`.
    List,
    /// One message.
    Single,
    /// Many messages of fixed size, back to back.
    Array,
    /// There is no payload.
    Empty,
}

/// A type of objects.
#[derive(Debug)]
pub struct Type {
    /// Its number in headers.
    pub number: u32,
    /// Its name in the registry, such as `VMA`.
    pub name: &'static str,
    /// How its objects stand in a record.
    pub layout: Layout,
    /// Name of its message; empty if it has none.
    pub message_name: &'static str,
    /// Its message, if that is made from one of V1's.
    pub message: Option<&'static Message>,
}

/// A kind of image.
#[derive(Debug)]
pub struct KindRow {
    /// Its number in headers; that of [`Kind`](crate::Kind) where version 1 has the kind.
    pub number: u32,
    /// Its name in the registry, such as `IPC_QUEUES`.
    pub name: &'static str,
    /// Its name in version 1, such as `IPCNS_MSG`; empty if that has no such kind.
    pub v1: &'static str,
}

impl KindRow {
    /// The kind with this number.
    pub fn by_number(number: u32) -> Option<&'static KindRow> {
        let position = KINDS.binary_search_by_key(&number, |row| row.number).ok()?;
        KINDS.get(position)
    }

    /// Name of the file that holds one image of it: `ipc-queues-7.criu`; without the number where that is 0.
    pub fn file_name(&self, id: u64) -> String {
        let stem = self.name.to_lowercase().replace('_', "-");
        if id == 0 { format!("{stem}.criu") } else { format!("{stem}-{id}.criu") }
    }
}

impl Type {
    /// The type with this number.
    pub fn by_number(number: u32) -> Option<&'static Type> {
        let position = TYPES.binary_search_by_key(&number, |row| row.number).ok()?;
        TYPES.get(position)
    }

    /// The type whose objects are messages of this name.
    pub fn of(message: &Message) -> Option<&'static Type> {
        TYPES.iter().find(|row| row.message_name == message.name)
    }
}

impl Message {
    /// The V2 message with this name. One that is made from several V1 messages: as made from the first.
    pub fn by_name(name: &str) -> Option<&'static Message> {
        find(BY_NAME, name)
    }

    /// The V2 message that this V1 message becomes.
    pub fn by_v1(name: &str) -> Option<&'static Message> {
        find(BY_V1, name)
    }

    /// All V2 messages, one for each V1 message, by the V1 message's name.
    pub fn all() -> impl Iterator<Item = &'static Message> {
        BY_V1.iter().map(|(_, message)| *message)
    }

    /// Position of the field with this number; `hint` is looked at first.
    pub(crate) fn position(&self, number: u32, hint: usize) -> Option<usize> {
        if self.fields.get(hint).is_some_and(|field| field.number == number) {
            return Some(hint);
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }
}

impl Node {
    /// The row of a V1 field; `hint` is looked at first.
    pub(crate) fn position(&self, number: u32, hint: usize) -> Option<usize> {
        if self.rows.get(hint).is_some_and(|row| row.number == number) {
            return Some(hint);
        }
        self.rows.binary_search_by_key(&number, |row| row.number).ok()
    }
}

fn find(table: &[(&str, &'static Message)], name: &str) -> Option<&'static Message> {
    let position = table.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    table.get(position).map(|(_, message)| *message)
}

include!(concat!(env!("OUT_DIR"), "/v2_schema.rs"));

/// The descriptors of `proto/v2`, an encoded `google.protobuf.FileDescriptorSet` with all it imports.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/v2.fds"));
