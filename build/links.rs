//! The options that say which numbers lead from image to image, as constants.

use std::collections::HashSet;
use std::error::Error;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value};

const ROLES: [(&str, &str); 3] = [("defines", "Defines"), ("knows", "Knows"), ("refers", "Refers")];

/// Enum of the types of files.
const TYPES: &str = "icecore.v1.fd_types";

fn option(field: &FieldDescriptor, name: &str) -> Option<Value> {
    let options = field.options();
    let found = options.extensions().find(|(extension, _)| extension.name() == name);
    found.map(|(_, value)| value.clone())
}

fn role(field: &FieldDescriptor) -> Option<(&'static str, String)> {
    ROLES.iter().find_map(|(name, role)| Some((*role, option(field, name)?.as_str()?.to_owned())))
}

/// Whether a message has such a number, or a message in it.
pub(crate) fn any_in(message: &MessageDescriptor) -> bool {
    fn look(message: &MessageDescriptor, seen: &mut HashSet<String>) -> bool {
        seen.insert(message.full_name().to_owned())
            && message.fields().any(|field| match field.kind() {
                Kind::Message(inner) => look(&inner, seen),
                _ => role(&field).is_some(),
            })
    }
    look(message, &mut HashSet::new())
}

/// `Some(Link { ... })`, or `None`.
pub(crate) fn row(field: &FieldDescriptor) -> Result<String, Box<dyn Error>> {
    let Some((role, named)) = role(field) else { return Ok("None".to_owned()) };
    let (class, of_type) = named.split_once(':').unwrap_or((&named, "any"));
    let class: String = class.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect();
    let of_type = match of_type {
        "any" => "Any".to_owned(),
        of_type => match field.parent_message().get_field_by_name(of_type) {
            Some(field) => format!("Field({})", field.number()),
            None => {
                let types = field.parent_file().parent_pool().get_enum_by_name(TYPES).ok_or("no types of files")?;
                let known = types.get_value_by_name(of_type);
                let known = known.ok_or_else(|| format!("{}: no file is of type {of_type}", field.full_name()))?;
                format!("Is({})", known.number())
            }
        },
    };
    let none = match option(field, "none") {
        Some(value) => format!("Some({})", value.as_u64().ok_or("none is no number")?),
        None => "None".to_owned(),
    };
    Ok(format!("Some(Link {{ class: Class::{class}, of_type: OfType::{of_type}, role: Role::{role}, none: {none} }})"))
}
