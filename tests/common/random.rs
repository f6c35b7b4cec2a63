//! Random messages and images of every kind, made from the fact tables. They are canonical: ascending fields, minimal
//! varints, packed only where the table says so, values that the type can hold.

use std::collections::BTreeMap;

use super::rng::Rng;
use super::tables::{self, Row, Table};
use super::writer::{File, Message, message};

/// Makes messages by their names.
pub struct Generator {
    messages: BTreeMap<&'static str, Vec<Field>>,
    enums: BTreeMap<&'static str, Vec<i64>>,
    /// How many words an address may have. Two and three are no address, and crit dies of them.
    pub words: &'static [usize],
}

struct Field {
    number: u32,
    name: &'static str,
    label: &'static str,
    ty: &'static str,
    type_name: &'static str,
    packed: bool,
    address: bool,
    device: bool,
    unix_name: bool,
}

/// Fields that say how long a payload is, and the value they get.
pub type Fixed<'a> = &'a [(&'static str, u64)];

impl Generator {
    pub fn new() -> Self {
        let mut messages: BTreeMap<_, Vec<Field>> = BTreeMap::new();
        let table: Table = tables::fields();
        for row in table.rows() {
            messages.entry(row.get("message")).or_default().push(Field::new(row));
        }
        for fields in messages.values_mut() {
            fields.sort_by_key(|field| field.number);
        }
        let mut enums: BTreeMap<_, Vec<i64>> = BTreeMap::new();
        for row in tables::enums().rows() {
            enums.entry(row.get("enum")).or_default().push(row.get("number").parse().unwrap());
        }
        Self { messages, enums, words: &[0, 1, 4] }
    }

    /// A message of this name. `fixed` gives values to fields of the outermost message.
    pub fn message(&self, rng: &mut Rng, name: &str, fixed: Fixed<'_>) -> Message {
        self.at_depth(rng, name, fixed, 0)
    }

    /// One with its required fields only, all zero and empty.
    pub fn least(&self, name: &str) -> Message {
        self.least_but(name, 0, |out| out)
    }

    /// The same, but for one field, which `write` appends in its place.
    pub fn least_but(&self, name: &str, number: u32, write: impl Fn(Message) -> Message) -> Message {
        let mut out = message();
        for field in &self.messages[name] {
            if field.number == number {
                out = write(out);
            } else if field.label == "required" {
                out = match field.ty {
                    "message" => out.message(field.number, &self.least(field.type_name)),
                    "string" | "bytes" => out.bytes(field.number, ""),
                    "enum" => out.int(field.number, self.enums[field.type_name][0]),
                    "fixed32" => out.fixed32(field.number, 0),
                    "fixed64" => out.fixed64(field.number, 0),
                    _ => out.uint(field.number, 0),
                };
            }
        }
        out
    }

    fn at_depth(&self, rng: &mut Rng, name: &str, fixed: Fixed<'_>, depth: usize) -> Message {
        let mut out = message();
        // deep messages get thin, or cores would have thousands of fields
        let spare = depth + 2;
        for field in &self.messages[name] {
            if let Some((_, value)) = fixed.iter().find(|(name, _)| *name == field.name) {
                out = out.uint(field.number, *value);
                continue;
            }
            let count = match field.label {
                "required" => 1,
                "optional" => usize::from(rng.one_in(spare)),
                _ if field.address => *rng.pick(self.words),
                _ if rng.one_in(spare) => rng.below(4),
                _ => 0,
            };
            if field.packed && count > 0 {
                let values: Vec<u64> = (0..count).map(|_| self.number(rng, field).cast_unsigned()).collect();
                out = out.packed(field.number, &values);
                continue;
            }
            for _ in 0..count {
                if field.ty == "message" && depth > 6 && field.label != "required" {
                    continue;
                }
                out = self.value(rng, out, field, depth);
            }
        }
        out
    }

    fn value(&self, rng: &mut Rng, out: Message, field: &Field, depth: usize) -> Message {
        match field.ty {
            "message" => out.message(field.number, &self.at_depth(rng, field.type_name, &[], depth + 1)),
            "string" => out.bytes(field.number, self.text(rng)),
            "bytes" if field.unix_name => out.bytes(field.number, unix_name(rng)),
            "bytes" => {
                // around the ends of base64's groups and lines
                let length = *rng.pick(&[0, 1, 2, 3, 4, 56, 57, 58, 114, 200]);
                out.bytes(field.number, rng.bytes(length))
            }
            "fixed32" => out.fixed32(field.number, self.number(rng, field) as u32),
            "fixed64" => out.fixed64(field.number, self.number(rng, field).cast_unsigned()),
            "sint32" | "sint64" => out.sint(field.number, self.number(rng, field)),
            _ => out.int(field.number, self.number(rng, field)),
        }
    }

    /// A value of an integer field, signed or not by its type, as 64 bits.
    fn number(&self, rng: &mut Rng, field: &Field) -> i64 {
        let any = match rng.below(8) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => 1 << 63,
            4 => (1 << 31) - 1,
            5 => 1 << rng.below(64),
            6 => rng.next() & 0xff,
            _ => rng.next() >> rng.below(64),
        };
        match field.ty {
            "bool" => i64::from(any & 1 == 1),
            "enum" => *rng.pick(&self.enums[field.type_name]),
            "int32" | "sint32" => i64::from(any as i32),
            "uint32" | "fixed32" if field.device => i64::from(any as u32),
            "uint32" | "fixed32" => i64::from(any as u32),
            _ => any.cast_signed(),
        }
    }

    fn text(&self, rng: &mut Rng) -> String {
        const PARTS: [&str; 16] = [
            "/usr/lib/x.so",
            "a",
            " ",
            "\"",
            "\\",
            "/",
            "\n",
            "\r\n",
            "\t",
            "\u{1}\u{1f}",
            "\u{7f}",
            "\u{e9}",
            "\u{20ac}",
            "\u{1f9ca}",
            "\u{0}",
            "\u{2028}",
        ];
        (0..rng.below(5)).map(|_| *rng.pick(&PARTS)).collect()
    }
}

impl Field {
    fn new(row: Row<'_>) -> Self {
        Self {
            number: row.number("number"),
            name: row.get("name"),
            label: row.get("label"),
            ty: row.get("type"),
            type_name: row.get("type_name"),
            packed: row.get("packed") == "yes",
            address: row.is("ipadd"),
            device: row.is("dev"),
            unix_name: row.get("conv") == "unix_name",
        }
    }
}

/// A name of a unix socket. CR LF and LF do not mix in it: crit would not give such a one back.
fn unix_name(rng: &mut Rng) -> Vec<u8> {
    const PARTS: [&[u8]; 14] = [
        b"/run/x.sock\0",
        b"\0abstract",
        b"=",
        b" ",
        b"\t",
        b".",
        b"\n",
        b"\x7f",
        b"\xff\xfe",
        b"\xc3\xa9",
        b"~!",
        b"\x1b[0m",
        b"0123456789012345678901234567890123456789012345678901234567890123456789",
        b"                                                                      ",
    ];
    let mut name = Vec::new();
    for _ in 0..rng.below(6) {
        name.extend(*rng.pick(&PARTS));
    }
    name
}

/// A random image of a kind crit can read, by the name of its magic, with payloads that fit.
pub fn image(generator: &Generator, rng: &mut Rng, name: &str, messages: &[&str], single: bool) -> File {
    let mut file = File::new(name);
    let count = if single { 1 } else { rng.below(4) + usize::from(messages.len() > 1) };
    if name == "GHOST_FILE" {
        return ghost(generator, rng, file);
    }
    for index in 0..count {
        let of = if index == 0 { messages[0] } else { messages[messages.len() - 1] };
        let length = *rng.pick(&[0usize, 1, 7, 8, 9, 56, 57, 58, 300]);
        let size = length as u64;
        file = match name {
            "PIPES_DATA" | "FIFO_DATA" => {
                file.entry(&generator.message(rng, of, &[("bytes", size)])).raw(rng.bytes(length))
            }
            "SK_QUEUES" => file.entry(&generator.message(rng, of, &[("length", size)])).raw(rng.bytes(length)),
            "TCP_STREAM" => {
                let out = rng.below(100);
                let fixed = [("inq_len", size), ("outq_len", out as u64)];
                file.entry(&generator.message(rng, of, &fixed)).raw(rng.bytes(length + out))
            }
            "BPFMAP_DATA" => {
                let values = rng.below(100);
                let fixed = [("keys_bytes", size), ("values_bytes", values as u64)];
                file.entry(&generator.message(rng, of, &fixed)).raw(rng.bytes(length + values))
            }
            "IPCNS_SEM" => {
                let bytes = rng.bytes(length * 2);
                file.entry(&generator.message(rng, of, &[("nsems", size)])).padded(&bytes, 8)
            }
            "IPCNS_MSG" => {
                let queued = rng.below(4);
                let mut file = file.entry(&generator.message(rng, of, &[("qnum", queued as u64)]));
                for _ in 0..queued {
                    let length = *rng.pick(&[0, 1, 8, 57, 60]);
                    let text = rng.bytes(length);
                    file = file.queued(rng.next() >> 33, &text);
                }
                file
            }
            "IPCNS_SHM" => {
                let bytes = rng.bytes(length);
                file.entry(&generator.message(rng, of, &[("size", size), ("in_pagemaps", 0)])).padded(&bytes, 4)
            }
            _ => file.entry(&generator.message(rng, of, &[])),
        };
    }
    file
}

fn ghost(generator: &Generator, rng: &mut Rng, file: File) -> File {
    let chunked = rng.one_in(2);
    let mut file = file.entry(&generator.message(rng, "ghost_file_entry", &[("chunks", u64::from(chunked))]));
    if !chunked {
        let length = *rng.pick(&[0, 1, 57, 5000]);
        return file.raw(rng.bytes(length));
    }
    for _ in 0..rng.below(4) {
        let length = *rng.pick(&[0usize, 1, 57, 4096]);
        let head = generator.message(rng, "ghost_chunk_entry", &[("len", length as u64)]);
        file = file.entry(&head).raw(rng.bytes(length));
    }
    file
}
