//! Made-up inputs: sizes for dynamic dimensions and seeded random values.
//!
//! Rule: a size is taken from `warmup.shapes`, otherwise from a list of usual sizes, the same for
//! all dimensions that are unknown; `a + b` as the name of a dimension is the sum of both. Values
//! come in families, because no range suits every model: an index must be small, a divisor must not
//! be zero, and text may have to be a number.

use std::ops::RangeInclusive;

use contract::{Dimension, ElementType, Result, Shape, Signature, Tensor, TensorSpec};
use half::{bf16, f16};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::catalog::settings::Warmup;

/// Lengths of sequences and widths of tables, the most common first.
const LENGTHS: [usize; 28] = [
    8, 1, 2, 3, 4, 5, 6, 7, 10, 12, 16, 20, 32, 64, 13, 30, 100, 128, 28, 256, 224, 300, 384, 512,
    640, 768, 784, 1024,
];

/// Sides of images.
const SIDES: [usize; 10] = [64, 224, 32, 28, 256, 8, 128, 299, 512, 640];

/// The rank of a batch of images.
const PICTURE_RANK: usize = 4;

/// Largest number of elements of all inputs of one run: 64 MB of `FP32`.
const MAX_ELEMENTS: usize = 16 * 1024 * 1024;

/// Magnitudes of the requests, which differ so that normalisation over a batch is detected.
const MAGNITUDES: [f32; 5] = [1.0, 0.01, 30.0, 0.1, 3.0];

/// The values of one trial.
#[derive(Clone, Debug)]
pub(super) struct Family {
    floats: [f32; 2],
    integers: RangeInclusive<u16>,
    text: Text,
}

#[derive(Clone, Copy, Debug)]
enum Text {
    Words,
    Numerals,
}

/// Returns the families in the order in which they are tried.
pub(super) fn families() -> [Family; 6] {
    let family = |lowest, integers, text| Family {
        floats: [lowest, 1.0],
        integers,
        text,
    };
    [
        family(-1.0, 0..=1, Text::Words),
        family(0.01, 1..=3, Text::Numerals),
        family(-1.0, 0..=9, Text::Words),
        family(0.01, 2..=100, Text::Numerals),
        family(-1.0, 0..=0, Text::Numerals),
        family(0.01, 1..=1, Text::Words),
    ]
}

/// Returns the sizes that are tried for unknown dimensions.
pub(super) fn sizes(signature: &Signature, warmup: &Warmup) -> &'static [usize] {
    let is_unknown = |spec: &TensorSpec| {
        let is_given = warmup.shapes.contains_key(&spec.name);
        !is_given && spec.dims.iter().skip(1).any(|dim| dim.fixed().is_none())
    };
    let unknown: Vec<_> = used_inputs(signature, warmup)
        .filter(|spec| is_unknown(spec))
        .collect();
    let is_picture = unknown.iter().any(|spec| spec.dims.len() == PICTURE_RANK);
    match (!unknown.is_empty(), is_picture) {
        (false, _) => &[1],
        (true, true) => &SIDES,
        (true, false) => &LENGTHS,
    }
}

fn used_inputs<'a>(
    signature: &'a Signature,
    warmup: &'a Warmup,
) -> impl Iterator<Item = &'a TensorSpec> {
    let inputs = signature.inputs.iter();
    inputs.filter(|spec| !spec.is_optional || warmup.shapes.contains_key(&spec.name))
}

/// Makes the inputs of requests for one size and one family.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    pub(super) signature: &'a Signature,
    pub(super) warmup: &'a Warmup,
    pub(super) size: usize,
    pub(super) family: Family,
    pub(super) trial: usize,
}

impl Maker<'_> {
    /// Returns whether a run of `n_rows` has no more elements than allowed.
    pub(super) fn fits(&self, n_rows: usize) -> bool {
        let inputs = used_inputs(self.signature, self.warmup);
        let mut elements = inputs.map(|spec| self.shape(spec, n_rows).element_count().ok());
        let sum = elements.try_fold(0_usize, |sum, n| sum.checked_add(n?));
        sum.is_some_and(|sum| sum <= MAX_ELEMENTS)
    }

    /// Returns the inputs of request number `request`, the same each time.
    ///
    /// # Errors
    /// `invalid_request` when the sizes are too large.
    pub(super) fn request(&self, request: usize, n_rows: usize) -> Result<Vec<Option<Tensor>>> {
        let seed = self
            .trial
            .wrapping_mul(MAGNITUDES.len())
            .wrapping_add(request);
        let mut random = Pcg64Mcg::seed_from_u64(u64::try_from(seed).unwrap_or_default());
        let place = request.wrapping_add(self.trial) % MAGNITUDES.len();
        let magnitude = MAGNITUDES.get(place).copied().unwrap_or(1.0);
        let make = |spec: &TensorSpec| {
            if spec.is_optional && !self.warmup.shapes.contains_key(&spec.name) {
                return Ok(None);
            }
            let shape = self.shape(spec, n_rows);
            let values = Values {
                family: &self.family,
                magnitude,
                random: &mut random,
            };
            values.tensor(spec.element_type, shape).map(Some)
        };
        self.signature.inputs.iter().map(make).collect()
    }

    fn shape(&self, spec: &TensorSpec, n_rows: usize) -> Shape {
        let size = |axis: usize| match axis {
            0 => n_rows,
            axis => self.size_of(spec, axis),
        };
        (0..spec.dims.len()).map(size).collect()
    }

    fn size_of(&self, spec: &TensorSpec, axis: usize) -> usize {
        let given = self.warmup.shapes.get(&spec.name);
        if let Some(&size) = given.and_then(|shape| shape.get(axis)) {
            return size;
        }
        match spec.dims.get(axis) {
            Some(Dimension::Fixed(size)) => *size,
            Some(Dimension::Symbol(symbol)) => symbol
                .split('+')
                .map(|symbol| self.size_of_symbol(symbol.trim()))
                .fold(0, usize::saturating_add),
            Some(Dimension::Dynamic | Dimension::Rest) | None => self.size,
        }
    }

    fn size_of_symbol(&self, symbol: &str) -> usize {
        if let Ok(number) = symbol.parse() {
            return number;
        }
        let inputs = self.signature.inputs.iter();
        let mut given = inputs.flat_map(|spec| {
            let sizes = self.warmup.shapes.get(&spec.name).into_iter().flatten();
            spec.dims.iter().zip(sizes)
        });
        let is_it =
            |(dim, _): &(&Dimension, _)| matches!(dim, Dimension::Symbol(name) if name == symbol);
        given.find(is_it).map_or(self.size, |(_, size)| *size)
    }
}

/// Draws the values of one tensor.
struct Values<'a> {
    family: &'a Family,
    magnitude: f32,
    random: &'a mut Pcg64Mcg,
}

impl Values<'_> {
    fn tensor(mut self, element_type: ElementType, shape: Shape) -> Result<Tensor> {
        match element_type {
            ElementType::F16 => self.of(shape, |values| f16::from_f32(values.float())),
            ElementType::BF16 => self.of(shape, |values| bf16::from_f32(values.float())),
            ElementType::F32 => self.of(shape, Self::float),
            ElementType::F64 => self.of(shape, |values| f64::from(values.float())),
            ElementType::U8 => self.of(shape, Self::byte),
            ElementType::I8 => self.of(shape, |values| values.byte().cast_signed()),
            ElementType::U16 => self.of(shape, Self::integer),
            ElementType::I16 => self.of(shape, |values| values.integer().cast_signed()),
            ElementType::U32 => self.of(shape, |values| u32::from(values.integer())),
            ElementType::I32 => self.of(shape, |values| i32::from(values.integer())),
            ElementType::U64 => self.of(shape, |values| u64::from(values.integer())),
            ElementType::I64 => self.of(shape, |values| i64::from(values.integer())),
            ElementType::Bool => {
                let n = shape.element_count()?;
                let bytes: Vec<_> = (0..n)
                    .map(|_| u8::from(self.random.random::<bool>()))
                    .collect();
                Tensor::new(ElementType::Bool, shape, bytes.into())
            }
            ElementType::Bytes => {
                let n = shape.element_count()?;
                let words: Vec<_> = (0..n).map(|_| self.word()).collect();
                Tensor::from_strings(shape, words)
            }
        }
    }

    fn of<T: contract::Element>(
        &mut self,
        shape: Shape,
        mut next: impl FnMut(&mut Self) -> T,
    ) -> Result<Tensor> {
        let n = shape.element_count()?;
        let values = (0..n).map(|_| next(self)).collect();
        Tensor::from_values(shape, values)
    }

    fn float(&mut self) -> f32 {
        let [low, high] = self.family.floats;
        self.random.random_range(low..high) * self.magnitude
    }

    fn integer(&mut self) -> u16 {
        self.random.random_range(self.family.integers.clone())
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.integer()).unwrap_or(u8::MAX)
    }

    fn word(&mut self) -> String {
        const WORDS: [&str; 6] = ["good", "bad news", "a", "the quick fox", "ZUG", "été"];
        match self.family.text {
            Text::Numerals => self.random.random_range(0..100).to_string(),
            Text::Words => {
                let place = self.random.random_range(0..WORDS.len());
                WORDS.get(place).copied().unwrap_or_default().to_owned()
            }
        }
    }
}
