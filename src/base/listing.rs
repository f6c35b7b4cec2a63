//! Several objects of which some may be broken.

use std::cmp::Ordering;
use std::ops::Deref;

use crate::base::{Error, Result};

/// What could be read, and what could not: an error that concerns one object does not cost the others.
///
/// **A loop over a listing sees what could be read and no more.** What of [`problems`](Self::problems) is to become?
///
/// | wanted | say |
/// |---|---|
/// | everything, or the first error | [`all`](Self::all): `for task in dump.tasks()?.all()?` |
/// | each object, or why it is not there | [`results`](Self::results): `for task in dump.tasks()?.results()` |
/// | the objects, and the errors apart | `let Listing { items, problems } = dump.tasks()?` |
/// | what could be read, and no errors | `for task in dump.tasks()?` |
///
/// ```
/// use icecore::{Error, base::Listing};
///
/// let found = || Listing::from_iter([Ok(1), Err(Error::format("the second is broken")), Ok(3)]);
/// assert_eq!(found().into_iter().sum::<i32>(), 4); // nobody hears of the second
/// assert!(found().all().is_err());
/// assert_eq!(found().results().filter(|result| result.is_err()).count(), 1);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Listing<T> {
    /// The objects, in the order of the dump.
    pub items: Vec<T>,
    /// One error for each object that is not among them; of more than a thousand, the first.
    pub problems: Vec<Error>,
}

/// So many errors are kept of one list: a broken dump may have one for each of a hundred million entries.
const KEPT: usize = 1000;

/// Adds errors to those kept, up to a bound; of those beyond it only that there are some.
pub(crate) fn keep(problems: &mut Vec<Error>, errors: impl IntoIterator<Item = Error>) {
    for error in errors {
        match problems.len().cmp(&KEPT) {
            Ordering::Less => problems.push(error),
            Ordering::Equal => problems.push(Error::limit("what else cannot be read is not told, there is too much")),
            Ordering::Greater => return,
        }
    }
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { items: Vec::new(), problems: Vec::new() }
    }
}

impl<T> Listing<T> {
    /// The objects, or the first error if there is one.
    pub fn all(self) -> Result<Vec<T>> {
        match self.problems.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(self.items),
        }
    }

    /// The objects, then the errors: nothing is lost to whoever loops over them.
    pub fn results(self) -> impl Iterator<Item = Result<T>> {
        self.items.into_iter().map(Ok).chain(self.problems.into_iter().map(Err))
    }

    /// Adds an object, or the reason why there is none.
    pub fn push(&mut self, item: Result<T>) {
        match item {
            Ok(item) => self.items.push(item),
            Err(error) => keep(&mut self.problems, [error]),
        }
    }
}

impl<T> Deref for Listing<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

/// The objects alone; [`results`](Listing::results) has the errors too.
impl<T> IntoIterator for Listing<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// The objects alone.
impl<'a, T> IntoIterator for &'a Listing<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<T> FromIterator<Result<T>> for Listing<T> {
    fn from_iter<I: IntoIterator<Item = Result<T>>>(items: I) -> Self {
        let mut listing = Self::default();
        items.into_iter().for_each(|item| listing.push(item));
        listing
    }
}
