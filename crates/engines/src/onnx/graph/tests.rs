//! Which models have a cost that depends on values, and that no bytes break the look into them.

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

#[test]
fn a_cost_that_follows_from_values_is_found_with_its_reason() {
    let sizes = Tensor::from_values([2].into(), vec![1_i64, -1]).unwrap();
    let cases = [
        (
            "constant sizes",
            model()
                .initializer("fixed", &sizes)
                .node("Reshape", &["x", "fixed"], &["y"]),
            None,
        ),
        (
            "sizes of a shape",
            model()
                .node("Shape", &["x"], &["s"])
                .node("Expand", &["x", "s"], &["y"]),
            None,
        ),
        (
            "sizes computed from a shape",
            model()
                .node("Shape", &["x"], &["s"])
                .node("Add", &["s", "s"], &["t"])
                .node("Reshape", &["x", "t"], &["y"]),
            None,
        ),
        (
            "data that is reshaped",
            model()
                .node("Shape", &["sizes"], &["s"])
                .node("Reshape", &["x", "s"], &["y"]),
            None,
        ),
        (
            "an input as sizes",
            model().node("Reshape", &["x", "sizes"], &["y"]),
            Some("the size `sizes` of operator `Reshape`"),
        ),
        (
            "sizes computed from an input",
            model().node("Mul", &["sizes", "sizes"], &["t"]).node(
                "ConstantOfShape",
                &["t"],
                &["y"],
            ),
            Some("the size `t` of operator `ConstantOfShape`"),
        ),
        (
            "a node before its input",
            model()
                .node("Expand", &["x", "t"], &["y"])
                .node("Mul", &["sizes", "sizes"], &["t"]),
            Some("the size `t` of operator `Expand`"),
        ),
        (
            "a count of values",
            model().node("NonZero", &["x"], &["y"]),
            Some("the size `x` of operator `NonZero`"),
        ),
        (
            "an input that is left out after an output that is",
            model()
                .node("Dropout", &["x"], &["d", ""])
                .node("Shape", &["x"], &["s"])
                .node("Resize", &["d", "", "", "s"], &["y"]),
            None,
        ),
        (
            "an initializer that callers may replace",
            model()
                .input("fixed", ElementType::I64, &dims("2"))
                .initializer("fixed", &sizes)
                .node("Reshape", &["x", "fixed"], &["y"]),
            Some("the size `fixed` of operator `Reshape`"),
        ),
    ];
    let mut failures = Vec::new();
    for (what, model, expected) in cases {
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
    assert!(data_dependent_cost(&path).is_some());
    std::fs::write(&path, b"no model").unwrap();
    assert!(data_dependent_cost(&path).is_some());
    std::fs::write(&path, OnnxModel::identity(ElementType::F32, "n").to_bytes()).unwrap();
    assert_eq!(data_dependent_cost(&path), None);
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
