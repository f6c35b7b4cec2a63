//! One table: the V1 messages whose fields stand in a V2 message, and the V2 fields, in the order of both.
#![allow(clippy::indexing_slicing, reason = "positions are made here, and a wrong one ends the build")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, Value};

use super::field::{Field, field_row, filled_by_code, from};
use super::{FILLED_BY_CODE, Origin, RAW, REST, Result, Tables, list, option, table_name};

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

impl Tables<'_> {
    pub(super) fn table(
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
        let is_special =
            fields.iter().any(|field| field.from == "Always" || option(&field.v2.options(), "id_by").is_some());
        writeln!(
            text,
            "static {name}: Message = Message {{ name: {:?}, v1: {:?}, is_special: {is_special}, choice: {choice}, nodes: &[",
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
            writeln!(text, "    {},", field_row(&fields, field)?)?;
        }
        writeln!(text, "] }};")?;
        Ok(())
    }
}

/// The path of a field in one view; `None` where it has none there.
pub(super) fn path(field: &FieldDescriptor, view: &str) -> Option<String> {
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
