//! Files that cannot be opened, and the sentence that says what is there and what is expected.

use super::*;

fn with_external_data(file: &str) -> ModelFile {
    let weights = Tensor::from_values([3].into(), vec![1_f32, 2.0, 3.0]).unwrap();
    let model = OnnxModel::new()
        .input("x", ElementType::F32, &dims("3"))
        .output("y", ElementType::F32, &dims("3"))
        .external_initializer("weights", &weights, file)
        .node("Add", &["x", "weights"], &["y"]);
    ModelFile::new(&model.to_bytes())
}

fn refusal_of(file: &ModelFile) -> String {
    file.load().map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_file_that_is_no_model_is_named_for_what_it_is() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "is a Git LFS pointer and not the file itself; run `git lfs pull`",
        ),
        (b"PK\x03\x04archive/data.pkl", "`torch.onnx.export`"),
        (b"\x80\x05\x95", "Python pickle"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x1f\x8b\x08", "decompress it"),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .map(|(content, expected)| (refusal_of(&ModelFile::new(content)), expected))
        .filter(|(text, expected)| !text.contains(*expected) || !text.contains("model.onnx"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_model_that_is_cut_off_is_called_incomplete() {
    let bytes = OnnxModel::adding(1.0, "n").to_bytes();
    let model = OnnxModel::adding(1.0, "n").metadata("note", &"long ".repeat(100));
    for (whole, missing) in [(bytes, 20), (model.to_bytes(), 100)] {
        let cut = &whole[..whole.len() - missing];
        let text = refusal_of(&ModelFile::new(cut));
        assert!(text.contains("bytes too early"), "{text}");
        assert!(text.contains("still being copied"), "{text}");
    }
}

#[test]
fn external_data_under_another_name_is_asked_for_by_its_name() {
    let file = with_external_data("big.onnx.data");
    fs::write(file.spec.path.with_file_name("model.onnx.data"), [0; 12]).unwrap();
    let text = refusal_of(&file);
    assert!(text.contains("in the file `big.onnx.data`"), "{text}");
    assert!(text.contains("there is `model.onnx.data`"), "{text}");
}

#[test]
fn external_data_that_is_a_pointer_or_too_short_is_reported() {
    let file = with_external_data("weights.bin");
    let data = file.spec.path.with_file_name("weights.bin");
    fs::write(&data, [0; 12]).unwrap();
    file.load().unwrap();
    fs::write(&data, [8; 11]).unwrap();
    let text = refusal_of(&file);
    assert!(
        text.contains("weights.bin` has 11 bytes, but the model needs 12"),
        "{text}"
    );
    fs::write(&data, "version https://git-lfs.github.com/spec/v1\n").unwrap();
    let text = refusal_of(&file);
    assert!(text.contains("weights.bin` is a Git LFS pointer"), "{text}");
}
