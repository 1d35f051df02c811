//! Inputs that fit a signature.
//!
//! Decision: integers stay between 0 and 3, because they are often indices into a table of the
//! model.

use bytes::Bytes;

use crate::error::Result;
use crate::model::{Dimension, Signature, TensorSpec};
use crate::tensor::{Element, ElementType, Shape, Tensor};

/// The size of every dimension that is not fixed and holds no rows.
const DYNAMIC_SIZE: usize = 3;

/// Makes inputs for a signature: `n_rows` rows where it has a batch dimension, values that follow
/// from `seed`, and every optional input given.
///
/// # Errors
/// `invalid_request` when a fixed shape has too many elements.
pub fn sample_inputs(
    signature: &Signature,
    n_rows: usize,
    seed: usize,
) -> Result<Vec<Option<Tensor>>> {
    let rows = match signature.has_batch_dimension() {
        true => n_rows,
        false => DYNAMIC_SIZE,
    };
    let symbol = signature.inputs.first().and_then(|spec| spec.dims.first());
    let one = |(index, spec): (usize, &TensorSpec)| {
        let size = |(position, dim): (usize, &Dimension)| match dim {
            Dimension::Fixed(size) => *size,
            Dimension::Dynamic if position == 0 => rows,
            Dimension::Symbol(_) if Some(dim) == symbol => rows,
            Dimension::Dynamic | Dimension::Symbol(_) | Dimension::Rest => DYNAMIC_SIZE,
        };
        let shape: Shape = spec.dims.iter().enumerate().map(size).collect();
        sample(spec.element_type, shape, seed + index).map(Some)
    };
    signature.inputs.iter().enumerate().map(one).collect()
}

fn sample(element_type: ElementType, shape: Shape, seed: usize) -> Result<Tensor> {
    match element_type {
        ElementType::Bool => {
            let bits = small(&shape, seed)?.into_iter().map(|value| value % 2);
            Tensor::new(element_type, shape, bits.collect())
        }
        ElementType::I8 => {
            let values = small(&shape, seed)?;
            Tensor::new(element_type, shape, Bytes::from(values))
        }
        ElementType::U8 => numbers::<u8>(shape, seed),
        ElementType::U16 => numbers::<u16>(shape, seed),
        ElementType::U32 => numbers::<u32>(shape, seed),
        ElementType::U64 => numbers::<u64>(shape, seed),
        ElementType::I16 => numbers::<i16>(shape, seed),
        ElementType::I32 => numbers::<i32>(shape, seed),
        ElementType::I64 => numbers::<i64>(shape, seed),
        ElementType::F16 => numbers::<half::f16>(shape, seed),
        ElementType::BF16 => numbers::<half::bf16>(shape, seed),
        ElementType::F32 => numbers::<f32>(shape, seed),
        ElementType::F64 => numbers::<f64>(shape, seed),
        ElementType::Bytes => {
            let values = small(&shape, seed)?;
            Tensor::from_strings(shape, values.iter().map(|value| format!("text {value}")))
        }
    }
}

fn numbers<T: Element + From<u8>>(shape: Shape, seed: usize) -> Result<Tensor> {
    let values = small(&shape, seed)?;
    Tensor::from_values(shape, values.into_iter().map(T::from).collect())
}

/// Returns as many numbers from 0 to 3 as the shape has elements. Neighbours differ, and so do
/// seeds.
fn small(shape: &Shape, seed: usize) -> Result<Vec<u8>> {
    const CYCLE: [u8; 7] = [1, 3, 0, 2, 3, 1, 2];
    let start = seed.wrapping_mul(3);
    let values = CYCLE.into_iter().cycle().skip(start % CYCLE.len());
    Ok(values.take(shape.element_count()?).collect())
}
