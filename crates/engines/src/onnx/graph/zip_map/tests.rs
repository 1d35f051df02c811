//! Models with and without a trailing `ZipMap`, and damaged ones.

use contract::ElementType;
use proptest::prelude::*;

use super::*;
use crate::testing::{OnnxModel, dims};

fn classifier() -> OnnxModel {
    OnnxModel::new()
        .input("x", ElementType::F32, &dims("?,2"))
        .node("Softmax", &["x"], &["p"])
}

fn outputs(model: &OnnxModel) -> Vec<(String, Vec<String>)> {
    without_zip_maps(&model.to_bytes()).map_or_else(Vec::new, |model| model.outputs)
}

#[test]
fn only_trailing_zip_maps_are_removed() {
    let labels = ["cat", "dog"];
    let trailing = classifier()
        .zip_map("p", "probability", &labels)
        .map_sequence_output("probability");
    let numbers = classifier()
        .zip_map_of_numbers("p", "probability", &[7, u64::MAX])
        .map_sequence_output("probability");
    let inner = classifier()
        .zip_map("p", "map", &labels)
        .node("SequenceAt", &["map", "i"], &["probability"])
        .output("probability", ElementType::F32, &dims("?"));
    let also_read = classifier()
        .zip_map("p", "probability", &labels)
        .node("SequenceLength", &["probability"], &["length"])
        .map_sequence_output("probability");
    let without_labels = classifier()
        .zip_map("p", "probability", &[])
        .map_sequence_output("probability");
    let found =
        |labels: [&str; 2]| vec![("probability".to_owned(), labels.map(str::to_owned).to_vec())];
    let cases = [
        ("text", trailing, found(labels)),
        ("numbers", numbers, found(["7", "-1"])),
        ("inner", inner, Vec::new()),
        ("also read", also_read, Vec::new()),
        ("without labels", without_labels, Vec::new()),
        (
            "none",
            OnnxModel::identity(ElementType::F32, "n"),
            Vec::new(),
        ),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .filter(|(_, model, expected)| outputs(model) != *expected)
        .map(|(name, model, _)| (name, outputs(model)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_rewritten_model_has_nothing_left_to_remove() {
    let model = classifier()
        .zip_map("p", "probability", &["cat"])
        .map_sequence_output("probability");
    let rewritten = without_zip_maps(&model.to_bytes()).unwrap();
    assert_eq!(without_zip_maps(&rewritten.bytes), None);
}

proptest! {
    #[test]
    fn no_damage_to_a_model_breaks_the_rewrite(
        position in 0_usize..300,
        byte in any::<u8>(),
        length in 0_usize..300,
    ) {
        let model = classifier()
            .zip_map("p", "probability", &["cat", "dog"])
            .map_sequence_output("probability");
        let mut bytes = model.to_bytes();
        if let Some(place) = bytes.get_mut(position) {
            *place = byte;
        }
        bytes.truncate(length.max(1));
        drop(without_zip_maps(&bytes));
    }
}
