//! Counts of pages: how many are the same, how many are not, and how many cannot be compared and why.

use serde::Serialize;

use crate::memory::Missing;

/// What became of the pages of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Pages with the same bytes on both sides.
    pub same: u64,
    /// Pages in neither dump that both sides have from the same place of the same file. Whether that file has changed
    /// no dump says.
    pub same_unread: u64,
    /// Pages whose bytes differ.
    pub changed: u64,
    /// How many bytes of these differ.
    pub bytes_changed: u64,
    /// Of the changed pages: those with zeros alone before.
    pub was_zero: u64,
    /// Of the changed pages: those with zeros alone after.
    pub became_zero: u64,
    /// Pages with bytes where the first dump has nothing mapped.
    pub added: u64,
    /// Pages with bytes where the second dump has nothing mapped.
    pub gone: u64,
    /// Pages in shared memory that are counted elsewhere, once for all who map it.
    pub shared: u64,
    /// Pages that at least one side has no bytes of, by what each side has instead.
    pub not_comparable: Vec<NotComparable>,
}

/// Pages that cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotComparable {
    /// What the first dump has.
    pub a: State,
    /// What the second has.
    pub b: State,
    /// How many pages.
    pub pages: u64,
}

/// What a dump has of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// Its bytes.
    Stored,
    /// Zeros.
    Zero,
    /// The name of the file that has it.
    File,
    /// Nothing: left to a server of pages.
    Lazy,
    /// Nothing: it should be in a parent dump.
    NotInParent,
    /// Nothing: the kernel makes it.
    Kernel,
    /// Nothing: a device or a socket has it.
    Device,
    /// Nothing: a pre-dump does not say what is mapped.
    Unknown,
    /// Nothing: the mapping goes on behind the end of what it maps.
    BeyondEnd,
    /// Nothing that can be read.
    Broken,
}

impl State {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Zero => "zero",
            Self::File => "file",
            Self::Lazy => "lazy",
            Self::NotInParent => "not_in_parent",
            Self::Kernel => "kernel",
            Self::Device => "device",
            Self::Unknown => "unknown",
            Self::BeyondEnd => "beyond_end",
            Self::Broken => "broken",
        }
    }

    pub(super) fn of(missing: &Missing) -> Self {
        match missing {
            Missing::Lazy => Self::Lazy,
            Missing::NotInParent { .. } | Missing::NoParent { .. } => Self::NotInParent,
            Missing::Kernel => Self::Kernel,
            Missing::Device => Self::Device,
            Missing::Unknown => Self::Unknown,
            Missing::BeyondEnd => Self::BeyondEnd,
            Missing::Broken(_) => Self::Broken,
        }
    }
}

impl Counts {
    /// Pages that cannot be compared.
    pub fn not_comparable(&self) -> u64 {
        self.not_comparable.iter().fold(0, |sum, some| sum.saturating_add(some.pages))
    }

    /// Whether something differs. Pages that cannot be compared do where the sides have different things: one has the
    /// bytes, the other the name of a file.
    pub fn is_different(&self) -> bool {
        self.changed > 0
            || self.added > 0
            || self.gone > 0
            || self.not_comparable.iter().any(|some| some.a != some.b || some.a == State::File)
    }

    pub(super) fn cannot(&mut self, a: State, b: State, pages: u64) {
        match self.not_comparable.iter_mut().find(|some| (some.a, some.b) == (a, b)) {
            Some(some) => some.pages = some.pages.saturating_add(pages),
            None => {
                self.not_comparable.push(NotComparable { a, b, pages });
                self.not_comparable.sort_unstable();
            }
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.same, other.same),
            (&mut self.same_unread, other.same_unread),
            (&mut self.changed, other.changed),
            (&mut self.bytes_changed, other.bytes_changed),
            (&mut self.was_zero, other.was_zero),
            (&mut self.became_zero, other.became_zero),
            (&mut self.added, other.added),
            (&mut self.gone, other.gone),
            (&mut self.shared, other.shared),
        ] {
            *sum = sum.saturating_add(more);
        }
        for some in &other.not_comparable {
            self.cannot(some.a, some.b, some.pages);
        }
    }

    /// What there is to say of them beside the numbers of a table.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                words.push(format!("{count} {what}"));
            }
        };
        say(self.bytes_changed, "bytes changed");
        say(self.was_zero, "were zeros");
        say(self.became_zero, "became zeros");
        say(self.same_unread, "in the same file");
        say(self.shared, "shared");
        for some in &self.not_comparable {
            words.push(format!("{} not comparable ({} / {})", some.pages, some.a.name(), some.b.name()));
        }
        words
    }
}
