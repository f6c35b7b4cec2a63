//! `check --v1`: the list "What's bad with V1 images" of CRIU's wiki, measured on a checkpoint, point by point; and how
//! version 2 answers each.

mod frames;
mod pages;
mod points;
mod survey;
mod wish;

pub use wish::Wish;

use crate::base::Result;
use crate::base::report::{Cancel, Progress, Rows};
use crate::checkpoint::Checkpoint;
use survey::Survey;

/// Measures the twenty points of the list on a checkpoint, and hands them out in their order. One of version 2 is
/// measured as the files of version 1 that it stands for, and beside that as it is. All pages are read.
///
/// Errors: its tasks cannot be listed; records of version 2 are broken; `out` wants no more; it was cancelled. Other
/// images that cannot be read are left out: checking tells which.
pub fn wishes(dump: &Checkpoint, out: &mut dyn Rows<Wish>, control: (&dyn Progress, &Cancel)) -> Result<()> {
    let survey = Survey::take(dump, control)?;
    let mut wishes = points::wishes(&survey);
    wishes.extend(frames::wishes(&survey));
    wishes.push(pages::wish(&survey, control)?);
    wishes.sort_by_key(|wish| wish.number);
    wishes.into_iter().try_for_each(|wish| out.row(wish))
}
