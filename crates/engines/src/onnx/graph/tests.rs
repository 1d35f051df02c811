//! Models whose cost depends on values, and arbitrary bytes that must not break the analysis.

use std::io::Cursor;

use contract::{ElementType, Tensor};
use proptest::prelude::*;

use super::*;
use crate::testing::{OnnxModel, dims};

const LOOP: &[u8] = include_bytes!("../../../tests/fixtures/loop_trips.onnx");

fn reason(bytes: &[u8]) -> Option<String> {
    let model = Model::read(Cursor::new(bytes)).unwrap();
    model.data_dependent_cost()
}

/// A model with two inputs, of numbers and of sizes.
fn model() -> OnnxModel {
    OnnxModel::new()
        .input("x", ElementType::F32, &dims("n,m"))
        .input("sizes", ElementType::I64, &dims("2"))
        .output("y", ElementType::F32, &dims("?,?"))
}

fn sizes() -> Tensor {
    Tensor::from_values([2].into(), vec![1_i64, -1]).unwrap()
}

type Case = (&'static str, OnnxModel, Option<&'static str>);

/// Models whose cost follows from shapes.
fn safe() -> Vec<Case> {
    let shaped = || model().node("Shape", &["x"], &["s"]);
    let expanded = shaped().node("Expand", &["x", "s"], &["y"]);
    let fixed = model().initializer("fixed", &sizes());
    let fixed = fixed.node("Reshape", &["x", "fixed"], &["y"]);
    let computed = shaped()
        .node("Add", &["s", "s"], &["t"])
        .node("Reshape", &["x", "t"], &["y"]);
    let of_data = model()
        .node("Shape", &["sizes"], &["s"])
        .node("Reshape", &["x", "s"], &["y"]);
    let left_out =
        shaped()
            .node("Dropout", &["x"], &["d", ""])
            .node("Resize", &["d", "", "", "s"], &["y"]);
    vec![
        ("constant sizes", fixed, None),
        ("sizes of a shape", expanded, None),
        ("sizes computed from a shape", computed, None),
        ("the shape of data", of_data, None),
        ("an input left out after an output", left_out, None),
    ]
}

/// Models whose cost follows from values.
fn dangerous() -> Vec<Case> {
    let reshape = model().node("Reshape", &["x", "sizes"], &["y"]);
    let computed =
        model()
            .node("Mul", &["sizes", "sizes"], &["t"])
            .node("ConstantOfShape", &["t"], &["y"]);
    let unsorted =
        model()
            .node("Expand", &["x", "t"], &["y"])
            .node("Mul", &["sizes", "sizes"], &["t"]);
    let count = model().node("NonZero", &["x"], &["y"]);
    let overridable = model()
        .input("fixed", ElementType::I64, &dims("2"))
        .initializer("fixed", &sizes())
        .node("Reshape", &["x", "fixed"], &["y"]);
    vec![
        (
            "an input as sizes",
            reshape,
            Some("the size `sizes` of operator `Reshape`"),
        ),
        (
            "sizes computed from an input",
            computed,
            Some("the size `t` of operator `ConstantOfShape`"),
        ),
        (
            "a node before its input",
            unsorted,
            Some("the size `t` of operator `Expand`"),
        ),
        (
            "a count of values",
            count,
            Some("the size `x` of operator `NonZero`"),
        ),
        (
            "an initializer that callers may replace",
            overridable,
            Some("the size `fixed` of operator `Reshape`"),
        ),
    ]
}

#[test]
fn a_cost_that_follows_from_values_is_found_with_its_reason() {
    let mut failures = Vec::new();
    for (what, model, expected) in safe().into_iter().chain(dangerous()) {
        let found = reason(&model.to_bytes());
        let is_right = match (&found, expected) {
            (Some(found), Some(expected)) => found.starts_with(expected),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_right {
            failures.push((what, found));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_loop_depends_on_values() {
    assert_eq!(reason(LOOP).as_deref(), Some("operator `Loop`"));
}

#[test]
fn a_file_that_cannot_be_read_counts_as_dependent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    assert!(inspect(&path).data_dependent_cost.is_some());
    std::fs::write(&path, b"no model").unwrap();
    assert!(inspect(&path).data_dependent_cost.is_some());
    std::fs::write(&path, OnnxModel::identity(ElementType::F32, "n").to_bytes()).unwrap();
    assert_eq!(inspect(&path).data_dependent_cost, None);
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let model = Model::read(Cursor::new(&bytes));
        drop(model.map(Model::data_dependent_cost));
    }

    #[test]
    fn no_damage_to_a_model_breaks_the_reader(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        length in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = LOOP.to_vec();
        for (index, byte) in damage {
            *index.get_mut(&mut bytes) = byte;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        let model = Model::read(Cursor::new(&bytes));
        drop(model.map(Model::data_dependent_cost));
    }
}
