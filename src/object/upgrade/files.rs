//! Complaint: "file_entry: type and id twice, a union by convention". In V2 a file is an object of its own type; one
//! that is not what its type says is an `UnknownFile`.

use crate::base::{Error, Result};
use crate::object::upgrade::{edit, write};
use crate::wire::field::{Fields, Value};
use crate::wire::varint;

// file_entry
const TYPE: u32 = 1;
const ID: u32 = 2;
/// The message of an object that is no other's.
pub(super) const UNION: &str = "file_entry";

/// Members of `file_entry`: field, `fd_types`, message.
const MEMBERS: [(u32, u64, &str); 20] = [
    (3, 1, "reg_file_entry"),
    (4, 4, "inet_sk_entry"),
    (5, 14, "ns_file_entry"),
    (6, 10, "packet_sock_entry"),
    (7, 13, "netlink_sk_entry"),
    (8, 6, "eventfd_file_entry"),
    (9, 7, "eventpoll_file_entry"),
    (10, 9, "signalfd_entry"),
    (11, 15, "tunfile_entry"),
    (12, 17, "timerfd_entry"),
    (13, 8, "inotify_file_entry"),
    (14, 12, "fanotify_file_entry"),
    (15, 16, "ext_file_entry"),
    (16, 5, "unix_sk_entry"),
    (17, 3, "fifo_entry"),
    (18, 2, "pipe_entry"),
    (19, 11, "tty_file_entry"),
    (20, 18, "memfd_file_entry"),
    (21, 19, "bpfmap_file_entry"),
    (22, 20, "pidfd_entry"),
];

/// The message of a file without the union around it, and its name.
///
/// Errors: it is no protobuf message.
pub(super) fn up(message: &[u8]) -> Result<(&'static str, &[u8])> {
    let mut numbers = [None; 2];
    let mut member = None;
    let mut count = 0u32;
    for field in Fields::new(message) {
        let field = field.map_err(edit::wire)?;
        count = count.saturating_add(1);
        match (field.number, field.value) {
            (TYPE, Value::Varint(value)) => numbers[0] = Some(value),
            (ID, Value::Varint(value)) => numbers[1] = Some(value),
            (number, Value::Bytes(value)) => member = Some((number, value)),
            _ => {}
        }
    }
    if let ([Some(ty), Some(id)], Some((number, value)), 3) = (numbers, member, count)
        && let Some((.., name)) = MEMBERS.iter().find(|row| (row.0, row.1) == (number, ty))
        && matches!(edit::last_number(value, ID_INSIDE), Ok(Some(inner)) if inner == id)
    {
        return Ok((name, value));
    }
    Ok((UNION, message))
}

/// All members have their id first.
const ID_INSIDE: u32 = 1;

/// The union around the message of a file.
///
/// Errors: it is no protobuf message, or has no id.
pub(super) fn down(name: &str, message: &[u8]) -> Result<Vec<u8>> {
    let Some((number, ty, _)) = MEMBERS.iter().find(|row| row.2 == name) else { return Ok(message.to_vec()) };
    let Some(id) = edit::last_number(message, ID_INSIDE)? else {
        return Err(Error::format("expected the id of a file, found none").in_field("id"));
    };
    let mut out = Vec::with_capacity(message.len().saturating_add(24));
    for (number, value) in [(TYPE, *ty), (ID, id)] {
        write::key(&mut out, number, 0);
        varint::write(&mut out, value);
    }
    write::bytes(&mut out, *number, message);
    Ok(out)
}

/// Whether objects of this type stand in `files.img`.
pub(super) fn is_file(name: &str) -> bool {
    name == UNION || MEMBERS.iter().any(|row| row.2 == name)
}
