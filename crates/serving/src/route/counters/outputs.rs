//! Distribution of answers over a few bins: classes, or tenths of a score.
//!
//! Input: the outputs of one answer. Rule: the first output counts that has one label per row
//! (integers, booleans, strings), a score for each of two or more classes per row (the highest
//! wins), or one score per row. A class is counted modulo 32, a string by its hash, a score in ten
//! equal bins of [0, 1] with one more below and one above. Large outputs are skipped: a scan would
//! cost more than it is worth. Rejected: scanning every output, because most are redundant.

use contract::{ElementType, NamedTensor, Tensor};
use xxhash_rust::xxh3::xxh3_64;

/// Number of bins; classes are counted modulo this.
pub(super) const N_BINS: usize = 32;

/// Number of classes: the largest multiple of the bins that leaves a number for "none".
const N_CLASSES: u64 = 65_504;

/// Outputs with more elements are not sorted into bins.
const MAX_BINNED_ELEMENTS: usize = 4096;

/// Outputs with more elements are not searched for NaN and infinity.
const MAX_SCANNED_ELEMENTS: usize = 1 << 20;

/// Number of bins of a score: below 0, ten tenths, above 1.
pub(super) const N_SCORE_BINS: usize = 12;

/// Elements are searched in blocks of this many, which the compiler turns into wide instructions.
const BLOCK: usize = 256;

/// Meaning of the bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputKind {
    /// No output was suitable yet.
    Unknown,
    /// The class modulo the number of bins.
    Classes,
    /// Below 0, the tenths from 0 to 1, above 1.
    Scores,
}

/// A class, in 16 bits: 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u16);

/// Summary of the outputs of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputSummary {
    /// Meaning of the bins.
    pub(crate) kind: OutputKind,
    /// The class, when there was one row with one.
    pub(crate) class: Option<Class>,
    /// The bin of the first row.
    pub(crate) first_bin: Option<usize>,
}

/// Kind of the rows of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowKind {
    /// One label each.
    Labels,
    /// A score for each of this number of classes.
    ClassScores(usize),
    /// One score each.
    Scores,
}

impl OutputKind {
    /// Returns the number that is stored in an atomic.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Classes => 1,
            Self::Scores => 2,
        }
    }

    /// Returns the kind of a number.
    pub(super) const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Classes,
            2 => Self::Scores,
            _ => Self::Unknown,
        }
    }
}

impl Class {
    /// Returns the class of an integer label, or of the index of the highest score.
    pub(crate) fn of_integer(class: i64) -> Self {
        Self::of_number(class.rem_euclid(N_CLASSES.cast_signed()).unsigned_abs())
    }

    /// Returns the class of a string label. The text of an integer is that integer, because callers
    /// mix up the two.
    pub(crate) fn of_text(text: &[u8]) -> Self {
        let integer = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok());
        integer.map_or_else(|| Self::of_number(xxh3_64(text)), Self::of_integer)
    }

    fn of_number(number: u64) -> Self {
        Self(u16::try_from(number % N_CLASSES).unwrap_or_default())
    }

    fn bin(self) -> usize {
        usize::from(self.0) % N_BINS
    }

    /// Returns the number of the class; never 0.
    pub(super) fn number(self) -> u16 {
        self.0 + 1
    }

    /// Returns the class of a number; 0 is none.
    pub(super) fn from_number(number: u16) -> Option<Self> {
        number.checked_sub(1).map(Self)
    }
}

/// Finds the bin of each row of the first suitable output.
pub(super) fn summarize(outputs: &[NamedTensor], mut count: impl FnMut(usize)) -> OutputSummary {
    let mut outputs = outputs.iter().map(|output| &output.tensor);
    let suitable = outputs.find_map(|tensor| Some((tensor, rows(tensor)?)));
    let nothing = OutputSummary {
        kind: OutputKind::Unknown,
        class: None,
        first_bin: None,
    };
    let Some((tensor, rows)) = suitable else {
        return nothing;
    };
    if tensor.n_elements() > MAX_BINNED_ELEMENTS {
        return nothing;
    }
    let (mut n_classes, mut last, mut first_bin) = (0_usize, None, None);
    let mut count = |bin: usize| {
        first_bin.get_or_insert(bin);
        count(bin);
    };
    let each_class = |class: Class| {
        n_classes += 1;
        last = Some(class);
        count(class.bin());
    };
    let kind = match rows {
        RowKind::Labels => {
            for_each_label(tensor, each_class);
            OutputKind::Classes
        }
        RowKind::ClassScores(n_columns) => {
            for_each_best(tensor, n_columns, each_class);
            OutputKind::Classes
        }
        RowKind::Scores => {
            for_each_number(tensor, |score| count(score_bin(score)));
            OutputKind::Scores
        }
    };
    OutputSummary {
        kind,
        class: last.filter(|_| n_classes == 1),
        first_bin,
    }
}

/// Returns whether an output has a NaN or an infinity.
pub(super) fn has_non_finite(outputs: &[NamedTensor]) -> bool {
    let tensors = outputs.iter().map(|output| &output.tensor);
    tensors
        .filter(|tensor| tensor.n_elements() <= MAX_SCANNED_ELEMENTS)
        .any(is_not_finite)
}

fn rows(tensor: &Tensor) -> Option<RowKind> {
    let dims = tensor.shape().dims();
    let n_columns: usize = dims.iter().skip(1).product();
    if tensor.n_elements() == 0 {
        return None;
    }
    match (tensor.element_type().is_float(), n_columns) {
        (false, 1) => Some(RowKind::Labels),
        (true, 1) => Some(RowKind::Scores),
        (true, n_columns) if dims.len() == 2 => Some(RowKind::ClassScores(n_columns)),
        (true | false, _) => None,
    }
}

/// Returns the bin of a score: 0 below 0, then the tenths, then above 1. NaN counts as above.
fn score_bin(score: f64) -> usize {
    match score {
        score if score < 0.0 => 0,
        score if score <= 1.0 => {
            let passed = (1..10_u8).filter(|&tenth| score * 10.0 >= f64::from(tenth));
            1 + passed.count()
        }
        _ => N_SCORE_BINS - 1,
    }
}

fn for_each_label(tensor: &Tensor, mut each: impl FnMut(Class)) {
    let mut integer = |label: i64| each(Class::of_integer(label));
    let data: &[u8] = tensor.data();
    match tensor.element_type() {
        ElementType::Bool | ElementType::U8 => data.iter().for_each(|&label| integer(label.into())),
        ElementType::I8 => words(data, |word| integer(i8::from_le_bytes(word).into())),
        ElementType::U16 => words(data, |word| integer(u16::from_le_bytes(word).into())),
        ElementType::I16 => words(data, |word| integer(i16::from_le_bytes(word).into())),
        ElementType::U32 => words(data, |word| integer(u32::from_le_bytes(word).into())),
        ElementType::I32 => words(data, |word| integer(i32::from_le_bytes(word).into())),
        ElementType::U64 => words(data, |word| integer(u64::from_le_bytes(word).cast_signed())),
        ElementType::I64 => words(data, |word| integer(i64::from_le_bytes(word))),
        ElementType::Bytes => tensor
            .strings()
            .for_each(|label| each(Class::of_text(label))),
        ElementType::F16 | ElementType::BF16 | ElementType::F32 | ElementType::F64 => {}
    }
}

/// Passes on the index of the highest score of each row; of equal ones the first.
fn for_each_best(tensor: &Tensor, n_columns: usize, each: impl FnMut(Class)) {
    let data: &[u8] = tensor.data();
    match tensor.element_type() {
        ElementType::F32 => best(
            data,
            n_columns,
            |word| order(i32::from_le_bytes(word)),
            each,
        ),
        ElementType::F64 => {
            let order = |bits: i64| bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed();
            best(
                data,
                n_columns,
                |word| order(i64::from_le_bytes(word)),
                each,
            );
        }
        ElementType::F16 | ElementType::BF16 => {
            let wide = |word| i32::from(i16::from_le_bytes(word)) << 16;
            best(data, n_columns, |word| order(wide(word)), each);
        }
        ElementType::Bool
        | ElementType::U8
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64
        | ElementType::I8
        | ElementType::I16
        | ElementType::I32
        | ElementType::I64
        | ElementType::Bytes => {}
    }
}

/// Maps the bits of a float to an integer of the same order: integers are compared several at once.
fn order(bits: i32) -> i32 {
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

fn best<const SIZE: usize, K: Ord + Copy>(
    data: &[u8],
    n_columns: usize,
    key: impl Fn([u8; SIZE]) -> K,
    mut each: impl FnMut(Class),
) {
    for row in data.as_chunks().0.chunks_exact(n_columns.max(1)) {
        let keys = || row.iter().map(|&score| key(score));
        let highest = keys().reduce(|a, b| if b > a { b } else { a });
        let index = keys().position(|key| Some(key) == highest);
        let class = index.and_then(|index| i64::try_from(index).ok());
        class.map(Class::of_integer).into_iter().for_each(&mut each);
    }
}

fn for_each_number(tensor: &Tensor, mut each: impl FnMut(f64)) {
    let data: &[u8] = tensor.data();
    match tensor.element_type() {
        ElementType::F32 => words(data, |word| each(f32::from_le_bytes(word).into())),
        ElementType::F64 => words(data, |word| each(f64::from_le_bytes(word))),
        ElementType::F16 => words(data, |word| each(half(u16::from_le_bytes(word)).into())),
        ElementType::BF16 => words(data, |word| {
            let upper = u32::from(u16::from_le_bytes(word));
            each(f32::from_bits(upper << 16).into());
        }),
        ElementType::Bool
        | ElementType::U8
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64
        | ElementType::I8
        | ElementType::I16
        | ElementType::I32
        | ElementType::I64
        | ElementType::Bytes => {}
    }
}

/// Passes on the elements of `SIZE` bytes, whatever their alignment.
fn words<const SIZE: usize>(data: &[u8], each: impl FnMut([u8; SIZE])) {
    data.as_chunks().0.iter().copied().for_each(each);
}

/// Converts a binary16 to a number; infinities become large ones, which is enough to compare.
fn half(bits: u16) -> f32 {
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13);
    // The exponents of the two formats are 112 apart.
    let magnitude = magnitude * 2.0_f32.powi(112);
    match bits >> 15 {
        0 => magnitude,
        _ => -magnitude,
    }
}

/// Returns whether a tensor has a NaN or an infinity, which are the numbers whose exponent bits are
/// all set.
pub(crate) fn is_not_finite(tensor: &Tensor) -> bool {
    let data: &[u8] = tensor.data();
    match tensor.element_type() {
        ElementType::F32 => any(data, |word| {
            u32::from_le_bytes(word) & 0x7f80_0000 == 0x7f80_0000
        }),
        ElementType::F64 => any(data, |word| {
            let exponent = 0x7ff0_0000_0000_0000;
            u64::from_le_bytes(word) & exponent == exponent
        }),
        ElementType::F16 => any(data, |word| u16::from_le_bytes(word) & 0x7c00 == 0x7c00),
        ElementType::BF16 => any(data, |word| u16::from_le_bytes(word) & 0x7f80 == 0x7f80),
        ElementType::Bool
        | ElementType::U8
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64
        | ElementType::I8
        | ElementType::I16
        | ElementType::I32
        | ElementType::I64
        | ElementType::Bytes => false,
    }
}

fn any<const SIZE: usize>(data: &[u8], is_so: impl Fn([u8; SIZE]) -> bool) -> bool {
    let mut blocks = data.as_chunks().0.chunks(BLOCK);
    blocks.any(|block| block.iter().fold(false, |any, &word| any | is_so(word)))
}

#[cfg(test)]
mod tests;
