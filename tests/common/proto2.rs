//! The .proto files of version 2 as a plain program reads them: comments, enums, and the compiled descriptors. Of the
//! library only the descriptors are used.

use std::collections::BTreeMap;
use std::path::Path;

use icecore::object::upgrade::schema::DESCRIPTORS;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// A field on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Where its key begins.
    pub start: usize,
    pub number: u32,
    pub value: Wire<'a>,
    /// Behind it.
    pub end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// A varint and where it ends; none if it is cut or has more than ten bytes.
pub fn varint(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}

/// The fields of a message; none if it is none.
pub fn fields(bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        let (key, behind) = varint(bytes, at)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
        let value;
        (value, at) = match key & 7 {
            0 => varint(bytes, behind).map(|(value, end)| (Wire::Varint(value), end))?,
            1 => (Wire::Fixed64(u64::from_le_bytes(*bytes.get(behind..)?.first_chunk()?)), behind + 8),
            2 => {
                let (length, content) = varint(bytes, behind)?;
                let end = content.checked_add(usize::try_from(length).ok()?)?;
                (Wire::Bytes(bytes.get(content..end)?), end)
            }
            5 => (Wire::Fixed32(u32::from_le_bytes(*bytes.get(behind..)?.first_chunk()?)), behind + 4),
            _ => return None,
        };
        found.push(Field { start, number, value, end: at });
    }
    Some(found)
}

/// All messages of version 2, by their names.
pub fn messages() -> BTreeMap<String, DescriptorProto> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let files = set.file.into_iter().filter(|file| file.package() == "icecore.v2");
    files.flat_map(|file| file.message_type).map(|message| (message.name().to_owned(), message)).collect()
}

/// All enums of version 2: their names, and of each the numbers and names.
pub fn enums() -> BTreeMap<String, BTreeMap<i64, String>> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let files = set.file.into_iter().filter(|file| file.package() == "icecore.v2");
    files
        .flat_map(|file| file.enum_type)
        .map(|e| {
            let values = e.value.iter().map(|value| (i64::from(value.number()), value.name().to_owned())).collect();
            (e.name().to_owned(), values)
        })
        .collect()
}

pub fn field(message: &DescriptorProto, number: u32) -> Option<&FieldDescriptorProto> {
    message.field.iter().find(|field| u32::try_from(field.number()) == Ok(number))
}

/// Whether all its fields are required and fixed.
pub fn is_fixed(message: &DescriptorProto) -> bool {
    let fixed = |field: &FieldDescriptorProto| {
        field.label() == Label::Required && matches!(field.r#type(), Type::Fixed32 | Type::Fixed64)
    };
    message.field.iter().all(fixed)
}

/// A value of an enum as registry.proto and ids.proto have it.
#[derive(Clone, Debug)]
pub struct Value {
    pub name: String,
    pub number: u32,
    /// Its options: `message`, `layout`, `v1_kind`.
    pub options: BTreeMap<String, String>,
    /// What is said of it: on lines before it, or behind it.
    pub comment: String,
}

pub fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/v2").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of an enum, read line by line.
pub fn values(file: &str, name: &str) -> Vec<Value> {
    let text = text(file);
    let (_, body) = text.split_once(&format!("\nenum {name} {{\n")).expect(name);
    let (body, _) = body.split_once("\n}").unwrap();
    let (mut values, mut before) = (Vec::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("//") {
            before.push(comment.trim().to_owned());
            continue;
        }
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        let (name, rest) = code.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
        let (number, options) = rest.trim().trim_end_matches(';').split_once(" [").unwrap_or((rest, ""));
        let options = options.trim_end_matches(']').split(", ").filter_map(|option| {
            let (name, value) = option.split_once(" = ")?;
            Some((name.trim_matches(['(', ')']).to_owned(), value.trim_matches('"').to_owned()))
        });
        let mut comments = std::mem::take(&mut before);
        comments.extend((!comment.is_empty()).then(|| comment.trim().to_owned()));
        values.push(Value {
            name: name.to_owned(),
            number: number.trim().trim_end_matches(';').parse().unwrap_or_else(|_| panic!("{line}")),
            options: options.collect(),
            comment: comments.join(" "),
        });
    }
    values
}

/// A message as its file has it: what is said before it and the V1 messages that it is made from.
pub type Said = (String, Vec<String>);

/// The fields of a message as its file has them: number, name, type (with `repeated`), and what is said behind them.
pub fn declared(file: &str, message: &str) -> Vec<(u32, String, String, String)> {
    let text = text(file);
    let (_, body) = text.split_once(&format!("\nmessage {message} {{\n")).expect(message);
    let (body, _) = body.split_once("\n}").unwrap();
    let fields = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    fields
        .map(|line| {
            let (code, comment) = line.split_once("//").unwrap_or((line, ""));
            let (left, right) = code.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
            let digits: String = right.chars().take_while(char::is_ascii_digit).collect();
            let words: Vec<&str> = left.split_whitespace().collect();
            let [label, ty, name] = words[..] else { panic!("{line}") };
            let packed = if right.contains("packed = true") { "packed " } else { "" };
            let ty = if label == "repeated" { format!("repeated {packed}{ty}") } else { ty.to_owned() };
            (digits.parse().unwrap(), name.to_owned(), ty, comment.trim().to_owned())
        })
        .collect()
}

/// What stands before each message in all files, and the V1 messages it is made from.
pub fn said() -> BTreeMap<String, Said> {
    let mut said = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/v2");
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = text(entry.unwrap().file_name().to_str().unwrap());
        let (mut comments, mut inside): (Vec<&str>, Option<String>) = (Vec::new(), None);
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("//") {
                comments.push(comment.trim());
                continue;
            }
            if let Some(name) = line.strip_prefix("message ") {
                let name = name.trim_end_matches(" {").to_owned();
                said.insert(name.clone(), (comments.join(" "), Vec::new()));
                inside = Some(name);
            } else if let Some((_, rest)) = line.split_once("option (v1_message) = { name: \"")
                && let Some(inside) = &inside
            {
                said.get_mut(inside).unwrap().1.push(rest.split_once('"').unwrap().0.to_owned());
            }
            comments.clear();
        }
    }
    said
}
