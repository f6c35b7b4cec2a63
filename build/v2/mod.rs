//! Compiles `proto/v2/*.proto`: the descriptor set, structs of the container's own messages, and the tables that turn
//! V1 messages into V2 messages and back. Where a V2 field has no V1 field it could come from, the build ends here.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

mod field;
mod table;

use table::path;

const PACKAGE: &str = "icecore.v2";
/// V1 has no such numbers; those that code fills count from here.
const FILLED_BY_CODE: u32 = 536_870_656;
const REST: u32 = 15;
const RAW: u32 = 16;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub(crate) fn compile(out: &Path, v1: &DescriptorPool) -> Result<()> {
    let files = super::protos("proto/v2")?;
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_files(&files)?;
    let descriptors = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(&descriptors[..])?;
    fs::write(out.join("v2.fds"), &descriptors)?;
    fs::write(out.join("v2_schema.rs"), Tables { v1, pool: &pool }.write()?)?;

    let mut set = compiler.file_descriptor_set();
    set.file.retain(|file| file.name() == "v2/container.proto");
    prost_build::Config::new().bytes(["."]).out_dir(out).compile_fds(set)?;
    fs::write(out.join("v2_structs.rs"), super::without_comments(&out.join(format!("{PACKAGE}.rs")))?)?;
    Ok(())
}

/// An option of ours, by its name.
fn option(options: &DynamicMessage, name: &str) -> Option<Value> {
    let (_, value) = options.extensions().find(|(extension, _)| extension.name() == name)?;
    Some(value.clone())
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::List(values)) => values,
        _ => Vec::new(),
    }
}

fn text(message: &DynamicMessage, name: &str) -> String {
    message.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

struct Tables<'a> {
    v1: &'a DescriptorPool,
    pool: &'a DescriptorPool,
}

/// One of the V1 messages that a V2 message is made from.
struct Origin {
    v1: MessageDescriptor,
    constants: Vec<(String, i64)>,
    by: Option<FieldDescriptor>,
}

impl Tables<'_> {
    fn write(&self) -> Result<String> {
        let mut text = String::new();
        let mut by_v2 = Vec::new();
        let mut by_v1 = BTreeMap::new();
        let types = self.pool.get_enum_by_name("icecore.v2.Type").ok_or("no enum Type")?;
        let typed: Vec<String> = types.values().filter_map(|value| type_message(&value.options())).collect();
        let mut messages: Vec<MessageDescriptor> =
            self.pool.all_messages().filter(|message| message.package_name() == PACKAGE).collect();
        messages.sort_by(|a, b| a.name().cmp(b.name()));
        for message in &messages {
            let origins = self.origins(message)?;
            for origin in &origins {
                let name = table_name(message.name(), origin.v1.name(), origins.len() > 1);
                self.tables(&mut text, message, origin, &name, origins.len() > 1)?;
                if typed.iter().any(|typed| typed == message.name()) || !by_v1.contains_key(origin.v1.name()) {
                    by_v1.insert(origin.v1.name().to_owned(), name.clone());
                }
            }
            if origins.len() > 1 {
                self.views(&mut text, message, &origins)?;
            }
            if let Some(origin) = origins.first() {
                by_v2
                    .push((message.name().to_owned(), table_name(message.name(), origin.v1.name(), origins.len() > 1)));
            }
        }
        writeln!(text, "static BY_NAME: &[(&str, &Message)] = &[")?;
        for (name, table) in &by_v2 {
            writeln!(text, "    ({name:?}, &{table}),")?;
        }
        writeln!(text, "];\nstatic BY_V1: &[(&str, &Message)] = &[")?;
        for (name, table) in &by_v1 {
            writeln!(text, "    ({name:?}, &{table}),")?;
        }
        writeln!(text, "];\n/// All types of objects, in the order of their numbers.\npub static TYPES: &[Type] = &[")?;
        for value in types.values() {
            let message = type_message(&value.options());
            let table = message.as_ref().and_then(|name| by_v2.iter().find(|(known, _)| known == name));
            if let Some(name) = &message
                && !messages.iter().any(|known| known.name() == name)
            {
                return Err(format!("{}: there is no message {name}", value.name()).into());
            }
            let layout = match option(&value.options(), "layout") {
                Some(Value::EnumNumber(1)) => "Single",
                Some(Value::EnumNumber(2)) => "Array",
                Some(Value::EnumNumber(3)) => "Empty",
                _ => "List",
            };
            writeln!(
                text,
                "    Type {{ number: {}, name: {:?}, layout: Layout::{layout}, message_name: {:?}, message: {} }},",
                value.number(),
                value.name().trim_start_matches("TYPE_"),
                message.unwrap_or_default(),
                table.map_or("None".to_owned(), |(_, table)| format!("Some(&{table})")),
            )?;
        }
        writeln!(text, "];\n/// All kinds of images, in the order of their numbers.")?;
        writeln!(text, "pub static KINDS: &[KindRow] = &[")?;
        let kinds = self.pool.get_enum_by_name("icecore.v2.Kind").ok_or("no enum Kind")?;
        for value in kinds.values() {
            let name = value.name().trim_start_matches("KIND_");
            let v1 = match option(&value.options(), "v1_kind") {
                Some(Value::String(name)) => name,
                _ if value.number() >= 200 => String::new(),
                _ => name.to_owned(),
            };
            writeln!(text, "    KindRow {{ number: {}, name: {name:?}, v1: {v1:?} }},", value.number())?;
        }
        writeln!(text, "];\n/// All classes of ids, in the order of their numbers.")?;
        writeln!(text, "pub static CLASSES: &[(u8, &str)] = &[")?;
        let classes = self.pool.get_enum_by_name("icecore.v2.IdClass").ok_or("no enum IdClass")?;
        for value in classes.values().filter(|value| value.number() != 0) {
            writeln!(text, "    ({}, {:?}),", value.number(), value.name())?;
        }
        writeln!(text, "];")?;
        Ok(text)
    }

    fn origins(&self, message: &MessageDescriptor) -> Result<Vec<Origin>> {
        let mut origins = Vec::new();
        for value in list(option(&message.options(), "v1_message")) {
            let origin = value.as_message().ok_or("v1_message is no message")?;
            let name = text(origin, "name");
            let v1 = self.v1.get_message_by_name(&format!("icecore.v1.{name}"));
            let v1 = v1.ok_or_else(|| format!("{}: V1 has no message {name}", message.name()))?;
            let mut constants = Vec::new();
            for value in list(origin.get_field_by_name("const").map(|value| value.into_owned())) {
                let constant = value.as_message().ok_or("const is no message")?;
                let value = constant.get_field_by_name("value").and_then(|value| value.as_i64()).unwrap_or(0);
                constants.push((text(constant, "field"), value));
            }
            let by = text(origin, "by");
            let by = if by.is_empty() { None } else { v1.get_field_by_name(&by) };
            origins.push(Origin { v1, constants, by });
        }
        Ok(origins)
    }

    /// The table of one origin; where a field decides on paths, one more for each of its values.
    fn tables(
        &self,
        text: &mut String,
        message: &MessageDescriptor,
        origin: &Origin,
        name: &str,
        views: bool,
    ) -> Result<()> {
        let Some(by) = &origin.by else {
            let choice = if views { format!("Some(&{}_VIEWS)", constant(message.name())) } else { "None".to_owned() };
            return self.table(text, message, origin, name, origin.v1.name(), &choice);
        };
        let Kind::Enum(values) = by.kind() else { return Err("only an enum can choose".into()) };
        let mut rows = String::new();
        for value in values.values() {
            let inner = format!("{name}_{}", value.name().to_uppercase());
            self.table(text, message, origin, &inner, value.name(), "None")?;
            write!(rows, "({}, &{inner}), ", value.number())?;
        }
        let v2 = message.get_field_by_name(by.name()).ok_or("the field that chooses has another name in V2")?;
        writeln!(
            text,
            "static {name}_CHOICE: Choice = Choice {{ v1: {}, v2: {}, tables: &[{rows}] }};",
            by.number(),
            v2.number()
        )?;
        self.table(text, message, origin, name, "", &format!("Some(&{name}_CHOICE)"))
    }

    /// Which table a V2 message needs that was made from one of several V1 messages: a field that is always the same.
    fn views(&self, text: &mut String, message: &MessageDescriptor, origins: &[Origin]) -> Result<()> {
        let mut rows = String::new();
        let mut number = 0;
        for origin in origins {
            for field in message.fields() {
                if let Some(value) =
                    path(&field, origin.v1.name()).and_then(|path| path.strip_prefix('=').map(str::to_owned))
                {
                    number = field.number();
                    write!(rows, "({value}, &{}), ", table_name(message.name(), origin.v1.name(), true))?;
                }
            }
        }
        writeln!(
            text,
            "static {}_VIEWS: Choice = Choice {{ v1: 0, v2: {number}, tables: &[{rows}] }};",
            constant(message.name())
        )?;
        Ok(())
    }
}

fn type_message(options: &DynamicMessage) -> Option<String> {
    match option(options, "message") {
        Some(Value::String(name)) => Some(name),
        _ => None,
    }
}

fn constant(name: &str) -> String {
    name.to_uppercase()
}

fn table_name(v2: &str, v1: &str, several: bool) -> String {
    if several { format!("{}_{}", constant(v2), constant(v1)) } else { constant(v2) }
}
