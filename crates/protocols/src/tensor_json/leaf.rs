//! One element of each type, read from JSON.
//!
//! Decision: a value that the type cannot hold is refused and never wrapped or turned into an
//! infinity; only rounding is silent.

use contract::{Element, Error, Result};
use half::{bf16, f16};

use super::cursor::Cursor;
use super::number::{self, Short};

/// An element that JSON writes as a number.
pub(super) trait Leaf: Element {
    /// Takes the next value.
    fn read(cursor: &mut Cursor<'_>) -> Result<Self>;

    /// Reads the value at the start of `text` when it has the usual form, and returns it with the
    /// text after it; `None` means only that [`Leaf::read`] must be used.
    fn read_plain(text: &[u8]) -> Option<(Self, &[u8])>;

    /// Converts a number of few digits; `None` as before.
    fn of_short(number: Short) -> Option<Self>;
}

macro_rules! integers {
    ($($rust:ty),*) => {
        $(impl Leaf for $rust {
            fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
                let start = *cursor;
                let value = whole(cursor).ok_or_else(|| not_whole::<Self>(&start))?;
                Self::try_from(value).map_err(|_| {
                    let (min, max) = (Self::MIN, Self::MAX);
                    Error::invalid(format!(
                        "{} does not fit {} ({min} to {max})", start.excerpt(), Self::TYPE
                    ))
                })
            }

            #[inline(always)]
            fn read_plain(text: &[u8]) -> Option<(Self, &[u8])> {
                let (number, rest) = number::plain(text)?;
                Some((number.to_whole()?.try_into().ok()?, rest))
            }

            #[inline(always)]
            fn of_short(number: Short) -> Option<Self> {
                number.to_whole()?.try_into().ok()
            }
        })*
    };
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($rust:ty => $round:ident),*) => {
        $(impl Leaf for $rust {
            fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
                let start = *cursor;
                if let Some(decimal) = number::scan(cursor) {
                    return decimal.$round().ok_or_else(|| too_large::<Self>(&start));
                }
                *cursor = start;
                match literal(cursor) {
                    Some(Literal::Nan) => Ok(Self::NAN),
                    Some(Literal::Infinity) => Ok(Self::INFINITY),
                    Some(Literal::NegativeInfinity) => Ok(Self::NEG_INFINITY),
                    None => Err(not_a_number::<Self>(&start)),
                }
            }

            #[inline(always)]
            fn read_plain(text: &[u8]) -> Option<(Self, &[u8])> {
                let (number, rest) = number::plain(text)?;
                Some((number.$round()?, rest))
            }

            #[inline(always)]
            fn of_short(number: Short) -> Option<Self> {
                number.$round()
            }
        })*
    };
}

floats! {
    f16 => to_f16,
    bf16 => to_bf16,
    f32 => to_f32,
    f64 => to_f64
}

/// Takes a boolean: `true`, `false`, 0 or 1.
pub(super) fn read_bool(cursor: &mut Cursor<'_>) -> Result<u8> {
    if cursor.eat_word("true") {
        return Ok(1);
    }
    if cursor.eat_word("false") {
        return Ok(0);
    }
    let start = *cursor;
    match whole(cursor) {
        Some(0) => Ok(0),
        Some(1) => Ok(1),
        Some(_) | None => Err(Error::invalid(format!(
            "expected `true`, `false`, 0 or 1 for BOOL, got {}",
            start.excerpt()
        ))),
    }
}

/// A literal that is not a finite number.
enum Literal {
    Nan,
    Infinity,
    NegativeInfinity,
}

fn literal(cursor: &mut Cursor<'_>) -> Option<Literal> {
    const WORDS: [(&str, Literal); 4] = [
        ("NaN", Literal::Nan),
        ("null", Literal::Nan),
        ("Infinity", Literal::Infinity),
        ("-Infinity", Literal::NegativeInfinity),
    ];
    let (_, literal) = WORDS.into_iter().find(|(word, _)| cursor.eat_word(word))?;
    Some(literal)
}

/// Takes a whole number, also one written as `1.0` or `1e3`.
fn whole(cursor: &mut Cursor<'_>) -> Option<i128> {
    let decimal = number::scan(cursor)?;
    let magnitude = i128::from(decimal.whole()?);
    Some(if decimal.is_negative {
        -magnitude
    } else {
        magnitude
    })
}

fn not_whole<T: Element>(start: &Cursor<'_>) -> Error {
    match number::scan(&mut start.clone()) {
        Some(_) => Error::invalid(format!(
            "expected a whole number that fits {}, got {}",
            T::TYPE,
            start.excerpt()
        )),
        None => not_a_number::<T>(start),
    }
}

fn not_a_number<T: Element>(start: &Cursor<'_>) -> Error {
    Error::invalid(format!(
        "expected a number for {}, got {}",
        T::TYPE,
        start.excerpt()
    ))
}

fn too_large<T: Element>(start: &Cursor<'_>) -> Error {
    Error::invalid(format!("{} is too large for {}", start.excerpt(), T::TYPE))
}
