//! Fixed fields with their tags, of which headers and elements of arrays are made.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A `fixed32` field: its tag and four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Fixed32 {
    tag: u8,
    value: U32,
}

/// A `fixed64` field: its tag and eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Fixed64 {
    tag: u8,
    value: U64,
}

impl Fixed32 {
    /// Field `number`, below 16, with this value.
    #[must_use]
    pub const fn new(number: u8, value: u32) -> Self {
        Self { tag: number << 3 | 5, value: U32::new(value) }
    }

    /// The value.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.value.get()
    }

    /// Whether the tag is that of this field.
    #[inline]
    #[must_use]
    pub const fn is(self, number: u8) -> bool {
        self.tag == number << 3 | 5
    }
}

impl Fixed64 {
    /// Field `number`, below 16, with this value.
    #[must_use]
    pub const fn new(number: u8, value: u64) -> Self {
        Self { tag: number << 3 | 1, value: U64::new(value) }
    }

    /// The value.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.value.get()
    }

    /// Whether the tag is that of this field.
    #[inline]
    #[must_use]
    pub const fn is(self, number: u8) -> bool {
        self.tag == number << 3 | 1
    }
}

/// A struct of fixed fields that lies over a message: new, tags, values.
macro_rules! fixed_message {
    ($(#[$doc:meta])* $name:ident [$size:literal] { $($(#[$field_doc:meta])* $field:ident = $number:literal: $ty:ident $value:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable, zerocopy::Unaligned)]
        #[repr(C)]
        pub struct $name { $($field: $crate::wire::v2::fixed::$ty,)* }

        const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 1);

        impl $name {
            /// One with these values.
            #[allow(clippy::too_many_arguments)]
            #[must_use]
            pub const fn new($($field: $value),*) -> Self {
                Self { $($field: $crate::wire::v2::fixed::$ty::new($number, $field),)* }
            }

            /// Whether the tags are those of this message.
            #[inline]
            #[must_use]
            pub const fn has_tags(&self) -> bool {
                // without branches: over an array this is one loop of wide comparisons
                true $(& self.$field.is($number))*
            }

            $($(#[$field_doc])*
            #[inline]
            #[must_use]
            pub const fn $field(&self) -> $value {
                self.$field.get()
            })*
        }
    };
}
pub(crate) use fixed_message;
