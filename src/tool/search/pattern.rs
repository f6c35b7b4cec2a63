//! What is looked for: bytes, text, a regular expression.

use std::fmt::Write;
use std::ops::Range;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::HirKind;

use super::window::Shape;
use crate::base::{Error, Result};

/// What an expression without an upper bound may match for sure, wherever the bytes lie.
const UNBOUNDED: usize = 32 << 10;
/// Expressions with a bound above this are treated like those without.
const BOUNDED: usize = 1 << 20;
/// Bytes before and behind a match that decide about it: a character beside `\b`, a line end beside `$`.
const AROUND: usize = 4;
/// So many untouched zeros beside stored bytes an expression without an upper bound sees.
const ZEROS: u64 = 4096;

/// What is looked for.
///
/// Matches are those of the crates memchr and regex: leftmost, without overlaps; a match of no bytes is none. A
/// pattern with an upper bound (text, bytes, `[a-z]{1,20}`) is found wherever it lies, over the ends of pages, entries
/// and mappings. One without (`\S+`) is found if it is at most 32 KiB long; a longer match may come in pieces.
#[derive(Clone, Debug)]
pub struct Pattern {
    needle: Needle,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Needle {
    Bytes(Box<Finder<'static>>),
    Regex(Regex),
}

impl Pattern {
    /// These bytes.
    ///
    /// Errors: there are none.
    pub fn bytes(bytes: &[u8]) -> Result<Self> {
        let Some(reach) = bytes.len().checked_sub(1) else {
            return Err(Error::usage("expected something to search for, found nothing"));
        };
        let shape = Shape { reach, behind: 0, zeros: reach as u64 };
        Ok(Self { needle: Needle::Bytes(Box::new(Finder::new(bytes).into_owned())), shape })
    }

    /// This text, in upper or lower case if so wanted.
    ///
    /// Errors: it is empty.
    pub fn text(text: &str, ignore_case: bool) -> Result<Self> {
        if ignore_case && !text.is_empty() {
            Self::regex(&regex_syntax::escape(text), true)
        } else {
            Self::bytes(text.as_bytes())
        }
    }

    /// Bytes as digits of base 16, with or without blanks between them; `??` stands for any byte, `d?` for those from
    /// d0 to df.
    ///
    /// Errors: it is something else.
    pub fn hex(digits: &str) -> Result<Self> {
        let wrong = |what: &str| {
            let error = Error::usage(format!("expected bytes as pairs of digits, found {what} in {digits:?}"));
            error.hint("such as \"de ad ?? be ef\"")
        };
        let all: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
        let (pairs, rest) = all.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(wrong("an odd number"));
        }
        let digit = |c: char| match c {
            '?' => Ok(None),
            c => c.to_digit(16).map(Some).ok_or_else(|| wrong(&format!("{c:?}"))),
        };
        let (mut plain, mut expression) = (Vec::new(), "(?s-u)".to_owned());
        for &[high, low] in pairs {
            // writing to a string cannot fail
            let _ = match (digit(high)?, digit(low)?) {
                (Some(high), Some(low)) => {
                    plain.push(u8::try_from(high << 4 | low).unwrap_or(0));
                    write!(expression, "\\x{high:x}{low:x}")
                }
                (Some(high), None) => write!(expression, "[\\x{high:x}0-\\x{high:x}f]"),
                (None, Some(low)) => {
                    expression.push('[');
                    let _ = (0..16).try_for_each(|high| write!(expression, "\\x{high:x}{low:x}"));
                    expression.write_char(']')
                }
                (None, None) => expression.write_char('.'),
            };
        }
        if plain.len() == pairs.len() { Self::bytes(&plain) } else { Self::regex(&expression, false) }
    }

    /// What this expression of the crate regex matches; on bytes, so `(?-u)` and `(?s)` may be of use. `^` and `$` are
    /// the ends of what can be searched without a gap, with `(?m)` those of lines too.
    ///
    /// Errors: it is none, it is too large, or it matches no bytes.
    pub fn regex(expression: &str, ignore_case: bool) -> Result<Self> {
        let wrong = |what: String| Error::usage(format!("{expression:?} is no regular expression: {what}"));
        let parsed = ParserBuilder::new().utf8(false).case_insensitive(ignore_case).build().parse(expression);
        let hir = parsed.map_err(|error| wrong(reason(&error)))?;
        if let HirKind::Literal(literal) = hir.kind() {
            return Self::bytes(&literal.0);
        }
        let properties = hir.properties();
        let longest = properties.maximum_len();
        if longest == Some(0) {
            return Err(Error::usage(format!("{expression:?} matches no bytes")));
        }
        let regex = RegexBuilder::new(expression).case_insensitive(ignore_case).build();
        let regex = regex.map_err(|error| wrong(error.to_string()))?;
        let behind = if properties.look_set().is_empty() { 0 } else { AROUND };
        let bound = longest.filter(|longest| *longest <= BOUNDED);
        let reach = bound.unwrap_or(UNBOUNDED).saturating_sub(1).saturating_add(behind);
        let zeros = if bound.is_some() { reach as u64 } else { ZEROS };
        Ok(Self { needle: Needle::Regex(regex), shape: Shape { reach, behind, zeros } })
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// The first match that begins at `from` or later.
    #[inline]
    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<Range<usize>> {
        match &self.needle {
            Needle::Bytes(finder) => {
                let start = finder.find(bytes.get(from..)?)?.saturating_add(from);
                Some(start..start.saturating_add(finder.needle().len()))
            }
            Needle::Regex(regex) => {
                let mut from = from;
                // beyond the end it would panic
                while from <= bytes.len() {
                    let found = regex.find_at(bytes, from)?.range();
                    if !found.is_empty() {
                        return Some(found);
                    }
                    from = found.end.saturating_add(1);
                }
                None
            }
        }
    }
}

fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => format!("{} at column {}", error.kind(), error.span().start.column),
        regex_syntax::Error::Translate(error) => format!("{} at column {}", error.kind(), error.span().start.column),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(pattern: &Pattern, bytes: &[u8]) -> Option<Range<usize>> {
        pattern.find(bytes, 0)
    }

    #[test]
    fn hex_digits_and_wildcards() {
        let bytes = b"\x00\xde\xad\x0a\xbe\xef\xde\xad\xbe\xef";
        assert_eq!(first(&Pattern::hex("de ad be ef").unwrap(), bytes), Some(6..10));
        assert_eq!(first(&Pattern::hex("DEAD??beef").unwrap(), bytes), Some(1..6));
        assert_eq!(first(&Pattern::hex("a? 0? ?e").unwrap(), bytes), Some(2..5));
        assert_eq!(first(&Pattern::hex("b?").unwrap(), bytes), Some(4..5));
        for wrong in ["", "d", "dea", "xx", "de ad b"] {
            let error = Pattern::hex(wrong).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Usage, "{wrong}: {error}");
        }
    }

    #[test]
    fn how_far_patterns_reach() {
        let reach = |expression: &str| Pattern::regex(expression, false).unwrap().shape().reach;
        assert_eq!(reach("abc"), 2);
        assert_eq!(reach("[a-c]{2,7}x"), 7);
        assert_eq!(reach(r"\babc"), 2 + AROUND);
        assert_eq!(reach("a+"), UNBOUNDED - 1);
        for (wrong, what) in [("a(", "unclosed group at column 2"), ("^", "matches no bytes"), ("", "matches no bytes")]
        {
            let error = Pattern::regex(wrong, false).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn what_matches_no_bytes_is_passed_over() {
        let pattern = Pattern::regex("a*", false).unwrap();
        assert_eq!(first(&pattern, b"bbaab"), Some(2..4));
        assert_eq!(pattern.find(b"bbaab", 4), None);
        assert_eq!(first(&Pattern::text("\u{c9}t\u{e9}", true).unwrap(), "\u{e9}T\u{c9}".as_bytes()), Some(0..5));
    }
}
