//! A position in a JSON text, and the steps that all readers take from it.
//!
//! Decision: the cursor holds the remaining text, never an index, so a step can neither pass the
//! end nor need a bounds check of its own.

use std::borrow::Cow;

use contract::{Error, Result};

use super::JsonLimits;

/// The bytes of a wrong text that an error repeats.
const EXCERPT_BYTES: usize = 24;

/// The remaining part of a JSON text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    json: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Returns a cursor at the start of `json`.
    pub(super) fn new(json: &'a [u8]) -> Self {
        Self { json, rest: json }
    }

    /// Returns the remaining text.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Moves on to `rest`, which must be a suffix of the remaining text.
    pub(super) fn set_rest(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    /// Returns the text between an earlier position and this one.
    pub(super) fn since(&self, earlier: &Self) -> &'a [u8] {
        let n_bytes = earlier.rest.len().saturating_sub(self.rest.len());
        earlier.rest.get(..n_bytes).unwrap_or_default()
    }

    /// Returns the next byte without taking it.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes the next byte.
    pub(super) fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    /// Takes the next byte if it is `byte`.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Takes `word` if it is next.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Skips white space.
    pub(super) fn skip_whitespace(&mut self) {
        while let Some((b' ' | b'\n' | b'\r' | b'\t', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
    }

    /// Checks that only white space is left.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.skip_whitespace();
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(self.expected("the end of the text")),
        }
    }

    /// Takes a string with its quotes and returns the text between them, still escaped.
    pub(super) fn raw_string(&mut self) -> Result<RawString<'a>> {
        if !self.eat(b'"') {
            return Err(self.expected("a string"));
        }
        let start = *self;
        let mut is_escaped = false;
        loop {
            let before = *self;
            match self.next() {
                Some(b'"') => {
                    let text = before.since(&start);
                    return Ok(RawString { text, is_escaped });
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.next();
                }
                Some(0..=0x1f) => {
                    *self = before;
                    return Err(self.expected("an escape such as `\\n` for a control character"));
                }
                Some(_) => {}
                None => return Err(self.expected("`\"` at the end of a string")),
            }
        }
    }

    /// Takes a string.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>> {
        let start = *self;
        let raw = self.raw_string()?;
        raw.decode().ok_or_else(|| {
            Error::invalid(format!(
                "malformed JSON at byte {}: {} is not UTF-8 text with valid escapes",
                start.offset(),
                start.excerpt()
            ))
        })
    }

    /// Returns an error with the expected and the actual text at this position.
    pub(super) fn expected(&self, what: &str) -> Error {
        Error::invalid(format!(
            "malformed JSON at byte {}: expected {what}, got {}",
            self.offset(),
            self.excerpt()
        ))
    }

    /// Returns the next word or value for an error, in backticks, cut when it is long.
    pub(super) fn excerpt(&self) -> String {
        if self.rest.is_empty() {
            return "the end of the text".to_owned();
        }
        let is_delimiter = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r');
        let n_bytes = match self.rest.iter().position(is_delimiter) {
            None => self.rest.len(),
            Some(n_bytes) => n_bytes.max(1),
        };
        let word = self.rest.get(..n_bytes.min(EXCERPT_BYTES));
        let text = String::from_utf8_lossy(word.unwrap_or_default());
        let is_harmless = |c: char| !c.is_control() && c != '`';
        let text: String = text
            .chars()
            .map(|c| if is_harmless(c) { c } else { '?' })
            .collect();
        match n_bytes > EXCERPT_BYTES {
            true => format!("`{text}...`"),
            false => format!("`{text}`"),
        }
    }

    fn offset(&self) -> usize {
        self.json.len().saturating_sub(self.rest.len())
    }
}

/// The text between the quotes of a string.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawString<'a> {
    text: &'a [u8],
    is_escaped: bool,
}

impl<'a> RawString<'a> {
    /// Returns the unescaped text; `None` when it is not UTF-8 or an escape is wrong.
    pub(super) fn decode(self) -> Option<Cow<'a, str>> {
        if !self.is_escaped {
            return std::str::from_utf8(self.text).ok().map(Cow::Borrowed);
        }
        let quoted = [b"\"", self.text, b"\""].concat();
        serde_json::from_slice(&quoted).ok().map(Cow::Owned)
    }
}

/// Returns the error for arrays and objects that are nested too deep.
pub(super) fn too_deep(limits: &JsonLimits) -> Error {
    Error::invalid(format!(
        "JSON nesting depth exceeds maximum allowed limit ({}), `max_json_depth`",
        limits.depth
    ))
}
