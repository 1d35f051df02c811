//! Plain numbers, the usual kind, read in one quick step.
//!
//! Decision: this step handles the cases that are quick and certain, eight digits at a time; any
//! other number is not plain, and is read in the slow and exact way.

use half::{bf16, f16};

use super::{MAX_DIGITS, MAX_EXACT, POWERS_OF_TEN, odd_f32, round_to_f32, take_digits};

/// The inverse powers of ten, rounded once.
const INVERSE_POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14,
    1e-15, 1e-16, 1e-17, 1e-18, 1e-19, 1e-20, 1e-21, 1e-22,
];

/// A number without exponent and of at most 19 digits, as nearly all are.
#[derive(Clone, Copy, Debug)]
pub(in crate::tensor_json) struct Plain {
    is_negative: bool,
    digits: u64,
    n_fraction: usize,
}

/// Reads the plain number at the start of `text`, and returns it with the text after it; `None`
/// where none starts.
#[inline(always)]
pub(in crate::tensor_json) fn plain(text: &[u8]) -> Option<(Plain, &[u8])> {
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (digits, n_whole, rest) = whole_digits(text)?;
    let (digits, n_fraction, rest) = match rest {
        [b'.', fraction @ ..] => {
            let (digits, rest) = take_eights(digits, fraction);
            (digits, fraction.len() - rest.len(), rest)
        }
        _ => (digits, 0, rest),
    };
    let is_broken_off = n_fraction == 0 && text.get(n_whole) == Some(&b'.');
    let is_long = n_whole + n_fraction > MAX_DIGITS;
    if is_long || is_broken_off || matches!(rest, [b'e' | b'E', ..]) {
        return None;
    }
    Some((Plain::new(is_negative, digits, n_fraction), rest))
}

/// Returns the digits before the point, their number, and the rest.
#[inline]
fn whole_digits(text: &[u8]) -> Option<(u64, usize, &[u8])> {
    let (&first, rest) = text.split_first()?;
    let digit = first.wrapping_sub(b'0');
    let is_alone = !matches!(rest, [b'0'..=b'9', ..]);
    match digit {
        0..=9 if is_alone => Some((u64::from(digit), 1, rest)),
        1..=9 => {
            let (digits, rest) = take_digits(u64::from(digit), rest);
            Some((digits, text.len() - rest.len(), rest))
        }
        _ => None,
    }
}

impl Plain {
    /// Returns a number of `digits`, of which `n_fraction` are after the point.
    #[inline]
    pub(super) fn new(is_negative: bool, digits: u64, n_fraction: usize) -> Self {
        Self {
            is_negative,
            digits,
            n_fraction,
        }
    }

    /// Returns the nearest double, where one exact step gives it.
    #[inline]
    pub(in crate::tensor_json) fn to_f64(self) -> Option<f64> {
        if self.digits > MAX_EXACT {
            return None;
        }
        let power = POWERS_OF_TEN.get(self.n_fraction)?;
        Some(self.signed(self.digits as f64 / power))
    }

    /// Returns the nearest single, where no midpoint of two singles is near. Rounding the digits,
    /// the inverse power and their product moves a double by three units of its last place at most,
    /// so unless a midpoint is that near, it rounds to the same single as the decimal. This holds
    /// for 17 digits, too, as Python prints a single, and needs no division.
    #[inline]
    pub(in crate::tensor_json) fn to_f32(self) -> Option<f32> {
        const SLACK: u64 = 4;
        let inverse = INVERSE_POWERS_OF_TEN.get(self.n_fraction)?;
        round_to_f32(self.signed(self.digits as f64 * inverse), SLACK)
    }

    /// Returns the nearest half; `None` beyond the largest one.
    pub(in crate::tensor_json) fn to_f16(self) -> Option<f16> {
        Some(f16::from_f32(odd_f32(self.to_f64()?)?)).filter(|value| value.is_finite())
    }

    /// Returns the nearest bfloat; `None` beyond the largest one.
    pub(in crate::tensor_json) fn to_bf16(self) -> Option<bf16> {
        Some(bf16::from_f32(odd_f32(self.to_f64()?)?)).filter(|value| value.is_finite())
    }

    /// Returns the value when it was written as a whole number.
    pub(in crate::tensor_json) fn to_whole(self) -> Option<i128> {
        let magnitude = i128::from(self.digits);
        (self.n_fraction == 0).then_some(match self.is_negative {
            true => -magnitude,
            false => magnitude,
        })
    }

    #[inline]
    fn signed(self, magnitude: f64) -> f64 {
        match self.is_negative {
            true => -magnitude,
            false => magnitude,
        }
    }
}

/// Appends digits like [`take_digits`], up to eight in each step.
#[inline]
fn take_eights(mut value: u64, mut text: &[u8]) -> (u64, &[u8]) {
    while let Some(eight) = text.first_chunk::<8>() {
        let (digits, n_digits) = digits_of_eight(u64::from_le_bytes(*eight));
        let (Some(&scale), Some(rest)) = (SCALES.get(n_digits), text.get(n_digits..)) else {
            break;
        };
        value = value.wrapping_mul(scale).wrapping_add(digits);
        text = rest;
        if n_digits < 8 {
            return (value, text);
        }
    }
    take_digits(value, text)
}

/// The factors that make room for up to eight more digits.
pub(super) const SCALES: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// Returns the value of the digits at the start of eight bytes, and their number. All bytes are
/// examined in one word, as in Lemire's "Number parsing at a gigabyte per second" (2021), section
/// 5.
#[inline]
fn digits_of_eight(word: u64) -> (u64, usize) {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const SIXES: u64 = 0x0606_0606_0606_0606;
    let is_other = ((word & HIGH) ^ ZEROS) | ((word.wrapping_add(SIXES) & HIGH) ^ ZEROS);
    let n_digits = is_other.trailing_zeros() / 8;
    if n_digits == 0 {
        return (0, 0);
    }
    (joined(word & !HIGH, n_digits as usize), n_digits as usize)
}

/// Returns the number whose digits are the first `n_digits` of the values in eight bytes, 1 to 8.
#[inline(always)]
pub(super) fn joined(values: u64, n_digits: usize) -> u64 {
    // The first digits are the lowest bytes; the bytes shifted in before them count as zeros.
    let digits = values << (8 * (8 - n_digits) % 64);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & 0xff_0000_00ff).wrapping_mul(0xf_4240_0000_0064);
    let low = (pairs >> 16 & 0xff_0000_00ff).wrapping_mul(0x2710_0000_0001);
    high.wrapping_add(low) >> 32
}
