//! protoc, Google's own compiler and decoder, asked through its options; and the text that it writes, made by a plain
//! program from the descriptors.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use icecore::wire::field::{Fields, Value};
use prost_types::DescriptorProto;
use prost_types::field_descriptor_proto::{Label, Type};

use super::{oracle, proto2};

/// The protoc to ask, and a schema in which every message of version 2 is a repeated field of one.
pub struct Protoc {
    program: PathBuf,
    folder: tempfile::TempDir,
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, BTreeMap<i64, String>>,
}

/// Those before it lack `optional` in proto3.
const OLDEST: [u32; 2] = [3, 15];

/// The message of [`Protoc::all`] with all others.
const ALL: &str = "icecore.all.All";

impl Protoc {
    /// The one that `ICECORE_PROTOC` names, or that is in PATH; what is lacking if there is none.
    pub fn find() -> Result<Self, String> {
        let program = env::var_os("ICECORE_PROTOC").map_or_else(|| PathBuf::from("protoc"), PathBuf::from);
        let Ok(output) = Command::new(&program).arg("--version").output() else {
            return Err("no protoc: install protobuf-compiler, or set ICECORE_PROTOC".to_owned());
        };
        let version = String::from_utf8(output.stdout).unwrap();
        let version = version.trim().trim_start_matches("libprotoc ");
        assert!(oracle::numbers(version) >= OLDEST.to_vec(), "protoc {version} is too old");
        let messages = proto2::messages();
        let folder = tempfile::tempdir().unwrap();
        let mut all = "syntax = \"proto3\";\npackage icecore.all;\n".to_owned();
        for file in fs::read_dir(proto().join("v2")).unwrap() {
            writeln!(all, "import \"v2/{}\";", file.unwrap().file_name().to_str().unwrap()).unwrap();
        }
        all.push_str("message All {\n");
        for (number, name) in (1..).zip(messages.keys()) {
            writeln!(all, "  repeated icecore.v2.{name} {} = {number};", label(name)).unwrap();
        }
        all.push_str("}\n");
        fs::write(folder.path().join("all.proto"), all).unwrap();
        let this = Self { program, folder, messages, enums: proto2::enums() };
        match this.descriptors() {
            Err(told) if told.starts_with("google/protobuf/descriptor.proto: File not found") => {
                Err("protoc has no google/protobuf/descriptor.proto: install libprotobuf-dev".to_owned())
            }
            _ => Ok(this),
        }
    }

    /// What it writes for these options and this input, or what it complains of.
    fn ask(&self, options: &[String], input: &[u8]) -> Result<Vec<u8>, String> {
        let mut child = Command::new(&self.program)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input));
            child.wait_with_output().unwrap()
        });
        let told = String::from_utf8_lossy(&output.stderr);
        // it warns of fields that are missing, and goes on
        let told: Vec<&str> = told.lines().filter(|line| !line.contains("is unused")).collect();
        if output.status.success() && told.is_empty() { Ok(output.stdout) } else { Err(told.join("\n")) }
    }

    fn paths(&self) -> [String; 2] {
        [format!("-I{}", proto().display()), format!("-I{}", self.folder.path().display())]
    }

    /// A row of messages without their schema.
    pub fn decode_raw(&self, bytes: &[u8]) -> Result<String, String> {
        self.ask(&["--decode_raw".to_owned()], bytes).map(|text| String::from_utf8(text).unwrap())
    }

    /// Many messages at once, each as it lies in [`Pieces`].
    pub fn decode_all(&self, pieces: &Pieces) -> Result<String, String> {
        let options = [&self.paths()[..], &[format!("--decode={ALL}"), "all.proto".to_owned()]].concat();
        self.ask(&options, &self.joined(pieces)).map(|text| String::from_utf8(text).unwrap())
    }

    /// The messages that a text of [`decode_all`](Self::decode_all) says.
    pub fn encode_all(&self, text: &str) -> Result<Vec<u8>, String> {
        let options = [&self.paths()[..], &[format!("--encode={ALL}"), "all.proto".to_owned()]].concat();
        self.ask(&options, text.as_bytes())
    }

    /// One message of `proto/v2`.
    pub fn decode(&self, message: &str, file: &str, bytes: &[u8]) -> Result<String, String> {
        let options = [&self.paths()[..1], &[format!("--decode=icecore.v2.{message}"), format!("v2/{file}")]].concat();
        self.ask(&options, bytes).map(|text| String::from_utf8(text).unwrap())
    }

    /// The descriptors of all files, as an encoded `FileDescriptorSet`.
    pub fn descriptors(&self) -> Result<Vec<u8>, String> {
        let out = self.folder.path().join("all.fds");
        let mut options = self.paths().to_vec();
        options.extend([format!("--descriptor_set_out={}", out.display()), "--include_imports".to_owned()]);
        options.push("all.proto".to_owned());
        self.ask(&options, &[])?;
        Ok(fs::read(out).unwrap())
    }

    /// The bytes of the message of all messages.
    pub fn joined(&self, pieces: &Pieces) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, name) in (1u32..).zip(self.messages.keys()) {
            for piece in pieces.0.get(name).into_iter().flatten() {
                write_key(&mut bytes, number);
                write_varint(&mut bytes, piece.len());
                bytes.extend(piece);
            }
        }
        bytes
    }

    /// What protoc should say of them, with the library reading the wire.
    pub fn expected(&self, pieces: &Pieces) -> String {
        let mut text = String::new();
        for name in self.messages.keys() {
            for piece in pieces.0.get(name).into_iter().flatten() {
                writeln!(text, "{} {{", label(name)).unwrap();
                self.message(&mut text, name, piece, 1);
                text.push_str("}\n");
            }
        }
        text
    }

    fn message(&self, text: &mut String, name: &str, bytes: &[u8], depth: usize) {
        let message = &self.messages[name];
        let mut lines: Vec<(i32, String)> = Vec::new();
        for field in Fields::new(bytes) {
            let field = field.unwrap();
            let declared = proto2::field(message, field.number)
                .unwrap_or_else(|| panic!("{name} has no field {}: {:?}", field.number, field.value));
            for line in self.values(declared, field.value, depth) {
                lines.push((declared.number(), line));
            }
        }
        lines.sort_by_key(|(number, _)| *number);
        text.extend(lines.into_iter().map(|(_, line)| line));
    }

    /// The lines of one field on the wire: many for packed numbers.
    fn values(&self, declared: &prost_types::FieldDescriptorProto, value: Value<'_>, depth: usize) -> Vec<String> {
        let indent = "  ".repeat(depth);
        let name = declared.name();
        let line = |value: String| format!("{indent}{name}: {value}\n");
        let ty = declared.r#type();
        match (value, ty) {
            (Value::Bytes(inner), Type::Message) => {
                let mut text = format!("{indent}{name} {{\n");
                let message = declared.type_name().trim_start_matches(".icecore.v2.");
                self.message(&mut text, message, inner, depth + 1);
                text.push_str(&indent);
                text.push_str("}\n");
                vec![text]
            }
            (Value::Bytes(bytes), Type::Bytes) => vec![line(quoted(bytes))],
            (Value::Bytes(packed), _) => {
                assert!(declared.label() == Label::Repeated, "{name}");
                let mut found = Vec::new();
                let mut at = 0;
                while at < packed.len() {
                    let number = match ty {
                        Type::Fixed32 => u64::from(u32::from_le_bytes(packed[at..at + 4].try_into().unwrap())),
                        Type::Fixed64 => u64::from_le_bytes(packed[at..at + 8].try_into().unwrap()),
                        _ => proto2::varint(packed, at).unwrap().0,
                    };
                    at = match ty {
                        Type::Fixed32 => at + 4,
                        Type::Fixed64 => at + 8,
                        _ => proto2::varint(packed, at).unwrap().1,
                    };
                    found.push(line(self.number(declared, number)));
                }
                found
            }
            (Value::Varint(number) | Value::Fixed64(number), _) => vec![line(self.number(declared, number))],
            (Value::Fixed32(number), _) => vec![line(self.number(declared, u64::from(number)))],
        }
    }

    fn number(&self, declared: &prost_types::FieldDescriptorProto, number: u64) -> String {
        match declared.r#type() {
            Type::Sint32 | Type::Sint64 => ((number >> 1) as i64 ^ -((number & 1) as i64)).to_string(),
            Type::Bool => (number != 0).to_string(),
            Type::Enum => {
                // an enum has 32 bits with a sign
                let number = i64::from(number as i32);
                let known = &self.enums[declared.type_name().trim_start_matches(".icecore.v2.")];
                known.get(&number).map_or_else(|| number.to_string(), Clone::clone)
            }
            Type::Uint64 | Type::Fixed64 | Type::Fixed32 => number.to_string(),
            other => panic!("version 2 has no {other:?}"),
        }
    }
}

fn proto() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")
}

/// A field's name that no message's is.
fn label(message: &str) -> String {
    format!("m_{}", message.to_lowercase())
}

fn write_varint(out: &mut Vec<u8>, value: usize) {
    let mut value = value;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_key(out: &mut Vec<u8>, number: u32) {
    write_varint(out, (number as usize) << 3 | 2);
}

/// Bytes as protoc writes them.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from('"');
    for byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'"' | b'\'' | b'\\' => {
                text.push('\\');
                text.push(char::from(*byte));
            }
            0x20..0x7f => text.push(char::from(*byte)),
            _ => write!(text, "\\{byte:03o}").unwrap(),
        }
    }
    text.push('"');
    text
}

/// Messages by their names, each name's in their order.
#[derive(Default)]
pub struct Pieces(pub BTreeMap<String, Vec<Vec<u8>>>);

impl Pieces {
    pub fn add(&mut self, message: &str, bytes: &[u8]) {
        self.0.entry(message.to_owned()).or_default().push(bytes.to_vec());
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}
