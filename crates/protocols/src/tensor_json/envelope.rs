//! Splitting of objects and arrays into the slices of their members, without parsing these.
//!
//! Decision: no tree and no second strict parser. A slice is found by its quotes and brackets
//! alone; its consumer checks the text between brackets, so an unused member may hold any UTF-8 text
//! that is balanced.

use std::borrow::Cow;

use contract::{Code, Error, Result};
use smallvec::SmallVec;

use super::JsonLimits;
use super::cursor::{Cursor, too_deep};

/// The keys of one object: more tensors or parameters than any model has, and split in a few
/// milliseconds. It is also the number of fields of a gRPC message.
pub(crate) const MAX_MEMBERS: usize = 16_384;

/// The bytes that are examined together in a long row of numbers.
const BLOCK_BYTES: usize = 64;

/// Checks that a whole body is text, because members that are not used are not read.
///
/// # Errors
/// `invalid_request`, with the place.
pub(crate) fn require_utf8(json: &[u8]) -> Result<()> {
    match str::from_utf8(json) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::invalid(format!(
            "malformed JSON at byte {}: expected UTF-8 text",
            error.valid_up_to()
        ))),
    }
}

/// Returns the members of the object `json`: key and raw value, in order.
///
/// # Errors
/// `invalid_request` when `json` is not an object, is malformed, nests too deep, or repeats a key.
pub(crate) fn object_members<'a>(
    json: &'a [u8],
    limits: &JsonLimits,
) -> Result<Vec<(Cow<'a, str>, &'a [u8])>> {
    let mut members = Vec::new();
    let mut cursor = Cursor::new(json);
    cursor.skip_whitespace();
    if !cursor.eat(b'{') {
        return Err(cursor.expected("a JSON object"));
    }
    cursor.skip_whitespace();
    if !cursor.eat(b'}') {
        loop {
            cursor.skip_whitespace();
            let key = cursor.string()?;
            cursor.skip_whitespace();
            if !cursor.eat(b':') {
                return Err(cursor.expected("`:`"));
            }
            if members.len() == MAX_MEMBERS {
                return Err(too_many(MAX_MEMBERS, "keys in one object"));
            }
            members.push((key, take_value(&mut cursor, limits)?));
            if !has_next(&mut cursor, b'}')? {
                break;
            }
        }
    }
    cursor.finish()?;
    refuse_duplicates(&members)?;
    Ok(members)
}

/// Returns the items of the array `json`, raw and in order, at most `max_items`.
///
/// # Errors
/// `invalid_request` when `json` is not an array, is malformed, or nests too deep;
/// `payload_too_large` when it has more items.
pub(crate) fn array_items<'a>(
    json: &'a [u8],
    limits: &JsonLimits,
    max_items: usize,
) -> Result<Vec<&'a [u8]>> {
    let mut items = Vec::new();
    let mut cursor = Cursor::new(json);
    cursor.skip_whitespace();
    if !cursor.eat(b'[') {
        return Err(cursor.expected("a JSON array"));
    }
    cursor.skip_whitespace();
    if !cursor.eat(b']') {
        loop {
            if items.len() == max_items {
                return Err(too_many(max_items, "items in one array"));
            }
            items.push(take_value(&mut cursor, limits)?);
            if !has_next(&mut cursor, b']')? {
                break;
            }
        }
    }
    cursor.finish()?;
    Ok(items)
}

fn too_many(limit: usize, what: &str) -> Error {
    Error::new(
        Code::PayloadTooLarge,
        format!("expected at most {limit} {what}, got more"),
    )
}

/// Returns the start of a value for an error, in backticks.
pub(crate) fn excerpt(json: &[u8]) -> String {
    Cursor::new(json).excerpt()
}

/// Returns whether another member follows a comma; otherwise `end` must follow.
fn has_next(cursor: &mut Cursor<'_>, end: u8) -> Result<bool> {
    cursor.skip_whitespace();
    if cursor.eat(b',') {
        return Ok(true);
    }
    match cursor.eat(end) {
        true => Ok(false),
        false => Err(cursor.expected(&format!("`,` or `{}`", char::from(end)))),
    }
}

fn refuse_duplicates(members: &[(Cow<'_, str>, &[u8])]) -> Result<()> {
    let mut keys: Vec<_> = members.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    match keys.iter().zip(keys.iter().skip(1)).find(|(a, b)| a == b) {
        None => Ok(()),
        Some((key, _)) => Err(Error::invalid(format!(
            "key `{}` appears twice in one object",
            key.escape_debug()
        ))),
    }
}

/// Takes one value, without the white space before it.
fn take_value<'a>(cursor: &mut Cursor<'a>, limits: &JsonLimits) -> Result<&'a [u8]> {
    cursor.skip_whitespace();
    let start = *cursor;
    match cursor.peek() {
        Some(b'"') => {
            cursor.raw_string()?;
        }
        Some(b'[' | b'{') => skip_nested(cursor, limits)?,
        Some(_) | None => skip_word(cursor)?,
    }
    Ok(cursor.since(&start))
}

/// Skips a number or a literal.
fn skip_word(cursor: &mut Cursor<'_>) -> Result<()> {
    let start = *cursor;
    while let Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'-' | b'+') = cursor.peek() {
        cursor.next();
    }
    match cursor.since(&start).is_empty() {
        true => Err(cursor.expected("a JSON value")),
        false => Ok(()),
    }
}

/// Skips an array or object up to the bracket that closes it.
fn skip_nested(cursor: &mut Cursor<'_>, limits: &JsonLimits) -> Result<()> {
    let mut closing: SmallVec<[u8; 16]> = SmallVec::new();
    loop {
        skip_plain(cursor);
        let before = *cursor;
        match cursor.next() {
            Some(b'[') => closing.push(b']'),
            Some(b'{') => closing.push(b'}'),
            Some(end @ (b']' | b'}')) => {
                if closing.pop() != Some(end) {
                    return Err(before.expected("the bracket that matches"));
                }
                if closing.is_empty() {
                    return Ok(());
                }
            }
            Some(b'"') => {
                *cursor = before;
                cursor.raw_string()?;
            }
            Some(_) => {}
            None => return Err(cursor.expected("the end of an array or object")),
        }
        // The container that is being split is one level itself.
        if closing.len() >= limits.depth {
            return Err(too_deep(limits));
        }
    }
}

/// Skips to the next quote or bracket, eight bytes at a time, and by whole blocks where it is far;
/// close to the end it may stop early.
fn skip_plain(cursor: &mut Cursor<'_>) {
    let mut rest = cursor.rest();
    let mut n_words = 0_u32;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            let n_plain = usize::try_from(special.trailing_zeros() / 8).unwrap_or(0);
            rest = rest.get(n_plain..).unwrap_or_default();
            break;
        }
        rest = after;
        n_words += 1;
        if n_words.is_multiple_of(8) {
            rest = behind_plain_blocks(rest);
        }
    }
    cursor.set_rest(rest);
}

/// Returns the text after the blocks without quotes and brackets. The compiler examines sixteen
/// bytes in one step here, but rows of a few numbers are too short for that.
fn behind_plain_blocks(mut text: &[u8]) -> &[u8] {
    let is_special = |byte: u8| byte == b'"' || matches!(byte | 0x20, b'{' | b'}');
    while let Some((block, after)) = text.split_first_chunk::<BLOCK_BYTES>() {
        if block
            .iter()
            .fold(false, |any, &byte| any | is_special(byte))
        {
            break;
        }
        text = after;
    }
    text
}

/// Sets the top bit of the lowest byte that is a quote or bracket; bytes above it may be wrong.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let equal_to = |word: u64, byte: u8| {
        let difference = word ^ (ONES * u64::from(byte));
        difference.wrapping_sub(ONES) & !difference & (ONES << 7)
    };
    // `[` and `{` differ in one bit, as `]` and `}` do.
    let braces = word | (ONES << 5);
    equal_to(word, b'"') | equal_to(braces, b'{') | equal_to(braces, b'}')
}

#[cfg(test)]
mod tests;
