//! Original bytes that are kept beside an object, and no longer say what it says: somebody edited the one and not the
//! other. On the way back to version 1 the bytes win.

use crate::base::Result;
use crate::image::{Kind, Shape};
use crate::object::upgrade::context::Context;
use crate::object::upgrade::entry::{self, Given, Of, Room};
use crate::object::upgrade::image::{Rec, items};
use crate::object::upgrade::schema::Type;

/// Calls `each` with the number and the place of every object in these records whose `v1_raw` does not become that
/// object.
///
/// Errors: `records`'; a record is broken.
pub(super) fn odd<'a>(
    kind: Kind,
    id: u64,
    records: &mut dyn Iterator<Item = Result<Rec<'a>>>,
    context: &Context<'_>,
    mut each: impl FnMut(u64, u64),
) -> Result<()> {
    let of = Of { kind, id, context };
    let mut number = 0u64;
    let (mut room, mut back) = (Room::default(), Vec::new());
    for record in records {
        let record = record?;
        let Some(ty) = Type::by_number(record.object_type).filter(|ty| ty.message.is_some()) else { continue };
        for object in items(&record)? {
            let (is_first, index) = (number == 0, number);
            number = number.saturating_add(1);
            if entry::raw_of(object)?.is_none() {
                continue;
            }
            back.clear();
            // what cannot be turned back is told of where the image is read
            if entry::down(of, is_first, ty, object, &mut back).is_err() {
                continue;
            }
            let width = if kind.row().shape == Shape::Plugin { 8 } else { 4 };
            let message = back.get(width..).unwrap_or_default();
            let again = entry::raw(of, Given { is_first, message, payload: &[] }, &mut room);
            if again.is_err() || room.object != object {
                each(index, record.offset);
            }
        }
    }
    Ok(())
}
