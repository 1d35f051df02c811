//! The conformance kit on models of every kind, and the example models.

use contract::SessionMode;
use contract::testing::conformance;

use super::*;

/// A net of two layers, with a second output that has the type of positions.
fn classifier() -> OnnxModel {
    let weights = |shape: [usize; 2]| {
        let values = (0..shape[0] * shape[1]).map(|i| (i % 7) as f32 / 7.0 - 0.4);
        Tensor::from_values(shape.into(), values.collect()).unwrap()
    };
    OnnxModel::new()
        .input("x", ElementType::F32, &dims("batch,8"))
        .output("scores", ElementType::F32, &dims("batch,3"))
        .output("label", ElementType::I64, &dims("batch"))
        .initializer("first", &weights([8, 16]))
        .initializer("second", &weights([16, 3]))
        .node("MatMul", &["x", "first"], &["hidden"])
        .node("Relu", &["hidden"], &["active"])
        .node("MatMul", &["active", "second"], &["scores"])
        .node_with(
            "ArgMax",
            &["scores"],
            &["label"],
            &[("axis", 1), ("keepdims", 0)],
        )
}

fn two_inputs() -> OnnxModel {
    OnnxModel::new()
        .input("text", ElementType::Bytes, &dims("n"))
        .input("number", ElementType::I32, &dims("n,?"))
        .output("text_again", ElementType::Bytes, &dims("n"))
        .output("doubled", ElementType::I32, &dims("n,?"))
        .node("Identity", &["text"], &["text_again"])
        .node("Add", &["number", "number"], &["doubled"])
}

/// Checks a model with a session for each instance, and with one for all.
fn broken(model: &[u8]) -> Vec<String> {
    let file = ModelFile::new(model);
    let mut wrong = Vec::new();
    for mode in [SessionMode::Instances, SessionMode::Shared] {
        let mut spec = file.spec.clone();
        spec.concurrency.mode = mode;
        let reported = conformance::check(&engine(), &spec).into_iter();
        wrong.extend(reported.map(|reported| format!("{}: {reported}", mode.as_str())));
    }
    wrong
}

#[test]
fn the_engine_keeps_its_promises_on_models_of_every_kind() {
    let identities = ElementType::ALL.map(|element_type| {
        let model = OnnxModel::identity(element_type, "n,2");
        (element_type.name(), model)
    });
    let others = [
        ("classifier", classifier()),
        ("two inputs", two_inputs()),
        ("no batch dimension", OnnxModel::adding(0.5, "4")),
        ("scalar", OnnxModel::adding(0.5, "")),
    ];
    let cases = identities.into_iter().chain(others);
    let mut wrong = Vec::new();
    for (name, model) in cases {
        wrong.extend(
            broken(&model.to_bytes())
                .into_iter()
                .map(|reported| format!("{name}: {reported}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_engine_keeps_its_promises_on_the_example_models() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models");
    let mut wrong = Vec::new();
    for model in ["digits/1", "digits/2", "digits-image/1", "iris/1"] {
        let path = examples.join(model).join("model.onnx");
        let reported = broken(&fs::read(&path).unwrap());
        wrong.extend(
            reported
                .into_iter()
                .map(|reported| format!("{model}: {reported}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}
