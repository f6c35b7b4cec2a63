//! Compiles `proto/v2/*.proto`: the descriptor set, structs of the container's own messages, and the tables that turn
//! V1 messages into V2 messages and back. Where a V2 field has no V1 field it could come from, the build ends here.
#![allow(clippy::indexing_slicing, reason = "positions are made here, and a wrong one ends the build")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prost_reflect::{Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

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

/// A V1 message, or one inside it whose fields stand in the same V2 message.
struct Node {
    v1: MessageDescriptor,
    rows: BTreeMap<u32, Row>,
    ranks: (usize, usize),
}

enum Row {
    Field(usize),
    Node(usize),
    Constant(u64),
}

/// A V2 field in one table.
struct Field {
    v2: FieldDescriptor,
    from: String,
    wire: u8,
    constant: Option<u64>,
    message: Option<String>,
    /// V1's number; 0 if it always has the same value.
    number: u32,
    rank: usize,
    always: u64,
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
                Some(Value::EnumNumber(number)) => number,
                _ => 0,
            };
            let layout = ["List", "Single", "Array", "Empty"][usize::try_from(layout)?];
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

    fn table(
        &self,
        text: &mut String,
        message: &MessageDescriptor,
        origin: &Origin,
        name: &str,
        view: &str,
        choice: &str,
    ) -> Result<()> {
        let mut nodes = vec![Node { v1: origin.v1.clone(), rows: BTreeMap::new(), ranks: (0, 0) }];
        let mut fields = Vec::new();
        let mut descriptors: Vec<FieldDescriptor> = message.fields().collect();
        descriptors.sort_by_key(FieldDescriptor::number);
        for v2 in descriptors {
            if [REST, RAW].contains(&v2.number()) {
                continue;
            }
            let Some(path) = path(&v2, view) else { continue };
            let place = || format!("{} of {}", v2.name(), message.name());
            if let Some(value) = path.strip_prefix('=') {
                let always = value.parse()?;
                let from = "Always".to_owned();
                fields.push(Field { v2, from, wire: 0, constant: None, message: None, number: 0, rank: 0, always });
                continue;
            }
            let (node, last) = descend(&mut nodes, &path).map_err(|error| format!("{}: {error}", place()))?;
            let (number, v1) = match last.strip_prefix('#') {
                Some(number) => (FILLED_BY_CODE + number.parse::<u32>()?, None),
                None => {
                    let v1 = nodes[node].v1.get_field_by_name(&last);
                    let v1 = v1.ok_or_else(|| format!("{}: {} has no {last}", place(), nodes[node].v1.name()))?;
                    (v1.number(), Some(v1))
                }
            };
            let (from, wire, inner) = match &v1 {
                Some(v1) => from(v1)?,
                None => filled_by_code(&v2)?,
            };
            if let Some(v1) = &v1
                && v1.is_list() != v2.is_list()
                && option(&v2.options(), "width").is_none()
            {
                return Err(format!("{}: one is repeated, the other is not", place()).into());
            }
            let message = match v2.kind() {
                Kind::Message(to) => {
                    let origins = self.origins(&to)?;
                    let v1 = match &inner {
                        Some(inner) => origins.iter().find(|origin| origin.v1.name() == inner),
                        None => origins.first(),
                    };
                    let v1 = v1.ok_or_else(|| format!("{}: {} is not made from {inner:?}", place(), to.name()))?;
                    Some(table_name(to.name(), v1.v1.name(), origins.len() > 1))
                }
                _ => None,
            };
            if nodes[node].rows.insert(number, Row::Field(fields.len())).is_some() {
                return Err(format!("{}: two fields for one of V1's", place()).into());
            }
            fields.push(Field { v2, from, wire, constant: None, message, number, rank: 0, always: 0 });
        }
        for (constant, value) in &origin.constants {
            let (node, last) = descend(&mut nodes, constant)?;
            let v1 = nodes[node].v1.get_field_by_name(&last).ok_or_else(|| format!("V1 has no {constant}"))?;
            let wire = match v1.kind() {
                Kind::Sint32 | Kind::Sint64 => (value << 1 ^ value >> 63).cast_unsigned(),
                _ => value.cast_unsigned(),
            };
            match nodes[node].rows.get(&v1.number()) {
                Some(Row::Field(index)) => fields[*index].constant = Some(wire),
                _ => {
                    nodes[node].rows.insert(v1.number(), Row::Constant(wire));
                }
            }
        }
        rank(&mut nodes, &mut fields, 0, &mut 0);
        writeln!(
            text,
            "static {name}: Message = Message {{ name: {:?}, v1: {:?}, choice: {choice}, nodes: &[",
            message.name(),
            origin.v1.name()
        )?;
        for node in &nodes {
            write!(text, "    Node {{ ranks: {}..{}, rows: &[", node.ranks.0, node.ranks.1)?;
            for (number, row) in &node.rows {
                let row = match row {
                    Row::Field(index) => format!("Place::Field({index})"),
                    Row::Node(index) => format!("Place::Node({index})"),
                    Row::Constant(value) => format!("Place::Constant({value})"),
                };
                write!(text, "Row {{ number: {number}, place: {row} }}, ")?;
            }
            writeln!(text, "] }},")?;
        }
        writeln!(text, "], fields: &[")?;
        for field in &fields {
            writeln!(text, "    {},", field_row(field)?)?;
        }
        writeln!(text, "] }};")?;
        Ok(())
    }
}

/// The path of a field in one view; `None` where it has none there.
fn path(field: &FieldDescriptor, view: &str) -> Option<String> {
    let paths = list(option(&field.options(), "v1"));
    if paths.is_empty() {
        return Some(field.name().to_owned());
    }
    paths.iter().filter_map(Value::as_str).find_map(|path| match path.split_once(": ") {
        Some((of, path)) => (of == view).then(|| path.to_owned()),
        None => Some(path.to_owned()),
    })
}

/// The node that a dotted path leads to, made where it is new, and the last name in the path.
fn descend(nodes: &mut Vec<Node>, path: &str) -> Result<(usize, String)> {
    let mut node = 0;
    let mut names: Vec<&str> = path.split('.').collect();
    let last = names.pop().unwrap_or_default().to_owned();
    for name in names {
        let field = nodes[node].v1.get_field_by_name(name).ok_or_else(|| format!("V1 has no {name}"))?;
        let Kind::Message(inner) = field.kind() else { return Err(format!("{name} is no message").into()) };
        node = match nodes[node].rows.get(&field.number()) {
            Some(Row::Node(node)) => *node,
            Some(_) => return Err(format!("{name} is taken as a whole").into()),
            None => {
                nodes.push(Node { v1: inner, rows: BTreeMap::new(), ranks: (0, 0) });
                let new = nodes.len() - 1;
                nodes[node].rows.insert(field.number(), Row::Node(new));
                new
            }
        };
    }
    Ok((node, last))
}

/// Numbers the fields in the order in which V1 has them, what is inside a message with it.
fn rank(nodes: &mut [Node], fields: &mut [Field], node: usize, next: &mut usize) {
    let from = *next;
    let rows: Vec<(bool, usize)> = nodes[node]
        .rows
        .values()
        .filter_map(|row| match row {
            Row::Field(index) => Some((false, *index)),
            Row::Node(index) => Some((true, *index)),
            Row::Constant(_) => None,
        })
        .collect();
    for (is_node, index) in rows {
        if is_node {
            rank(nodes, fields, index, next);
        } else {
            fields[index].rank = *next;
            *next += 1;
        }
    }
    nodes[node].ranks = (from, *next);
}

/// Type of a V1 field, its wire type, and its message.
fn from(v1: &FieldDescriptor) -> Result<(String, u8, Option<String>)> {
    if v1.is_packed() {
        return Err(format!("{}: packed V1 fields are not provided for", v1.full_name()).into());
    }
    Ok(match v1.kind() {
        Kind::Int32 => ("Int32".into(), 0, None),
        Kind::Int64 => ("Int64".into(), 0, None),
        Kind::Uint32 => ("Uint32".into(), 0, None),
        Kind::Uint64 => ("Uint64".into(), 0, None),
        Kind::Sint32 => ("Sint32".into(), 0, None),
        Kind::Sint64 => ("Sint64".into(), 0, None),
        Kind::Bool => ("Bool".into(), 0, None),
        Kind::Enum(_) => ("Int32".into(), 0, None),
        Kind::Fixed32 => ("Fixed32".into(), 5, None),
        Kind::Fixed64 => ("Fixed64".into(), 1, None),
        Kind::String | Kind::Bytes => ("Bytes".into(), 2, None),
        Kind::Message(inner) => ("Message".into(), 2, Some(inner.name().to_owned())),
        other => return Err(format!("{}: no V1 message has a {other:?}", v1.full_name()).into()),
    })
}

/// The same for a field that code fills: what fits the V2 field.
fn filled_by_code(v2: &FieldDescriptor) -> Result<(String, u8, Option<String>)> {
    Ok(match v2.kind() {
        Kind::Uint64 => ("Uint64".into(), 0, None),
        Kind::Sint64 => ("Int64".into(), 0, None),
        Kind::Enum(_) => ("Int32".into(), 0, None),
        Kind::Bool => ("Bool".into(), 0, None),
        Kind::Bytes => ("Bytes".into(), 2, None),
        Kind::Message(_) => ("Message".into(), 2, None),
        other => return Err(format!("{}: code cannot fill a {other:?}", v2.full_name()).into()),
    })
}

fn field_row(field: &Field) -> Result<String> {
    let v2 = &field.v2;
    let options = v2.options();
    let number = |name: &str| match option(&options, name) {
        Some(Value::U32(value)) => i64::from(value),
        Some(Value::EnumNumber(value)) => i64::from(value),
        _ => 0,
    };
    let to = match v2.kind() {
        Kind::Uint64 => "Uint",
        Kind::Sint64 => "Sint",
        Kind::Bool => "Bool",
        Kind::Enum(_) => "Enum",
        Kind::Fixed32 => "Fixed32",
        Kind::Fixed64 => "Fixed64",
        Kind::Bytes => "Bytes",
        Kind::Message(_) => "Message",
        other => return Err(format!("{}: no V2 message has a {other:?}", v2.full_name()).into()),
    };
    let width = number("width");
    let signed = field.from.starts_with("Int") || field.from.starts_with("Sint");
    let fits = match to {
        "Bytes" if width > 0 => field.wire != 2,
        "Bytes" | "Message" => field.from == to,
        "Sint" => signed,
        "Bool" => field.from == "Bool",
        "Uint" => !signed || number("id") != 0,
        _ => field.wire != 2,
    };
    if !fits && field.from != "Always" {
        return Err(format!("{}: {} does not become {to}", v2.full_name(), field.from).into());
    }
    let repeated = v2.cardinality() == Cardinality::Repeated || width > 0;
    let v1 = field.number;
    Ok(format!(
        "Field {{ number: {}, name: {:?}, v1: {v1}, rank: {}, from: From::{}, to: To::{to}, is_repeated: {repeated}, class: {}, width: {width}, constant: {:?}, always: {}, message: {} }}",
        v2.number(),
        v2.name(),
        field.rank,
        field.from,
        number("id"),
        field.constant,
        field.always,
        field.message.as_ref().map_or("None".to_owned(), |table| format!("Some(&{table})")),
    ))
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
