//! Classifiers that end with a `ZipMap`, opened without it.

use super::*;

fn classifier() -> OnnxModel {
    OnnxModel::new()
        .input("x", ElementType::F32, &dims("?,2"))
        .output("label", ElementType::I64, &dims("?,1"))
        .node_with("ArgMax", &["weighted"], &["label"], &[("axis", 1)])
        .zip_map("weighted", "probability", &["cat", "dog"])
        .map_sequence_output("probability")
}

fn weights() -> Tensor {
    Tensor::from_values([2].into(), vec![1_f32, 10.0]).unwrap()
}

fn check_scores(loaded: &mut LoadedModel) {
    let output = &loaded.signature.outputs[1];
    assert_eq!(output.name, "probability");
    assert_eq!(output.element_type, ElementType::F32);
    assert_eq!(output.dims, [Dimension::Dynamic, Dimension::Fixed(2)]);
    assert_eq!(loaded.labels, ["cat", "dog"]);
    let input = Tensor::from_values([2, 2].into(), vec![1_f32, 2.0, 30.0, 1.0]).unwrap();
    let outputs = loaded.sessions[0].run(&[Some(input)], &[0, 1]).unwrap();
    assert_eq!(outputs[0].as_slice::<i64>(), Some(&[1, 0][..]));
    let scores = outputs[1].as_slice::<f32>();
    assert_eq!(scores, Some(&[1.0, 20.0, 30.0, 10.0][..]));
    assert_eq!(outputs[1].shape(), &Shape::from([2, 2]));
}

#[test]
fn a_classifier_that_ends_with_a_zip_map_gives_its_scores_and_labels() {
    let model = classifier().initializer("weights", &weights());
    check_scores(&mut load(&model.node("Mul", &["x", "weights"], &["weighted"])).unwrap());
}

#[test]
fn a_model_without_its_zip_map_keeps_its_external_data() {
    let model = classifier().external_initializer("weights", &weights(), "weights.bin");
    let model = model.node("Mul", &["x", "weights"], &["weighted"]);
    let file = ModelFile::new(&model.to_bytes());
    let data = file.spec.path.with_file_name("weights.bin");
    fs::write(data, weights().data()).unwrap();
    check_scores(&mut file.load().unwrap());
}

#[test]
fn every_instance_opens_the_model_without_its_zip_map() {
    let model = classifier().initializer("weights", &weights());
    let model = model.node("Mul", &["x", "weights"], &["weighted"]);
    let mut file = ModelFile::new(&model.to_bytes());
    file.spec.concurrency = Concurrency::of(NonZeroUsize::new(2).unwrap());
    let mut loaded = file.load().unwrap();
    assert_eq!(loaded.sessions.len(), 2);
    loaded.sessions.reverse();
    check_scores(&mut loaded);
}
