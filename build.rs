//! Compiles `proto/v1/*.proto` into three things: prost structs, static tables of every message with the
//! presentation of its fields (JSON is driven by them), and the descriptor set itself.
//!
//! What `proto/v2/*.proto` become is in `build/v2`.
//!
//! String fields become bytes in the structs, because names on Linux need not be UTF-8; the descriptors keep `string`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value};
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;

#[path = "build/links.rs"]
mod links;
#[path = "build/v2/mod.rs"]
mod v2;

const PACKAGE: &str = "icecore.v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let files = protos("proto/v1")?;

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_files(&files)?;
    let descriptors = compiler.encode_file_descriptor_set();
    // not `compiler.descriptor_pool()`: it was made before options were read, so nothing in it is packed
    let pool = DescriptorPool::decode(&descriptors[..])?;
    fs::write(out.join("v1.fds"), &descriptors)?;
    fs::write(out.join("v1_schema.rs"), tables(&pool)?)?;

    let mut set = compiler.file_descriptor_set();
    strings_to_bytes(&mut set);
    prost_build::Config::new().bytes(["."]).out_dir(&out).compile_fds(set)?;
    let structs = out.join(format!("{PACKAGE}.rs"));
    fs::write(out.join("v1_structs.rs"), without_comments(&structs)?)?;
    v2::compile(&out, &pool)
}

/// The .proto files of a folder, sorted.
fn protos(folder: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn strings_to_bytes(set: &mut FileDescriptorSet) {
    for file in &mut set.file {
        if file.package() != PACKAGE {
            continue;
        }
        for message in &mut file.message_type {
            for field in &mut message.field {
                if field.r#type() == Type::String {
                    field.set_type(Type::Bytes);
                }
            }
        }
    }
}

/// The comments of the .proto files are for their readers; rustdoc would take some for code.
fn without_comments(path: &Path) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    for line in fs::read_to_string(path)?.lines() {
        if !line.trim_start().starts_with("///") {
            writeln!(text, "{line}")?;
        }
    }
    Ok(text)
}

fn constant(name: &str) -> String {
    name.trim_start_matches(PACKAGE).trim_start_matches('.').replace('.', "_").to_uppercase()
}

/// `user_x86_regs_entry` is `UserX86RegsEntry` in prost.
fn camel(name: &str) -> String {
    name.split('_')
        .map(|part| {
            let (head, tail) = part.split_at(part.len().min(1));
            head.to_uppercase() + &tail.to_lowercase()
        })
        .collect()
}

fn tables(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    let mut messages: Vec<MessageDescriptor> =
        pool.all_messages().filter(|message| message.package_name() == PACKAGE).collect();
    messages.sort_by(|a, b| a.name().cmp(b.name()));
    let mut enums: Vec<EnumDescriptor> = pool.all_enums().filter(|e| e.package_name() == PACKAGE).collect();
    enums.sort_by(|a, b| a.full_name().cmp(b.full_name()));

    for e in &enums {
        let name = e.full_name().trim_start_matches("icecore.v1.");
        writeln!(text, "static ENUM_{}: Enum = Enum {{ name: {name:?}, values: &[", constant(e.full_name()))?;
        for value in e.values() {
            writeln!(text, "    ({}, {:?}),", value.number(), value.name())?;
        }
        writeln!(text, "] }};")?;
    }
    for (index, message) in messages.iter().enumerate() {
        let mut fields: Vec<FieldDescriptor> = message.fields().collect();
        fields.sort_by_key(FieldDescriptor::number);
        let mut required = 0u64;
        for (position, field) in fields.iter().enumerate() {
            if position >= 64 {
                return Err(format!("{}: more than 64 fields", message.name()).into());
            }
            if field.cardinality() == Cardinality::Required {
                required |= 1 << position;
            }
        }
        writeln!(
            text,
            "static MESSAGE_{}: Message = Message {{ name: {:?}, index: {index}, size: size_of::<super::v1::{}>(), required: {required:#x}, has_links: {}, fields: &[",
            constant(message.full_name()),
            message.name(),
            camel(message.name()),
            links::any_in(message)
        )?;
        for field in &fields {
            writeln!(text, "    {},", field_row(field)?)?;
        }
        writeln!(text, "] }};")?;
        writeln!(
            text,
            "impl Typed for super::v1::{} {{ fn schema() -> &'static Message {{ &MESSAGE_{} }} }}",
            camel(message.name()),
            constant(message.full_name())
        )?;
    }
    writeln!(text, "/// Every message, sorted by name.")?;
    writeln!(text, "pub static MESSAGES: &[&Message] = &[")?;
    for message in &messages {
        writeln!(text, "    &MESSAGE_{},", constant(message.full_name()))?;
    }
    writeln!(text, "];")?;
    writeln!(text, "/// Every enum, sorted by name.")?;
    writeln!(text, "pub static ENUMS: &[&Enum] = &[")?;
    for e in &enums {
        writeln!(text, "    &ENUM_{},", constant(e.full_name()))?;
    }
    writeln!(text, "];")?;
    Ok(text)
}

fn field_row(field: &FieldDescriptor) -> Result<String, Box<dyn Error>> {
    let ty = match field.kind() {
        Kind::Int32 => "Int32".to_owned(),
        Kind::Int64 => "Int64".to_owned(),
        Kind::Uint32 => "Uint32".to_owned(),
        Kind::Uint64 => "Uint64".to_owned(),
        Kind::Sint32 => "Sint32".to_owned(),
        Kind::Sint64 => "Sint64".to_owned(),
        Kind::Fixed32 => "Fixed32".to_owned(),
        Kind::Fixed64 => "Fixed64".to_owned(),
        Kind::Bool => "Bool".to_owned(),
        Kind::String => "String".to_owned(),
        Kind::Bytes => "Bytes".to_owned(),
        Kind::Enum(e) => format!("Enum(&ENUM_{})", constant(e.full_name())),
        Kind::Message(m) => format!("Message(&MESSAGE_{})", constant(m.full_name())),
        other => return Err(format!("{}: no V1 message has a {other:?}", field.full_name()).into()),
    };
    let label = match (field.cardinality(), field.is_packed()) {
        (Cardinality::Required, _) => "Required",
        (Cardinality::Optional, _) => "Optional",
        (Cardinality::Repeated, false) => "Repeated",
        (Cardinality::Repeated, true) => "Packed",
    };
    let is_integer =
        matches!(field.kind(), Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32 | Kind::Sint64);
    let mut short_key = [b' '; 32];
    let key = format!(", \"{}\": ", field.name());
    let place = short_key.get_mut(..key.len());
    let is_short = place.is_some();
    if let Some(place) = place {
        place.copy_from_slice(key.as_bytes());
    }
    let tag = if is_short && is_integer && field.number() < 16 && !matches!(label, "Repeated" | "Packed") {
        field.number() << 3
    } else {
        0
    };
    Ok(format!(
        "Field {{ number: {}, name: {:?}, next_key: b\", \\\"{}\\\": \", short_key: {short_key:?}, tag: {tag}, label: Label::{label}, ty: Type::{ty}, show: Show::{}, link: {} }}",
        field.number(),
        field.name(),
        field.name(),
        show(field)?,
        links::row(field)?
    ))
}

/// The `criu` option of a field, with the precedence crit gives it: hex, dev, flags, dict.
fn show(field: &FieldDescriptor) -> Result<String, Box<dyn Error>> {
    let options = field.options();
    let Some(extension) =
        options.extensions().find(|(extension, _)| extension.name() == "criu").map(|(_, value)| value.clone())
    else {
        return Ok("Plain".to_owned());
    };
    let criu = extension.as_message().ok_or("the criu option is not a message")?.clone();
    let is = |name: &str| criu.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or(false);
    let text = |name: &str| {
        criu.get_field_by_name(name).map(|value| value.into_owned()).and_then(|value| match value {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        })
    };
    Ok(if is("hex") {
        "Hex".to_owned()
    } else if is("dev") {
        (if is("odev") { "OldDevice" } else { "Device" }).to_owned()
    } else if let Some(name) = text("flags") {
        format!("Flags(flags::{})", name.replace('.', "_").to_uppercase())
    } else if let Some(name) = text("dict") {
        format!("Dict(flags::{}_{})", name.to_uppercase(), field.name().to_uppercase())
    } else if is("ipadd") {
        "Address".to_owned()
    } else if text("conv").as_deref() == Some("unix_name") {
        "UnixName".to_owned()
    } else {
        "Plain".to_owned()
    })
}
