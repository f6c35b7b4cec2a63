//! One error type for the whole library: what kind it is, where it happened, what was expected, and the way out.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

/// A result with icecore's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system refused: a file cannot be opened, a disk is full.
    Io,
    /// The file is wrong: truncated, inconsistent, not what its name says.
    Format,
    /// The call is wrong: no such entry, no such process, the wrong message type.
    Usage,
    /// Refused by [`Limits`](crate::Limits), before anything was allocated.
    Limit,
    /// There is no such page: an address whose content is not in the dump.
    Fault,
    /// Long work ended early because it was asked to; see [`Cancel`](crate::base::report::Cancel).
    Cancelled,
}

/// What went wrong, and where: image, entry, field, offset in the file.
///
/// Cheap to pass on (one word); the text is made when it is printed.
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    image: Option<Arc<str>>,
    entry: Option<u64>,
    field: Option<Cow<'static, str>>,
    offset: Option<u64>,
    what: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    source: Option<Arc<io::Error>>,
}

impl Error {
    #[cold]
    fn new(kind: ErrorKind, what: Cow<'static, str>) -> Self {
        Self(Box::new(Inner {
            kind,
            image: None,
            entry: None,
            field: None,
            offset: None,
            what,
            hint: None,
            source: None,
        }))
    }

    /// The file is wrong.
    pub fn format(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Format, what.into())
    }

    /// The call is wrong.
    pub fn usage(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Usage, what.into())
    }

    /// More than the limits allow.
    pub fn limit(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Limit, what.into())
    }

    /// No page at this address.
    pub fn fault(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Fault, what.into())
    }

    /// The work was asked to end, and did.
    pub fn cancelled(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Cancelled, what.into())
    }

    /// The system refused to do `what`.
    pub fn io(what: impl Into<Cow<'static, str>>, source: impl Into<io::Error>) -> Self {
        let mut error = Self::new(ErrorKind::Io, what.into());
        error.0.source = Some(Arc::new(source.into()));
        error
    }

    /// Names the image, unless an inner layer did.
    #[must_use]
    pub fn in_image(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.image.get_or_insert_with(|| name.into());
        self
    }

    /// Names the image, whatever an inner layer called it.
    #[must_use]
    pub(crate) fn renamed(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.image = Some(name.into());
        self
    }

    /// Numbers the entry, from 0, unless an inner layer did.
    #[must_use]
    pub fn at_entry(mut self, entry: u64) -> Self {
        self.0.entry.get_or_insert(entry);
        self
    }

    /// Names the field, outermost message first, unless an inner layer did.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.0.field.get_or_insert_with(|| field.into());
        self
    }

    /// Puts the name of a field around the field that is named.
    #[must_use]
    pub(crate) fn inside_field(mut self, outer: &'static str) -> Self {
        self.0.field = Some(match self.0.field.take() {
            Some(inner) => Cow::Owned(format!("{outer}.{inner}")),
            None => Cow::Borrowed(outer),
        });
        self
    }

    /// Says which page of a process it is about, by its address.
    #[must_use]
    pub(crate) fn at_page(mut self, address: u64) -> Self {
        self.0.what = Cow::Owned(format!("page {address:#x}: {}", self.0.what));
        self
    }

    /// Gives the offset in the file, in bytes, unless an inner layer did.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// Says what helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Name of the image, if it is about one.
    pub fn image(&self) -> Option<&str> {
        self.0.image.as_deref()
    }

    /// Number of the entry in its image, from 0.
    pub fn entry(&self) -> Option<u64> {
        self.0.entry
    }

    /// Path of the field in its entry, such as `core.tc.timers`.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// Offset in the file, in bytes.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// What went wrong, without the place.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// What helps, if anything is known to.
    pub fn way_out(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// As an error of the system, for what goes on by its number.
    pub(crate) fn into_io(self) -> io::Error {
        match self.0.source.as_ref().and_then(|source| source.raw_os_error()) {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::other(self),
        }
    }

    /// The system's error behind it, if there is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.0.source.as_ref().map(|source| source.kind())
    }
}

impl Clone for Error {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if let Some(image) = &inner.image {
            write!(f, "{image}: ")?;
        }
        if let Some(entry) = inner.entry {
            write!(f, "entry {entry}: ")?;
        }
        if let Some(offset) = inner.offset {
            write!(f, "offset {offset} ({offset:#x}): ")?;
        }
        if let Some(field) = &inner.field {
            write!(f, "field {field}: ")?;
        }
        f.write_str(&inner.what)?;
        if let Some(source) = &inner.source {
            write!(f, ": {source}")?;
        }
        if let Some(hint) = &inner.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where() {
        let error = Error::format("expected 4 bytes of size, found 2")
            .at_offset(26)
            .at_entry(3)
            .in_image("pstree.img")
            .in_image("an outer layer does not overwrite it")
            .hint("the file is cut short");
        assert_eq!(
            error.to_string(),
            "pstree.img: entry 3: offset 26 (0x1a): expected 4 bytes of size, found 2 (the file is cut short)"
        );
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
