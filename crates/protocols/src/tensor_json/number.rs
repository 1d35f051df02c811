//! Decimal numbers: text to the nearest value of each element type.
//!
//! Rule: a number is read into an integer of up to 19 digits and a power of ten. When both are
//! small, one multiplication or division of exact doubles gives the nearest double. A double that
//! is not half-way between two values of the wanted type rounds to the same value as the decimal
//! itself; the others, and all longer numbers, take the slow way over the standard library, or over
//! the digits themselves. So every type is rounded once, from the decimal. Rejected: going through
//! doubles without that test, which rounds twice.

use std::cmp::Ordering;
use std::ops::Range;
use std::str::FromStr;

use half::{bf16, f16};

use super::cursor::Cursor;

mod form;
mod plain;
mod short;

pub(super) use form::Form;
pub(super) use plain::plain;
pub(super) use short::{Short, short};

/// Digits that always fit a `u64`.
const MAX_DIGITS: usize = 19;

/// The number up to which doubles hold every whole number.
const MAX_EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

/// The powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// A number as it was written: `digits * 10^exponent`, unless it is long.
#[derive(Debug)]
pub(super) struct Decimal<'a> {
    pub(super) is_negative: bool,
    digits: u64,
    exponent: i64,
    /// Is true with more digits than `digits` holds, so that only `text` has the number.
    is_long: bool,
    text: &'a [u8],
}

/// Takes a number by the grammar of JSON; `None` where none starts.
pub(super) fn scan<'a>(cursor: &mut Cursor<'a>) -> Option<Decimal<'a>> {
    let start = *cursor;
    let is_negative = cursor.eat(b'-');
    let whole = cursor.rest();
    let (mut digits, mut rest) = take_digits(0, whole);
    let mut n_digits = whole.len() - rest.len();
    if n_digits == 0 || (n_digits > 1 && whole.first() == Some(&b'0')) {
        return None;
    }
    let mut exponent = 0;
    if let Some((b'.', fraction)) = rest.split_first() {
        (digits, rest) = take_digits(digits, fraction);
        let n_fraction = fraction.len() - rest.len();
        if n_fraction == 0 {
            return None;
        }
        n_digits += n_fraction;
        exponent = -i64::try_from(n_fraction).ok()?;
    }
    if let Some((b'e' | b'E', power)) = rest.split_first() {
        let (power, after) = take_power(power)?;
        exponent = exponent.saturating_add(power);
        rest = after;
    }
    cursor.set_rest(rest);
    Some(Decimal {
        is_negative,
        digits,
        exponent,
        is_long: n_digits > MAX_DIGITS,
        text: cursor.since(&start),
    })
}

/// Appends the digits at the start of `text` to `value`, which wraps when there are too many.
fn take_digits(mut value: u64, mut text: &[u8]) -> (u64, &[u8]) {
    while let Some((&byte, rest)) = text.split_first() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        text = rest;
    }
    (value, text)
}

/// Reads the digits after `e`; a power that no type can hold saturates.
fn take_power(text: &[u8]) -> Option<(i64, &[u8])> {
    let (is_negative, text) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let (value, rest) = take_digits(0, text);
    let power = match text.len() - rest.len() {
        0 => return None,
        n_digits if n_digits > MAX_DIGITS => i64::from(i32::MAX),
        _ => i64::try_from(value)
            .unwrap_or(i64::MAX)
            .min(i64::from(i32::MAX)),
    };
    Some((if is_negative { -power } else { power }, rest))
}

impl Decimal<'_> {
    /// Returns the absolute value when it is a whole number below 2^64.
    pub(super) fn whole(&self) -> Option<u64> {
        if self.exponent == 0 && !self.is_long {
            return Some(self.digits);
        }
        Digits::of(self.text).whole()
    }

    /// Returns the nearest double; `None` beyond the largest one.
    pub(super) fn to_f64(&self) -> Option<f64> {
        match self.quick() {
            Some(quick) => Some(quick),
            None => self.parse::<f64>().filter(|value| value.is_finite()),
        }
    }

    /// Returns the nearest single; `None` beyond the largest one.
    pub(super) fn to_f32(&self) -> Option<f32> {
        match self.quick().and_then(|wide| round_to_f32(wide, 0)) {
            Some(quick) => Some(quick),
            None => self.parse::<f32>().filter(|value| value.is_finite()),
        }
    }

    /// Returns the nearest half; `None` beyond the largest one.
    pub(super) fn to_f16(&self) -> Option<f16> {
        Some(f16::from_f32(self.to_odd_f32()?)).filter(|value| value.is_finite())
    }

    /// Returns the nearest bfloat; `None` beyond the largest one.
    pub(super) fn to_bf16(&self) -> Option<bf16> {
        Some(bf16::from_f32(self.to_odd_f32()?)).filter(|value| value.is_finite())
    }

    /// Returns the single that rounds to the same 16-bit value as the decimal does.
    fn to_odd_f32(&self) -> Option<f32> {
        let wide = self.to_f64()?;
        if let Some(odd) = odd_f32(wide) {
            return Some(odd);
        }
        Some(cut_to_odd(match self.compare_magnitude(wide) {
            Ordering::Less => f64::from_bits(wide.to_bits().saturating_sub(1)),
            Ordering::Equal => wide,
            Ordering::Greater => f64::from_bits(wide.to_bits() | 1),
        }))
    }

    /// Compares the decimal with the double that it was rounded to, both without sign.
    fn compare_magnitude(&self, rounded: f64) -> Ordering {
        let rounded = rounded.abs();
        if let Some((value, power)) = self.exact_parts() {
            // The error of one multiplication or division is a double, so its sign is exact.
            let residual = match self.exponent < 0 {
                true => (-rounded).mul_add(power, value),
                false => value.mul_add(power, -rounded),
            };
            return residual.partial_cmp(&0.0).unwrap_or(Ordering::Equal);
        }
        // Midpoints of 16-bit types have at most 110 digits.
        let exact = format!("{rounded:.120e}");
        Digits::of(self.text).cmp(&Digits::of(exact.as_bytes()))
    }

    /// Returns the nearest double by one exact step, where that is possible.
    fn quick(&self) -> Option<f64> {
        let (value, power) = self.exact_parts()?;
        let magnitude = match self.exponent < 0 {
            true => value / power,
            false => value * power,
        };
        Some(if self.is_negative {
            -magnitude
        } else {
            magnitude
        })
    }

    /// Returns the digits and the power of ten, where doubles hold both exactly.
    fn exact_parts(&self) -> Option<(f64, f64)> {
        if self.is_long || self.digits > MAX_EXACT {
            return None;
        }
        let power = usize::try_from(self.exponent.unsigned_abs()).ok()?;
        Some((self.digits as f64, *POWERS_OF_TEN.get(power)?))
    }

    fn parse<T: FromStr>(&self) -> Option<T> {
        std::str::from_utf8(self.text).ok()?.parse().ok()
    }
}

/// Returns the single that `wide` and everything within `slack` units of its last place round to;
/// `None` when they do not agree.
#[inline]
fn round_to_f32(wide: f64, slack: u64) -> Option<f32> {
    // The 29 bits that a double has more than a single, when they are exactly half.
    const MIDPOINT: u64 = 1 << 28;
    const EXTRA: u64 = (1 << 29) - 1;
    let distance = (wide.to_bits() & EXTRA).abs_diff(MIDPOINT);
    (distance > slack).then(|| narrow(wide))
}

/// Returns the single that rounds to the same 16-bit value as every decimal whose nearest double is
/// `wide`: cut off towards zero, with the last bit set when something was cut off.
fn odd_f32(wide: f64) -> Option<f32> {
    // A double with any of these bits lies between two midpoints of both 16-bit types.
    const BELOW_MIDPOINTS: u64 = (1 << 40) - 1;
    // Outside there are none: bfloat ends at 2^128 and halves its smallest value at 2^-134.
    const MIDPOINTS: Range<f64> = 2e-41..4e38;
    let is_between = wide.to_bits() & BELOW_MIDPOINTS != 0 || !MIDPOINTS.contains(&wide.abs());
    is_between.then(|| cut_to_odd(wide))
}

/// Returns the nearest single; infinite beyond the largest one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to nearest is intended"
)]
fn narrow(wide: f64) -> f32 {
    wide as f32
}

/// Returns the single next to `wide` on the side of zero, with the last bit set unless it is `wide`
/// itself.
fn cut_to_odd(wide: f64) -> f32 {
    let near = narrow(wide);
    let back = f64::from(near);
    if back.total_cmp(&wide).is_eq() {
        return near;
    }
    let is_beyond = back.abs() > wide.abs();
    f32::from_bits((near.to_bits() - u32::from(is_beyond)) | 1)
}

/// All digits of a number, without zeros at either end: `0.digits * 10^point`.
#[derive(Debug, PartialEq, Eq)]
struct Digits {
    digits: Vec<u8>,
    point: i64,
}

impl Digits {
    /// Reads a number that has been scanned, or that the standard library has written.
    fn of(text: &[u8]) -> Self {
        let mut digits = Vec::with_capacity(text.len());
        let (mut point, mut is_fraction, mut power) = (0_i64, false, 0);
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'.' => is_fraction = true,
                b'e' | b'E' => {
                    power = take_power(rest).map_or(0, |(power, _)| power);
                    break;
                }
                b'0' if digits.is_empty() => point -= i64::from(is_fraction),
                b'0'..=b'9' => {
                    digits.push(byte);
                    point += i64::from(!is_fraction);
                }
                _ => {}
            }
        }
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        Self {
            digits,
            point: point.saturating_add(power),
        }
    }

    /// Returns the value when it is a whole number below 2^64.
    fn whole(&self) -> Option<u64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let n_zeros = self
            .point
            .checked_sub(i64::try_from(self.digits.len()).ok()?)?;
        let significant: u64 = std::str::from_utf8(&self.digits).ok()?.parse().ok()?;
        significant.checked_mul(10_u64.checked_pow(u32::try_from(n_zeros).ok()?)?)
    }
}

impl PartialOrd for Digits {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Digits {
    fn cmp(&self, other: &Self) -> Ordering {
        let is_positive = |number: &Self| !number.digits.is_empty();
        is_positive(self)
            .cmp(&is_positive(other))
            .then(self.point.cmp(&other.point))
            .then_with(|| self.digits.cmp(&other.digits))
    }
}

#[cfg(test)]
mod tests;
