//! Models in the real runtime.

mod buckets;
mod conform;
mod process;
mod refusal;
mod shared;
mod terminate;
mod zip_map;

use std::fs;
use std::num::NonZeroUsize;

use bytes::Bytes;
use contract::{Code, Concurrency, Dimension, ElementType, Error, Session, Shape, Tensor};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::testing::{OnnxModel, dims, onnx_runtime};

fn engine() -> OnnxEngine {
    OnnxEngine::open(&onnx_runtime()).unwrap()
}

/// A model file in a folder of its own.
struct ModelFile {
    _folder: TempDir,
    spec: LoadSpec,
}

impl ModelFile {
    fn new(content: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        fs::write(&path, content).unwrap();
        let spec = LoadSpec {
            path,
            concurrency: Concurrency::of(NonZeroUsize::MIN),
            max_batch_rows: None,
            provider: None,
            options: Default::default(),
        };
        Self {
            _folder: folder,
            spec,
        }
    }

    fn load(&self) -> Result<LoadedModel> {
        engine().load(&self.spec)
    }
}

fn load(model: &OnnxModel) -> Result<LoadedModel> {
    ModelFile::new(&model.to_bytes()).load()
}

fn refusal(model: &OnnxModel) -> Error {
    load(model).map(|_| ()).unwrap_err()
}

fn only_session(model: &OnnxModel) -> Box<dyn Session> {
    load(model).unwrap().sessions.remove(0)
}

/// Three elements of every type, chosen to show a wrong width, sign or byte order.
fn samples() -> Vec<Tensor> {
    let shape = || Shape::from([3]);
    let bits = [0x7f80_u16, 0x3c01, 0x8000];
    vec![
        Tensor::new(ElementType::Bool, shape(), Bytes::from_static(&[1, 0, 1])).unwrap(),
        Tensor::from_values(shape(), vec![0_u8, 7, u8::MAX]).unwrap(),
        Tensor::from_values(shape(), vec![0_u16, 258, u16::MAX]).unwrap(),
        Tensor::from_values(shape(), vec![0_u32, 66_051, u32::MAX]).unwrap(),
        Tensor::from_values(shape(), vec![0_u64, 72_623_859_790_382_856, u64::MAX]).unwrap(),
        Tensor::from_values(shape(), vec![i8::MIN, -1, i8::MAX]).unwrap(),
        Tensor::from_values(shape(), vec![i16::MIN, -2, i16::MAX]).unwrap(),
        Tensor::from_values(shape(), vec![i32::MIN, -3, i32::MAX]).unwrap(),
        Tensor::from_values(shape(), vec![i64::MIN, -4, i64::MAX]).unwrap(),
        Tensor::from_values(shape(), bits.map(half::f16::from_bits).to_vec()).unwrap(),
        Tensor::from_values(shape(), bits.map(half::bf16::from_bits).to_vec()).unwrap(),
        Tensor::from_values(shape(), vec![f32::MIN, -0.0, f32::INFINITY]).unwrap(),
        Tensor::from_values(shape(), vec![f64::MIN, -0.0, f64::EPSILON]).unwrap(),
        Tensor::from_strings(shape(), ["é\0\u{ff}".as_bytes(), b"", b"\xff\xfe"]).unwrap(),
    ]
}

#[test]
fn every_element_type_passes_unchanged_in_every_shape() {
    let mut wrong = Vec::new();
    let samples = samples();
    assert_eq!(samples.len(), ElementType::ALL.len());
    for sample in samples {
        let scalar = sample
            .slice_rows(1, 1)
            .unwrap()
            .reshaped([].into())
            .unwrap();
        let none = sample.slice_rows(0, 0).unwrap();
        let empty = none.reshaped([2, 0, 3].into()).unwrap();
        let column = sample.reshaped([3, 1].into()).unwrap();
        for (dims, tensor) in [
            ("n", &sample),
            ("", &scalar),
            ("n", &none),
            ("a,b,c", &empty),
            ("n,1", &column),
            ("3", &sample),
        ] {
            let model = OnnxModel::identity(tensor.element_type(), dims);
            let given = only_session(&model).run(&[Some(tensor.clone())], &[0]);
            if given.as_ref().ok() != Some(&vec![tensor.clone()]) {
                wrong.push((tensor.element_type(), dims, given));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn inputs_at_odd_addresses_give_the_same_outputs() {
    let mut content = vec![0_u8];
    content.extend([1.5_f32, -2.0].map(f32::to_le_bytes).concat());
    let odd = Bytes::from(content).slice(1..);
    let tensor = Tensor::new(ElementType::F32, [2].into(), odd).unwrap();
    let mut session = only_session(&OnnxModel::adding(1.0, "n"));
    let given = session.run(&[Some(tensor)], &[0]).unwrap();
    assert_eq!(given[0].as_slice::<f32>(), Some(&[2.5, -1.0][..]));
}

#[test]
fn the_signature_comes_from_the_file() {
    let model = OnnxModel::new()
        .input("x", ElementType::F32, &dims("batch,?,3"))
        .output("y", ElementType::F32, &dims("batch,?,3"))
        .node("Relu", &["x"], &["y"])
        .metadata("classes", "cat,dog");
    let loaded = load(&model).unwrap();
    let spec = &loaded.signature.inputs[0];
    assert_eq!(
        (spec.name.as_str(), spec.element_type),
        ("x", ElementType::F32)
    );
    let symbol = Dimension::Symbol("batch".to_owned());
    assert_eq!(spec.dims, [symbol, Dimension::Dynamic, Dimension::Fixed(3)]);
    assert!(!spec.is_optional);
    assert_eq!(loaded.signature.outputs[0].name, "y");
    assert_eq!(loaded.layout.provider, "cpu");
    let said = |key: &str| loaded.metadata.get(key).map(String::as_str);
    assert_eq!(said("classes"), Some("cat,dog"));
    assert_eq!(said("onnx.producer"), Some("lockgate"));
    assert_eq!(said("onnx.opset"), Some("18"));
}

#[test]
fn tensors_without_a_declared_shape_take_any_rank() {
    let model = OnnxModel::identity(ElementType::F32, "...");
    let mut loaded = load(&model).unwrap();
    assert!(loaded.signature.inputs[0].has_unknown_rank());
    assert!(loaded.signature.outputs[0].has_unknown_rank());
    let scalar = load(&OnnxModel::identity(ElementType::F32, "")).unwrap();
    assert_eq!(scalar.signature.inputs[0].dims, []);
    for shape in [
        Shape::from([]),
        [3].into(),
        [2, 0, 3].into(),
        [1, 1, 1, 1].into(),
    ] {
        let input = Tensor::zeros(ElementType::F32, shape).unwrap();
        let outputs = loaded.sessions[0].run(&[Some(input.clone())], &[0]);
        assert_eq!(outputs.unwrap(), [input]);
    }
}

#[test]
fn an_input_with_a_default_is_optional_unless_the_options_hide_it() {
    let default = Tensor::from_values([1].into(), vec![10_f32]).unwrap();
    let model = OnnxModel::new()
        .input("x", ElementType::F32, &dims("n"))
        .input("offset", ElementType::F32, &dims("1"))
        .initializer("offset", &default)
        .output("y", ElementType::F32, &dims("n"))
        .node("Add", &["x", "offset"], &["y"]);
    let mut loaded = load(&model).unwrap();
    let optional: Vec<_> = loaded
        .signature
        .inputs
        .iter()
        .map(|spec| spec.is_optional)
        .collect();
    assert_eq!(optional, [false, true]);
    let number = |value: f32| Some(Tensor::from_values([1].into(), vec![value]).unwrap());
    let session = &mut loaded.sessions[0];
    let with_default = session.run(&[number(1.0), None], &[0]).unwrap();
    assert_eq!(with_default[0].as_slice::<f32>(), Some(&[11.0][..]));
    let with_both = session.run(&[number(1.0), number(2.0)], &[0]).unwrap();
    assert_eq!(with_both[0].as_slice::<f32>(), Some(&[3.0][..]));

    let mut file = ModelFile::new(&model.to_bytes());
    file.spec
        .options
        .insert("optional_inputs".to_owned(), "false".to_owned());
    assert_eq!(file.load().unwrap().signature.inputs.len(), 1);
}

#[test]
fn load_failures_carry_the_message_of_the_runtime() {
    let missing = LoadSpec {
        path: PathBuf::from("/nowhere/model.onnx"),
        ..ModelFile::new(b"").spec
    };
    let unknown = OnnxModel::new()
        .input("x", ElementType::F32, &dims("n"))
        .output("y", ElementType::F32, &dims("n"))
        .node("Levitate", &["x"], &["y"]);
    let sequence = OnnxModel::new()
        .input("x", ElementType::F32, &dims("n"))
        .sequence_output("y")
        .node("SequenceConstruct", &["x"], &["y"]);
    let reported = |result: Result<LoadedModel>| result.map(|_| ()).unwrap_err().to_string();
    let cases = [
        (
            reported(engine().load(&missing)),
            "cannot read the model file `/nowhere/model.onnx`",
        ),
        (
            reported(ModelFile::new(b"no model").load()),
            "` is not an ONNX model: Protobuf parsing failed.",
        ),
        (refusal(&unknown).to_string(), "Levitate"),
        (refusal(&sequence).to_string(), "output `y` is a"),
        (
            refusal(&sequence).to_string(),
            "options={\"zipmap\": False}",
        ),
        (
            refusal(&sequence).to_string(),
            "convert_lightgbm(model, initial_types=types, zipmap=False)",
        ),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .filter(|(text, part)| !text.contains(part))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_model_of_the_probe_is_what_the_builder_writes() {
    let model = OnnxModel::new()
        .input("x", ElementType::F32, &dims("1"))
        .output("y", ElementType::F32, &dims("1"))
        .node("Relu", &["x"], &["y"]);
    assert_eq!(load::ONE_NODE, model.to_bytes());
}

#[test]
fn a_run_that_fails_hides_the_words_of_the_runtime_and_the_next_one_works() {
    let table = Tensor::from_values([3].into(), vec![1_f32, 2.0, 3.0]).unwrap();
    let model = OnnxModel::new()
        .input("position", ElementType::I64, &dims("n"))
        .output("y", ElementType::F32, &dims("n"))
        .initializer("table", &table)
        .node("Gather", &["table", "position"], &["y"]);
    let mut session = only_session(&model);
    let mut at = |position: i64| {
        let input = Tensor::from_values([1].into(), vec![position]).unwrap();
        session.run(&[Some(input)], &[0])
    };
    let error = at(7).unwrap_err();
    assert_eq!(error.code(), Code::EngineFailed);
    assert!(!error.message().contains("Gather"), "{error}");
    assert!(error.diagnostic().unwrap().contains("Gather"), "{error:?}");
    assert_eq!(at(2).unwrap()[0].as_slice::<f32>(), Some(&[3.0][..]));
}

#[test]
fn a_folder_holds_a_model_with_its_external_data() {
    let weights = Tensor::from_values([3].into(), vec![1_f32, 2.0, 3.0]).unwrap();
    let model = OnnxModel::new()
        .input("x", ElementType::F32, &dims("3"))
        .output("y", ElementType::F32, &dims("3"))
        .external_initializer("weights", &weights, "weights.bin")
        .node("Add", &["x", "weights"], &["y"]);
    let version = tempfile::tempdir().unwrap();
    let folder = version.path().join("model.onnx");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("model.onnx"), model.to_bytes()).unwrap();
    fs::write(folder.join("weights.bin"), weights.data()).unwrap();
    let engine = engine();
    assert_eq!(engine.find_artifact(version.path()), Some(folder.clone()));
    let spec = LoadSpec {
        path: folder,
        ..ModelFile::new(b"").spec
    };
    let mut loaded = engine.load(&spec).unwrap();
    let input = Tensor::from_values([3].into(), vec![1_f32; 3]).unwrap();
    let outputs = loaded.sessions[0].run(&[Some(input)], &[0]).unwrap();
    assert_eq!(outputs[0].as_slice::<f32>(), Some(&[2.0, 3.0, 4.0][..]));
}

#[test]
fn a_provider_that_the_library_lacks_is_refused_with_the_way_to_get_it() {
    let mut file = ModelFile::new(&OnnxModel::identity(ElementType::F32, "n").to_bytes());
    file.spec.provider = Some("cuda".to_owned());
    let text = file.load().map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("provider `cuda` is not in"), "{text}");
    assert!(
        text.contains("lockgate runtime install --flavor cuda"),
        "{text}"
    );
}

#[test]
fn a_process_keeps_the_library_that_it_loaded() {
    let library = onnx_runtime();
    let runtime = Runtime::open(&library).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("libonnxruntime.so.1.32.0");
    fs::write(&copy, "another").unwrap();
    let error = Runtime::open(&copy).unwrap_err();
    assert!(error.message().contains("start another process"), "{error}");
    assert_eq!(
        Runtime::open(&library).unwrap().library(),
        runtime.library()
    );
}

#[test]
fn an_engine_without_a_library_says_how_to_get_one_and_goes_on_when_it_is_there() {
    let data = tempfile::tempdir().unwrap();
    let current = data.path().join("onnxruntime/current");
    let engine = OnnxEngine::searching(SearchInput {
        flag: Some(current.clone()),
        ..SearchInput::default()
    });
    let file = ModelFile::new(&OnnxModel::identity(ElementType::F32, "n").to_bytes());
    let text = engine.load(&file.spec).map(|_| ()).unwrap_err().to_string();
    assert!(
        text.starts_with("no ONNX Runtime at `--onnxruntime`"),
        "{text}"
    );
    fs::create_dir(current.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(onnx_runtime().parent().unwrap(), &current).unwrap();
    assert!(engine.load(&file.spec).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_strings_pass_unchanged(strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let tensor = Tensor::from_strings([strings.len()].into(), &strings).unwrap();
        let mut session = only_session(&OnnxModel::identity(ElementType::Bytes, "n"));
        let given = session.run(&[Some(tensor.clone())], &[0]).unwrap();
        prop_assert_eq!(given, vec![tensor]);
    }
}
