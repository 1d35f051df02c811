//! Compatibility of signatures.

use contract::{Dimension, ElementType};

use super::*;

fn spec(name: &str, element_type: ElementType, sizes: &[i64]) -> TensorSpec {
    let dim = |size: &i64| usize::try_from(*size).map_or(Dimension::Dynamic, Dimension::Fixed);
    TensorSpec {
        name: name.to_owned(),
        element_type,
        dims: sizes.iter().map(dim).collect(),
        is_optional: false,
    }
}

fn signature<const N: usize>(
    inputs: [TensorSpec; N],
    outputs: impl Into<Vec<TensorSpec>>,
) -> Signature {
    Signature {
        inputs: inputs.into(),
        outputs: outputs.into(),
    }
}

fn optional(spec: TensorSpec) -> TensorSpec {
    TensorSpec {
        is_optional: true,
        ..spec
    }
}

#[test]
fn a_candidate_takes_what_stable_takes_and_gives_what_stable_gives() {
    let x = spec("x", ElementType::F32, &[-1, 4]);
    let y = spec("y", ElementType::F32, &[-1, 10]);
    let stable = signature([x.clone()], [y.clone()]);
    let f64_x = spec("x", ElementType::F64, &[-1, 4]);
    let wide_y = spec("y", ElementType::F32, &[-1, 11]);
    let mask = spec("mask", ElementType::F32, &[-1]);
    let cases = [
        (signature([x.clone()], [y.clone()]), None),
        (
            signature([spec("x", ElementType::F32, &[-1, -1])], [y.clone()]),
            None,
        ),
        (
            signature([x.clone(), optional(mask.clone())], [y.clone()]),
            None,
        ),
        (
            signature([mask.clone()], [y.clone()]),
            Some("input `x` is missing"),
        ),
        (
            signature([f64_x], [y.clone()]),
            Some("input `x` (FP32 [-1, 4]) became `x` (FP64 [-1, 4])"),
        ),
        (
            signature([spec("x", ElementType::F32, &[-1, 5])], [y.clone()]),
            Some("input `x` (FP32 [-1, 4]) became `x` (FP32 [-1, 5])"),
        ),
        (
            signature([x.clone(), mask.clone()], [y.clone()]),
            Some("input `mask` is new and not optional"),
        ),
        (
            signature([x.clone()], [wide_y]),
            Some("output `y` (FP32 [-1, 10]) became `y` (FP32 [-1, 11])"),
        ),
        (
            signature([x.clone()], [y.clone(), mask]),
            Some("the candidate has 2 outputs, but stable has 1"),
        ),
    ];
    let mut failures = Vec::new();
    for (candidate, expected) in cases {
        let found = difference(&stable, &candidate, true);
        if found.as_deref() != expected {
            failures.push(format!("{found:?}, not {expected:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn outputs_may_change_without_a_shape_guard() {
    let y = |size| spec("y", ElementType::F32, &[-1, size]);
    let [stable, candidate] = [10, 11].map(|size| signature([], [y(size)]));
    assert_eq!(difference(&stable, &candidate, false), None);
}
