//! Complaint: "unify inotify and fanotify". In V2 both are a group with marks, and a field says which of the two it is;
//! the tables do the rest. Here is what the way back asks for: which V1 message an object is.

use crate::base::{Error, Result};
use crate::object::upgrade::edit;
use crate::object::upgrade::schema::Message;

/// Name of the V1 message that an object becomes.
///
/// Errors: it is no protobuf message, or made from several V1 messages and does not say from which.
pub(super) fn v1_name(message: &'static Message, object: &[u8]) -> Result<&'static str> {
    let Some(choice) = message.choice.filter(|choice| choice.v1 == 0) else { return Ok(message.v1) };
    let value = edit::last_number(object, choice.v2)?;
    match choice.tables.iter().find(|(known, _)| Some(*known) == value) {
        Some((_, table)) => Ok(table.v1),
        None => Err(Error::format(format!("expected which interface a {} belongs to, found none known", message.name))
            .in_field("backend")),
    }
}
