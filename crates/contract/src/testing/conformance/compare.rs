//! Comparison of two tensors up to the last digits of floating point numbers.

use crate::tensor::{Element, ElementType, Tensor};

/// Returns whether two tensors have the same type and shape and nearly the same numbers.
pub(super) fn is_near(left: &Tensor, right: &Tensor) -> bool {
    if (left.element_type(), left.shape()) != (right.element_type(), right.shape()) {
        return false;
    }
    // A few units in the last place of each type, because sums are added in another order.
    match left.element_type() {
        ElementType::F16 => all_near::<half::f16>(left, right, 1e-2),
        ElementType::BF16 => all_near::<half::bf16>(left, right, 5e-2),
        ElementType::F32 => all_near::<f32>(left, right, 1e-5),
        ElementType::F64 => all_near::<f64>(left, right, 1e-12),
        ElementType::Bool
        | ElementType::U8
        | ElementType::U16
        | ElementType::U32
        | ElementType::U64
        | ElementType::I8
        | ElementType::I16
        | ElementType::I32
        | ElementType::I64
        | ElementType::Bytes => left == right,
    }
}

fn all_near<T: Element + Into<f64>>(left: &Tensor, right: &Tensor, tolerance: f64) -> bool {
    let (Some(left), Some(right)) = (left.to_vec::<T>(), right.to_vec::<T>()) else {
        return false;
    };
    left.into_iter().zip(right).all(|(left, right)| {
        let (left, right): (f64, f64) = (left.into(), right.into());
        left == right
            || left.is_nan() && right.is_nan()
            || (left - right).abs() <= tolerance * (1.0 + left.abs())
    })
}
