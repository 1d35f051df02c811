//! The numbers of a tensor, one after the other into its buffer.
//!
//! Rule: numbers are mostly written like those before them, so the kind of the last number is tried
//! first: one of the known [`Form`], a short one, or a plain one. Other numbers are left to
//! [`Leaf::read`]. At the start, a short number is expected and no form is known. A probe takes
//! numbers of the form, and when they are few, the number after them gives another form. Then the
//! next probe waits for twice as many short numbers, because a wrong guess costs more than a few
//! numbers gain; a probe that finds many halves the wait. Rejected: comparing the form of every
//! short number with the one before, which costs more than it saves where forms change.

use contract::{Result, Shape, Tensor};

use super::Sink;
use crate::tensor_json::cursor::Cursor;
use crate::tensor_json::leaf::Leaf;
use crate::tensor_json::number::{Form, short};

/// Seven digits and a point; a longer number is seldom followed by one of fewer digits.
const MAX_SHORT_BYTES: usize = 8;

/// The numbers of one form from which on a probe pays.
const MIN_ALIKE: usize = 4;

/// The most short numbers between two probes, so that these cost next to nothing.
const MAX_BETWEEN_PROBES: usize = 1023;

/// The values so far, and the form of the last ones.
pub(super) struct Numbers<T> {
    values: Vec<T>,
    form: Option<Form>,
    /// The short numbers until the next probe, and from that to the one after it.
    n_until_probe: usize,
    n_between_probes: usize,
}

impl<T: Leaf> Sink for Numbers<T> {
    fn with_capacity(n_elements: usize) -> Self {
        Self {
            values: Vec::with_capacity(n_elements),
            form: None,
            n_until_probe: 0,
            n_between_probes: 0,
        }
    }

    fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        self.values.push(T::read(cursor)?);
        Ok(())
    }

    fn take_plain(&mut self, cursor: &mut Cursor<'_>, room: usize) -> bool {
        let n_before = self.len();
        let n_max = n_before.saturating_add(room);
        let mut next = Some(cursor.rest());
        let mut is_short = true;
        while let Some(rest) = next
            && self.len() < n_max
        {
            if is_short {
                next = self.take_short(cursor, rest, n_max);
                is_short = false;
                continue;
            }
            let Some((value, after)) = T::read_plain(rest) else {
                break;
            };
            self.values.push(value);
            cursor.set_rest(after);
            is_short = rest.len() - after.len() <= MAX_SHORT_BYTES;
            next = behind_comma(after);
        }
        self.len() > n_before
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn finish(self, shape: Shape) -> Result<Tensor> {
        Tensor::from_values(shape, self.values)
    }
}

impl<T: Leaf> Numbers<T> {
    /// Takes the following short numbers, until there are `n_max` values, and moves `cursor` after
    /// the last. Returns the text after the last comma, if there is one.
    fn take_short<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        start: &'a [u8],
        n_max: usize,
    ) -> Option<&'a [u8]> {
        let mut rest = start;
        loop {
            if self.n_until_probe == 0 {
                rest = self.take_repeated(cursor, rest, n_max);
            }
            let n_before = self.len();
            let n_stop = n_max.min(n_before.saturating_add(self.n_until_probe.max(1)));
            let next = take_until(&mut self.values, cursor, rest, n_stop);
            self.n_until_probe = self.n_until_probe.saturating_sub(self.len() - n_before);
            rest = next?;
            if self.len() < n_stop || n_stop == n_max {
                return Some(rest);
            }
        }
    }

    /// Takes the following numbers of the known form, until there are `n_max` values, and learns a
    /// form where they were few. Moves `cursor` after the last, and returns the text after its
    /// comma.
    #[inline(never)]
    fn take_repeated<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        start: &'a [u8],
        n_max: usize,
    ) -> &'a [u8] {
        let n_before = self.len();
        let mut rest = start;
        if let Some(form) = self.form {
            let mut last = None;
            while self.values.len() < n_max
                && let Some((number, next)) = form.next(rest)
                && let Some(value) = T::of_short(number)
            {
                self.values.push(value);
                last = Some(rest);
                rest = next;
            }
            if let Some(last) = last {
                cursor.set_rest(form.behind(last));
            }
        }
        if self.len() - n_before >= MIN_ALIKE {
            self.n_between_probes /= 2;
        } else {
            self.n_between_probes = (2 * self.n_between_probes + 1).min(MAX_BETWEEN_PROBES);
            if let Some((number, after)) = short(rest) {
                self.form = Form::new(number.layout(after.starts_with(b", ")));
            }
        }
        self.n_until_probe = self.n_between_probes;
        rest
    }
}

/// Takes the following short numbers, until there are `n_max` values, and moves `cursor` after the
/// last. Returns the text after the last comma, if there is one.
fn take_until<'a, T: Leaf>(
    values: &mut Vec<T>,
    cursor: &mut Cursor<'a>,
    start: &'a [u8],
    n_max: usize,
) -> Option<&'a [u8]> {
    let mut rest = start;
    let mut end = cursor.rest();
    while values.len() < n_max
        && let Some((number, after)) = short(rest)
        && let Some(value) = T::of_short(number)
    {
        end = after;
        let next = behind_comma(after);
        values.push(value);
        let Some(next) = next else {
            cursor.set_rest(end);
            return None;
        };
        rest = next;
    }
    cursor.set_rest(end);
    Some(rest)
}

/// Returns the text after a comma and at most one space, where most numbers begin.
#[inline]
fn behind_comma(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b',', b' ', next @ ..] | [b',', next @ ..] => Some(next),
        _ => None,
    }
}
