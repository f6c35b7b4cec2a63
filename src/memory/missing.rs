//! Why a page that a process could have touched is not in the dump.

use std::fmt;

use crate::base::Error;

/// Why there is no content. A page of this state is never passed off as zeros.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Missing {
    /// It was left to a server of pages (`PE_LAZY` without `PE_PRESENT`).
    Lazy,
    /// The pagemap says that the dump before has it, and none of those before has.
    NotInParent {
        /// The dump that lacks it.
        dump: String,
    },
    /// The pagemap says that the dump before has it, and there is no dump before.
    NoParent {
        /// The dump without a `parent` link.
        dump: String,
    },
    /// The kernel makes it: vvar, vsyscall.
    Kernel,
    /// A device or a socket has it.
    Device,
    /// The dump does not say what is mapped, as pre-dumps do not.
    Unknown,
    /// The mapping is longer than what it maps.
    BeyondEnd,
    /// The image that should say is broken, or not there.
    Broken(Error),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lazy => f.write_str("it was left to a server of pages (lazy) and is not in the dump"),
            Self::NotInParent { dump } => write!(f, "it should be in a parent dump, and {dump} does not have it"),
            Self::NoParent { dump } => write!(f, "it should be in a parent dump, and {dump} has no parent link"),
            Self::Kernel => f.write_str("the kernel makes this page anew at each restore"),
            Self::Device => f.write_str("a device or a socket has this page"),
            Self::Unknown => f.write_str("a pre-dump does not say what is mapped there"),
            Self::BeyondEnd => f.write_str("the mapping goes on behind the end of what it maps"),
            Self::Broken(error) => write!(f, "{error}"),
        }
    }
}

impl Missing {
    /// As an error about the page at `address`.
    pub fn fault(&self, address: u64) -> Error {
        match self {
            // the image is what has to be looked at
            Self::Broken(error) => error.clone(),
            _ => Error::fault(format!("no page at {address:#x}: {self}")),
        }
    }
}
