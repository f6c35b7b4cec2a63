//! One field in a table: what it is in V1 and in V2, and whether one can become the other.

use std::fmt::Write as _;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, Value};

use super::{Result, list, option, text};

/// A V2 field in one table.
pub(super) struct Field {
    pub(super) v2: FieldDescriptor,
    pub(super) from: String,
    pub(super) wire: u8,
    pub(super) constant: Option<u64>,
    pub(super) message: Option<String>,
    /// V1's number; 0 if it always has the same value.
    pub(super) number: u32,
    pub(super) rank: usize,
    pub(super) always: u64,
}

/// Type of a V1 field, its wire type, and its message.
pub(super) fn from(v1: &FieldDescriptor) -> Result<(String, u8, Option<String>)> {
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
pub(super) fn filled_by_code(v2: &FieldDescriptor) -> Result<(String, u8, Option<String>)> {
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

/// Which class the id in a field has, where another field decides.
fn class_by(fields: &[Field], field: &Field) -> Result<String> {
    let Some(by) = option(&field.v2.options(), "id_by") else { return Ok("None".to_owned()) };
    let by = by.as_message().ok_or("id_by is no message")?;
    let name = text(by, "field");
    let position = fields.iter().position(|field| field.v2.name() == name);
    let position = position.ok_or_else(|| format!("{}: there is no {name}", field.v2.full_name()))?;
    let mut rows = String::new();
    for case in list(by.get_field_by_name("case").map(|value| value.into_owned())) {
        let case = case.as_message().ok_or("a case is no message")?;
        let test = |name: &str| match case.has_field_by_name(name) {
            true => case.get_field_by_name(name).and_then(|value| value.as_u64()),
            false => None,
        };
        let test = match (test("bits"), test("is")) {
            (Some(bits), None) => format!("Test::Bits({bits})"),
            (None, Some(is)) => format!("Test::Is({is})"),
            _ => return Err(format!("{}: a case is bits or is", field.v2.full_name()).into()),
        };
        let class = case.get_field_by_name("class").and_then(|value| value.as_enum_number());
        write!(rows, "({test}, {}), ", class.unwrap_or(0))?;
    }
    Ok(format!("Some(&ClassBy {{ field: {position}, cases: &[{rows}] }})"))
}

pub(super) fn field_row(fields: &[Field], field: &Field) -> Result<String> {
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
        "Uint" => !signed || number("id_class") != 0,
        _ => field.wire != 2,
    };
    if !fits && field.from != "Always" {
        return Err(format!("{}: {} does not become {to}", v2.full_name(), field.from).into());
    }
    let repeated = v2.cardinality() == Cardinality::Repeated || width > 0;
    let v1 = field.number;
    Ok(format!(
        "Field {{ number: {}, name: {:?}, v1: {v1}, rank: {}, from: From::{}, to: To::{to}, is_repeated: {repeated}, class: {}, class_by: {}, width: {width}, constant: {:?}, always: {}, message: {} }}",
        v2.number(),
        v2.name(),
        field.rank,
        field.from,
        number("id_class"),
        class_by(fields, field)?,
        field.constant,
        field.always,
        field.message.as_ref().map_or("None".to_owned(), |table| format!("Some(&{table})")),
    ))
}
