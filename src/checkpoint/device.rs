//! Device numbers.

use std::fmt;

use serde::{Serialize, Serializer};

/// A device: major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// The driver.
    pub major: u32,
    /// The device among those of the driver.
    pub minor: u32,
}

impl Device {
    /// From the kernel's own encoding: 12 bits and 20.
    pub fn from_kernel(value: u32) -> Self {
        Self { major: value >> 20, minor: value & 0xf_ffff }
    }

    /// From the C library's encoding, cut to 32 bits.
    pub fn from_libc(value: u32) -> Self {
        Self { major: value >> 8 & 0xfff, minor: value & 0xff | value >> 12 & 0xf_ff00 }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings() {
        assert_eq!(Device::from_kernel(266_338_305).to_string(), "254:1");
        assert_eq!(Device::from_libc(65025).to_string(), "254:1");
        assert_eq!(Device::from_libc(u32::MAX).to_string(), "4095:1048575");
    }
}
