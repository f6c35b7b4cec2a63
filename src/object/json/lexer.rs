//! Reads JSON token by token from a slice: no tree, no copies but of strings with escapes.

use std::borrow::Cow;

use crate::base::{Error, Result};
use crate::object::json::digits::digits;
use crate::object::json::escape::unescape;
pub(crate) use crate::object::json::token::Token;

/// A position in JSON text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// What is still to be read.
    #[inline]
    pub(crate) fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Goes on by `length` bytes, which were read from [`rest`](Self::rest).
    #[inline]
    pub(crate) fn advance(&mut self, length: usize) {
        self.at = self.at.saturating_add(length);
    }

    /// An error at the current position.
    #[cold]
    pub(crate) fn error(&self, what: impl Into<Cow<'static, str>>) -> Error {
        Error::format(what).at_offset(self.at as u64)
    }

    #[cold]
    fn expected(&self, what: &'static str) -> Error {
        match self.text.get(self.at) {
            Some(&byte) if byte.is_ascii_graphic() => {
                self.error(format!("expected {what}, found `{}`", char::from(byte)))
            }
            Some(&byte) => self.error(format!("expected {what}, found the byte {byte:#04x}")),
            None => self.error(format!("expected {what}, found the end of the JSON")),
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.step();
        }
    }

    /// What the next value is. Does not go past it.
    #[inline]
    pub(crate) fn token(&mut self) -> Result<Token> {
        self.space();
        Ok(match self.peek() {
            Some(b'0'..=b'9' | b'-') => Token::Number,
            Some(b'"') => Token::String,
            Some(b'{') => Token::Object,
            Some(b'[') => Token::Array,
            Some(b't') => Token::True,
            Some(b'f') => Token::False,
            Some(b'n') => Token::Null,
            _ => return Err(self.expected("a value")),
        })
    }

    /// Goes past the bracket that begins an object or array.
    #[inline]
    pub(crate) fn begin(&mut self, token: Token) -> Result<()> {
        let found = self.token()?;
        if found != token {
            return Err(self.error(format!("expected {}, found {}", token.name(), found.name())));
        }
        self.step();
        Ok(())
    }

    /// Goes to the next key or element; false where the bracket closes.
    #[inline]
    pub(crate) fn more(&mut self, token: Token, first: bool) -> Result<bool> {
        self.space();
        let close = if token == Token::Object { b'}' } else { b']' };
        match self.peek() {
            Some(byte) if byte == close => {
                self.step();
                Ok(false)
            }
            Some(b',') if !first => {
                self.step();
                self.space();
                if self.peek() == Some(close) {
                    return Err(self.expected("a value behind the comma"));
                }
                Ok(true)
            }
            Some(_) if first => Ok(true),
            _ => Err(self.expected(if token == Token::Object { "`,` or `}`" } else { "`,` or `]`" })),
        }
    }

    /// Goes past a key with its colon if it is exactly `key`, as crit writes it.
    #[inline]
    pub(crate) fn skip_key(&mut self, key: &[u8]) -> bool {
        let matches = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(key));
        if matches {
            self.at = self.at.saturating_add(key.len());
        }
        matches
    }

    /// The plain number behind the next key, if that is exactly `key` and the number has a comma or a bracket behind
    /// it, as crit writes them. Takes nothing else.
    #[inline]
    pub(crate) fn keyed_number(&mut self, key: &[u8]) -> Option<u64> {
        let rest = self.text.get(self.at..)?;
        // names differ in their first letters mostly, and comparing all of them costs a call
        if rest.get(3) != key.get(3) {
            return None;
        }
        let (value, length) = digits(rest.strip_prefix(key)?);
        let end = self.at.wrapping_add(key.len()).wrapping_add(length);
        if !(1..=19).contains(&length) || !matches!(self.text.get(end), Some(b',' | b'}')) {
            return None;
        }
        // zeros in front are no number of JSON's
        if length > 1 && rest.get(key.len()) == Some(&b'0') {
            return None;
        }
        self.at = end;
        Some(value)
    }

    /// A key and its colon.
    pub(crate) fn key(&mut self) -> Result<Cow<'t, [u8]>> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        let key = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.step();
        Ok(key)
    }

    /// A string's content, borrowed where it has no escapes. It is UTF-8.
    pub(crate) fn string(&mut self) -> Result<Cow<'t, [u8]>> {
        let (content, plain) = self.raw_string()?;
        if plain {
            return Ok(Cow::Borrowed(content));
        }
        let mut text = Vec::with_capacity(content.len());
        unescape(content, |bytes| text.extend_from_slice(bytes)).map_err(|what| self.error(what))?;
        Ok(Cow::Owned(text))
    }

    /// A string as it stands between its quotes, and whether it has no escapes. It is UTF-8; escapes are checked by
    /// [`unescape`].
    pub(crate) fn raw_string(&mut self) -> Result<(&'t [u8], bool)> {
        if self.token()? != Token::String {
            let found = self.token()?;
            return Err(self.error(format!("expected a string, found {}", found.name())));
        }
        self.step();
        let start = self.at;
        let mut plain = true;
        let mut ascii = true;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.step();
                    self.step();
                }
                Some(byte) if byte < b' ' => return Err(self.expected("a string without control characters")),
                Some(byte) => {
                    ascii &= byte.is_ascii();
                    self.step();
                }
                None => return Err(self.expected("the end of a string")),
            }
        }
        let content = self.text.get(start..self.at).unwrap_or_default();
        if !ascii && std::str::from_utf8(content).is_err() {
            return Err(self.error("expected UTF-8 in a string"));
        }
        self.step();
        Ok((content, plain))
    }

    /// A whole number.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<i128> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.step();
        }
        let first = self.at;
        let (value, length) = digits(self.text.get(first..).unwrap_or_default());
        self.at = first.saturating_add(length);
        let leading_zero = length > 1 && self.text.get(first) == Some(&b'0');
        if length == 0 || leading_zero || matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(self.expected("a whole number"));
        }
        let value = if length <= 19 {
            i128::from(value)
        } else {
            let text = self.text.get(first..self.at).and_then(|text| std::str::from_utf8(text).ok());
            let wide = text.and_then(|text| text.parse::<u128>().ok()).and_then(|value| i128::try_from(value).ok());
            match wide {
                Some(value) => value,
                None => {
                    self.at = start;
                    return Err(self.expected("a number of at most 64 bits"));
                }
            }
        };
        Ok(if negative { value.wrapping_neg() } else { value })
    }

    /// `true`, `false` or `null`.
    pub(crate) fn word(&mut self, word: &'static str) -> Result<()> {
        if !self.skip_key(word.as_bytes()) {
            return Err(self.expected(word));
        }
        Ok(())
    }

    /// Goes past a value, whatever it is; checks its syntax.
    pub(crate) fn skip(&mut self, depth: u32) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Error::limit("JSON is nested too deep")
                .at_offset(self.at as u64)
                .hint("Limits::depth, or --max-depth, raises the limit"));
        };
        match self.token()? {
            Token::Object => {
                self.step();
                let mut first = true;
                while self.more(Token::Object, std::mem::take(&mut first))? {
                    self.key()?;
                    self.skip(depth)?;
                }
            }
            Token::Array => {
                self.step();
                let mut first = true;
                while self.more(Token::Array, std::mem::take(&mut first))? {
                    self.skip(depth)?;
                }
            }
            Token::String => {
                let (content, plain) = self.raw_string()?;
                if !plain {
                    unescape(content, |_| {}).map_err(|what| self.error(what))?;
                }
            }
            Token::Number => self.skip_number()?,
            Token::True => self.word("true")?,
            Token::False => self.word("false")?,
            Token::Null => self.word("null")?,
        }
        Ok(())
    }

    /// A number that nobody looks at may have a fraction and an exponent.
    fn skip_number(&mut self) -> Result<()> {
        self.skip_key(b"-");
        let starts_with_zero = self.peek() == Some(b'0');
        let whole = self.skip_digits();
        let mut sound = whole == 1 || (whole > 0 && !starts_with_zero);
        if self.skip_key(b".") {
            sound &= self.skip_digits() > 0;
        }
        if self.skip_key(b"e") || self.skip_key(b"E") {
            let _sign = self.skip_key(b"+") || self.skip_key(b"-");
            sound &= self.skip_digits() > 0;
        }
        if sound { Ok(()) } else { Err(self.expected("a number as JSON has them")) }
    }

    fn skip_digits(&mut self) -> usize {
        let (_, length) = digits(self.text.get(self.at..).unwrap_or_default());
        self.at = self.at.saturating_add(length);
        length
    }

    /// Nothing but space may follow.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the JSON")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        let number = |text: &str| Lexer::new(text.as_bytes()).number();
        assert_eq!(number("18446744073709551615").unwrap(), i128::from(u64::MAX));
        assert_eq!(number("-9223372036854775808,").unwrap(), i128::from(i64::MIN));
        assert_eq!(number("0").unwrap(), 0);
        assert_eq!(number("99999999999999999999").unwrap(), 99_999_999_999_999_999_999);
        for text in ["", "-", "01", "1.5", "1e3", "x", "999999999999999999999999999999999999999999"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn strings() {
        let string = |text: &[u8]| Lexer::new(text).string().map(|text| text.into_owned());
        assert_eq!(string(br#""a\"\\\/\n\u00e9\ud83d\ude00z""#).unwrap(), "a\"\\/\né😀z".as_bytes());
        assert_eq!(string(b" \"plain\"").unwrap(), b"plain");
        for text in [
            &b"\"abc"[..],
            b"\"\\x\"",
            b"\"\\u12\"",
            b"\"\\ud800\"",
            b"\"\\ud800\\u0041\"",
            b"\"\\udc00\"",
            b"\"\n\"",
            b"\"\xff\"",
            b"\"\\",
        ] {
            assert!(string(text).is_err(), "{text:?}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn accepts(text: &[u8]) -> bool {
        let mut lexer = Lexer::new(text);
        lexer.skip(100).and_then(|()| lexer.end()).is_ok()
    }

    proptest! {
        #[test]
        fn takes_all_json(value in json()) {
            prop_assert!(accepts(value.to_string().as_bytes()));
            prop_assert!(accepts(serde_json::to_string_pretty(&value).unwrap().as_bytes()));
        }

        #[test]
        fn refuses_what_serde_refuses(value in json(), at: prop::sample::Index, byte: u8) {
            let mut text = value.to_string().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            // serde wants numbers that fit; what is skipped need not
            if !byte.is_ascii_digit() && !b"eE".contains(&byte) && accepts(&text) {
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok(), "{:?}", String::from_utf8_lossy(&text));
            }
        }
    }
}
