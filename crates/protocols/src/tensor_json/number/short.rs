//! Short numbers, as most are: at most seven digits, in one word of eight bytes.
//!
//! Rule: all bytes are examined in one word, the first in the lowest place. The digits before the
//! point are moved over it, so that those on both sides are one number with a zero before it. That
//! number and the power of ten are exact singles, so one division gives the nearest single. A comma
//! or a bracket must follow, which shows that the number has ended. Any other number is not short
//! and is read by the longer ways. Rejected: a table of powers to combine both sides, which costs a
//! second conversion.

use half::{bf16, f16};

use super::plain::{Plain, joined};

/// The bytes that are examined: a sign, a word, and the byte after it.
pub(super) const WINDOW_BYTES: usize = 16;

/// The difference between the text and the values of eight digits.
pub(super) const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The addend that sets the upper bit of all of eight values that are not digits.
pub(super) const TO_HIGH: u64 = 0x7676_7676_7676_7676;

/// The upper bit of every byte.
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

/// The powers of ten by which a short number is divided, without and with its sign.
const POWERS_OF_TEN: [[f32; 2]; 8] = [
    [1e0, -1e0],
    [1e1, -1e1],
    [1e2, -1e2],
    [1e3, -1e3],
    [1e4, -1e4],
    [1e5, -1e5],
    [1e6, -1e6],
    [1e7, -1e7],
];

/// The layout of a short number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tensor_json) struct Layout {
    /// The bytes beside the sign.
    pub(super) n_bytes: usize,
    /// The digits after the point; without any there is no point.
    pub(super) n_fraction: usize,
    /// Is true when a space follows the comma.
    pub(super) has_space: bool,
}

/// A number of at most seven digits.
#[derive(Clone, Copy, Debug)]
pub(in crate::tensor_json) struct Short {
    is_negative: bool,
    digits: u64,
    n_fraction: usize,
    /// The bytes beside the sign.
    n_bytes: usize,
}

/// Reads the short number at the start of `text`, and returns it with the text after it.
#[inline(always)]
pub(in crate::tensor_json) fn short(text: &[u8]) -> Option<(Short, &[u8])> {
    let window = text.first_chunk::<WINDOW_BYTES>()?;
    let is_negative = window.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let eight = window.get(start..)?.first_chunk()?;
    let values = u64::from_le_bytes(*eight) ^ ZEROS;
    let (digits, n_fraction, end) = match eight.get(1) == Some(&b'.') {
        true => with_early_point(values)?,
        false => with_late_point(values, eight)?,
    };
    let rest = text.get(start + end..)?;
    let number = Short {
        is_negative,
        digits,
        n_fraction,
        n_bytes: end,
    };
    matches!(rest, [b',' | b']', ..]).then_some((number, rest))
}

/// Returns the digits, the number of them after the point, and the end, of a number with one digit
/// before the point.
#[inline(always)]
fn with_early_point(values: u64) -> Option<(u64, usize, usize)> {
    const DIGIT: u64 = 0xff;
    const POINT: u64 = 0xff00;
    let end = first_marked_byte(others(values & !POINT));
    if end < 3 {
        return None;
    }
    let moved = (values & DIGIT) << 8 | (values & !(POINT | DIGIT));
    Some((joined(moved, end), end - 2, end))
}

/// Returns the same for a number with more digits before the point, or without a point.
#[inline(always)]
fn with_late_point(values: u64, eight: &[u8; 8]) -> Option<(u64, usize, usize)> {
    let others = others(values);
    let n_whole = first_marked_byte(others);
    let has_leading_zero = n_whole > 1 && eight.first() == Some(&b'0');
    if !(1..8).contains(&n_whole) || has_leading_zero {
        return None;
    }
    if eight.get(n_whole) != Some(&b'.') {
        return Some((joined(values, n_whole), 0, n_whole));
    }
    let with_point = others ^ others.wrapping_sub(1);
    let end = first_marked_byte(others & !with_point);
    if end - n_whole < 2 {
        return None;
    }
    let moved = (values & with_point >> 8) << 8 | (values & !with_point);
    Some((joined(moved, end), end - n_whole - 1, end))
}

/// Sets the upper bit of each of eight values that is not a digit. It is right for the first one
/// and for all before it, and for those after a point up to the next one.
#[inline(always)]
fn others(values: u64) -> u64 {
    (values.wrapping_add(TO_HIGH) | values) & HIGH
}

/// Returns the place of the first of eight bytes that has a bit set; 8 if none has.
#[inline(always)]
fn first_marked_byte(bits: u64) -> usize {
    bits.trailing_zeros() as usize / 8
}

impl Short {
    /// Returns a number of `layout` with these digits.
    #[inline(always)]
    pub(super) fn new(is_negative: bool, digits: u64, layout: Layout) -> Self {
        Self {
            is_negative,
            digits,
            n_fraction: layout.n_fraction,
            n_bytes: layout.n_bytes,
        }
    }

    /// Returns its layout, with or without a space after the comma.
    #[inline(always)]
    pub(in crate::tensor_json) fn layout(self, has_space: bool) -> Layout {
        Layout {
            n_bytes: self.n_bytes,
            n_fraction: self.n_fraction,
            has_space,
        }
    }

    /// Returns the nearest single.
    #[inline(always)]
    pub(in crate::tensor_json) fn to_f32(self) -> Option<f32> {
        let [power, negative] = POWERS_OF_TEN.get(self.n_fraction)?;
        let signed = if self.is_negative { negative } else { power };
        Some(self.digits as f32 / signed)
    }

    /// Returns the nearest double.
    #[inline]
    pub(in crate::tensor_json) fn to_f64(self) -> Option<f64> {
        Plain::from(self).to_f64()
    }

    /// Returns the nearest half; `None` beyond the largest one.
    #[inline]
    pub(in crate::tensor_json) fn to_f16(self) -> Option<f16> {
        Plain::from(self).to_f16()
    }

    /// Returns the nearest bfloat.
    #[inline]
    pub(in crate::tensor_json) fn to_bf16(self) -> Option<bf16> {
        Plain::from(self).to_bf16()
    }

    /// Returns the value when it was written as a whole number.
    #[inline]
    pub(in crate::tensor_json) fn to_whole(self) -> Option<i64> {
        let magnitude = self.digits.cast_signed();
        (self.n_fraction == 0).then_some(match self.is_negative {
            true => -magnitude,
            false => magnitude,
        })
    }
}

impl From<Short> for Plain {
    #[inline]
    fn from(short: Short) -> Self {
        Self::new(short.is_negative, short.digits, short.n_fraction)
    }
}
