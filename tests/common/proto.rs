//! V2 messages as text, field by field, by nothing but the text of `proto/v2/*.proto`: a second opinion on what the
//! library's tables make.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

struct Field {
    name: String,
    ty: String,
    repeated: bool,
}

/// The messages and enums of version 2.
pub struct Protos {
    messages: BTreeMap<String, BTreeMap<u64, Field>>,
    enums: BTreeMap<String, BTreeMap<u64, String>>,
    types: BTreeMap<u64, String>,
}

impl Protos {
    pub fn new() -> Self {
        let mut this = Self { messages: BTreeMap::new(), enums: BTreeMap::new(), types: BTreeMap::new() };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/v2");
        for entry in fs::read_dir(folder).unwrap() {
            this.read(&fs::read_to_string(entry.unwrap().path()).unwrap());
        }
        this
    }

    fn read(&mut self, text: &str) {
        let mut message = None;
        let mut values = None;
        for line in text.lines() {
            let words: Vec<&str> = line.trim().trim_end_matches(';').split_whitespace().collect();
            match words[..] {
                ["message", name, "{"] => message = Some(name.to_owned()),
                ["enum", name, "{"] => values = Some(name.to_owned()),
                ["}"] => (message, values) = (None, None),
                [name, "=", number, ..] if values.is_some() && name != "option" => {
                    let number = number.trim_end_matches(';').parse().unwrap();
                    let of = values.clone().unwrap();
                    if let (true, Some((_, rest))) = (of == "Type", line.split_once("(message) = \"")) {
                        self.types.insert(number, rest.split_once('"').unwrap().0.to_owned());
                    }
                    self.enums.entry(of).or_default().insert(number, name.to_owned());
                }
                [label @ ("optional" | "repeated" | "required"), ty, name, "=", number, ..] if message.is_some() => {
                    self.field(message.as_ref().unwrap(), label == "repeated", ty, name, number);
                }
                [ty, name, "=", number, ..] if message.is_some() && ty != "option" => {
                    self.field(message.as_ref().unwrap(), false, ty, name, number);
                }
                _ => {}
            }
        }
    }

    fn field(&mut self, message: &str, repeated: bool, ty: &str, name: &str, number: &str) {
        let field = Field { name: name.to_owned(), ty: ty.to_owned(), repeated };
        let number = number.trim_end_matches(';').parse().unwrap();
        self.messages.entry(message.to_owned()).or_default().insert(number, field);
    }

    /// Name of the message of a type of objects.
    pub fn of_type(&self, number: u32) -> &str {
        self.types.get(&u64::from(number)).map_or("?", |name| name.as_str())
    }

    /// `name: value` for each field, messages in braces, packed numbers in brackets.
    pub fn text(&self, name: &str, message: &[u8]) -> String {
        let mut out = String::new();
        let fields = self.messages.get(name).unwrap_or_else(|| panic!("no message {name}"));
        let mut rest = message;
        while !rest.is_empty() {
            let key = varint(&mut rest);
            let field = fields.get(&(key >> 3)).unwrap_or_else(|| panic!("{name} has no field {}", key >> 3));
            if !out.is_empty() {
                out.push(' ');
            }
            let label = &field.name;
            match key & 7 {
                2 => {
                    let length = varint(&mut rest) as usize;
                    let (bytes, behind) = rest.split_at(length);
                    rest = behind;
                    if self.messages.contains_key(&field.ty) {
                        write!(out, "{label} {{ {} }}", self.text(&field.ty, bytes)).unwrap();
                    } else if field.ty == "bytes" {
                        write!(out, "{label}: \"{}\"", bytes.escape_ascii()).unwrap();
                    } else {
                        assert!(field.repeated, "{name}.{label} is packed");
                        let mut run = bytes;
                        let mut values = Vec::new();
                        while !run.is_empty() {
                            values.push(self.number(&field.ty, &mut run));
                        }
                        write!(out, "{label}: [{}]", values.join(" ")).unwrap();
                    }
                }
                _ => write!(out, "{label}: {}", self.number(&field.ty, &mut rest)).unwrap(),
            }
        }
        out
    }

    fn number(&self, ty: &str, rest: &mut &[u8]) -> String {
        match ty {
            "fixed32" => format!("{:#x}", u32::from_le_bytes(take(rest))),
            "fixed64" => format!("{:#x}", u64::from_le_bytes(take(rest))),
            "bool" => (varint(rest) == 1).to_string(),
            "sint64" => {
                let value = varint(rest);
                ((value >> 1).cast_signed() ^ -(value & 1).cast_signed()).to_string()
            }
            "uint64" => varint(rest).to_string(),
            _ => {
                let value = varint(rest);
                self.enums[ty].get(&value).cloned().unwrap_or_else(|| value.to_string())
            }
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (bytes, behind) = rest.split_at(N);
    *rest = behind;
    bytes.try_into().unwrap()
}

/// Takes a varint.
pub fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let [byte] = take::<1>(rest);
        value |= u64::from(byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            return value;
        }
    }
}
