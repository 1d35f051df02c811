//! Short numbers in the same layout as those before them, which fill most rows.
//!
//! Rule: a [`Form`] stores how many bytes a number has beside its sign, the place of its point, and
//! what separates it from the next. So a number of the same layout needs no search for its end, and
//! the next one is begun before this one is done. One test of the whole word shows that every byte
//! fits the layout, and weights that skip the point combine the digits. There is no form at the
//! start; the numbers read by [`short`](super::short()) give it, and a number of another layout is
//! refused and read that way. Rejected: gathering the words of sixteen numbers to convert them side
//! by side, which takes fewer instructions and no less time.

use super::plain::SCALES;
use super::short::{HIGH, Layout, Short, TO_HIGH, WINDOW_BYTES, ZEROS};

/// The bytes of the word that holds a number without its sign.
const WORD_BYTES: usize = 8;

/// A point in every byte, as a value.
const POINTS: u64 = u64::from_le_bytes([b'.' ^ b'0'; 8]);

/// The constants for reading a number of one layout.
#[derive(Clone, Copy, Debug)]
pub(in crate::tensor_json) struct Form {
    layout: Layout,
    /// The shift that moves the last byte of a number to the end of its word.
    shift: u32,
    /// The word of a zero, shifted so.
    zero: u64,
    /// The addend that sets the upper bit of all bytes but digits, and the mask of the bits that
    /// show a wrong byte.
    to_high: u64,
    wrong: u64,
    /// The weights of the first and third pair of bytes, and of the second and fourth.
    weights: (u64, u64),
    /// The least value of the digits, since a zero must not lead.
    least: u64,
    /// The two bytes behind a number, and the bits of them that count.
    separator: u16,
    separator_mask: u16,
}

impl Form {
    /// Returns the form of numbers of `layout`; `None` when a word does not hold them.
    pub(in crate::tensor_json) fn new(layout: Layout) -> Option<Self> {
        let has_point = layout.n_fraction > 0;
        let n_digits = layout.n_bytes.checked_sub(usize::from(has_point))?;
        let least = match n_digits.checked_sub(layout.n_fraction)? {
            0 => return None,
            1 => 0,
            _ => *SCALES.get(n_digits - 1)?,
        };
        let shift = 8 * u32::try_from(WORD_BYTES.checked_sub(layout.n_bytes)?).ok()?;
        let point = WORD_BYTES - 1 - layout.n_fraction;
        let at_point = if has_point { 0xff << (8 * point) } else { 0 };
        // A point that is the second byte of a pair moves the digit before it up.
        let weight = |n_behind: usize| match has_point && n_behind >= layout.n_fraction {
            true => SCALES.get(n_behind - 1).copied(),
            false => SCALES.get(n_behind).copied(),
        };
        let (separator, separator_mask) = match layout.has_space {
            true => (u16::from_le_bytes(*b", "), u16::MAX),
            false => (u16::from(b','), u16::from(u8::MAX)),
        };
        Some(Self {
            layout,
            shift,
            zero: (ZEROS << shift) ^ (at_point & POINTS),
            to_high: TO_HIGH & !at_point,
            wrong: HIGH | at_point,
            weights: (weight(2)? | weight(6)? << 32, weight(0)? | weight(4)? << 32),
            least,
            separator,
            separator_mask,
        })
    }

    /// Returns the number at the start of `text`, and the text after its comma; `None` when it has
    /// another layout.
    #[inline(always)]
    pub(in crate::tensor_json) fn next<'a>(&self, text: &'a [u8]) -> Option<(Short, &'a [u8])> {
        const FIRST_AND_THIRD: u64 = 0xff_0000_00ff;
        let window = text.first_chunk::<WINDOW_BYTES>()?;
        let is_negative = window.first() == Some(&b'-');
        let start = usize::from(is_negative);
        // The limit always holds, and saves the checks below.
        let end = start + self.layout.n_bytes.min(WORD_BYTES);
        let word = u64::from_le_bytes(*window.get(start..)?.first_chunk()?);
        let separator = u16::from_le_bytes(*window.get(end..)?.first_chunk()?);
        let values = (word << self.shift) ^ self.zero;
        let wrong = (values.wrapping_add(self.to_high) | values) & self.wrong;
        if wrong != 0 || separator & self.separator_mask != self.separator {
            return None;
        }
        let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
        let even = (pairs & FIRST_AND_THIRD).wrapping_mul(self.weights.0);
        let odd = (pairs >> 16 & FIRST_AND_THIRD).wrapping_mul(self.weights.1);
        let digits = even.wrapping_add(odd) >> 32;
        if digits < self.least {
            return None;
        }
        let number = Short::new(is_negative, digits, self.layout);
        let next = text.get(end + 1 + usize::from(self.layout.has_space)..)?;
        Some((number, next))
    }

    /// Returns the text after a number that [`Form::next`] has read from `text`.
    pub(in crate::tensor_json) fn behind<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let is_negative = text.first() == Some(&b'-');
        text.get(usize::from(is_negative) + self.layout.n_bytes..)
            .unwrap_or_default()
    }
}
