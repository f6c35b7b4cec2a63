//! Counts of bytes for people.

use std::fmt;

/// A count of bytes, printed in the unit that leaves one to four digits: `512`, `12K`, `1.5M`. Units are powers of
/// 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = 1u64;
        let mut letters = "KMGTPE".chars();
        let mut letter = None;
        while self.0 / unit >= 1024 {
            unit <<= 10;
            letter = letters.next();
        }
        let (whole, tenths) = (self.0 / unit, u128::from(self.0 % unit) * 10 / u128::from(unit));
        match letter {
            None => f.pad(&whole.to_string()),
            Some(letter) if whole >= 10 || tenths == 0 => f.pad(&format!("{whole}{letter}")),
            Some(letter) => f.pad(&format!("{whole}.{tenths}{letter}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let sizes = [0, 1023, 1024, 1536, 10 << 10, 4 << 20, 1_600_000, u64::MAX];
        let texts = ["0", "1023", "1K", "1.5K", "10K", "4M", "1.5M", "15E"];
        assert_eq!(sizes.map(|size| Size(size).to_string()), texts);
    }
}
