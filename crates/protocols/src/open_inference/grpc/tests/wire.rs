//! The bytes of messages, and decoding of any bytes.

use bytes::BytesMut;
use contract::{Error, InferResponse, NamedTensor, Timings};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::open_inference::grpc::decode::{Form, decode};
use crate::open_inference::grpc::encode::encode;
use crate::open_inference::grpc::generated::inference::{
    InferParameter, ModelInferResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
    infer_parameter::ParameterChoice,
};

const RAW: &str = "0a016d1a0131 2a0c 0a0178 1204 46503332 1a0102 3a08 0000803f000020c0";
const TYPED: &str = "0a016d1a0131 2a18 0a0178 1204 46503332 1a0102 2a0a 3208 0000803f000020c0";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: &M, hex: &str) {
    assert_eq!(message.encode_to_vec(), bytes(hex));
    assert_eq!(&M::decode(bytes(hex).as_slice()).unwrap(), message);
}

fn halves() -> Bytes {
    Bytes::from_static(&[0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0])
}

fn raw_vector() -> ModelInferRequest {
    ModelInferRequest {
        model_name: "m".to_owned(),
        id: "1".to_owned(),
        ..raw_request(ElementType::F32, &[2], halves())
    }
}

fn typed_vector() -> ModelInferRequest {
    let contents = InferTensorContents {
        fp32_contents: vec![1.0, -2.5],
        ..InferTensorContents::default()
    };
    ModelInferRequest {
        model_name: "m".to_owned(),
        id: "1".to_owned(),
        ..typed_request(ElementType::F32, &[2], contents)
    }
}

#[test]
fn messages_have_the_bytes_of_the_protocol() {
    check(&raw_vector(), RAW);
    check(&typed_vector(), TYPED);
    let timeout = InferParameter {
        parameter_choice: Some(ParameterChoice::Int64Param(5000)),
    };
    let with_timeout = ModelInferRequest {
        parameters: [("timeout".to_owned(), timeout)].into(),
        ..ModelInferRequest::default()
    };
    check(&with_timeout, "220e 0a07 74696d656f7574 1203 108827");
    let input = InferInputTensor {
        shape: vec![-1, 4],
        ..InferInputTensor::default()
    };
    check(&input, "1a0b ffffffffffffffffff01 04");
    let load = RepositoryModelLoadRequest {
        model_name: "iris".to_owned(),
        ..RepositoryModelLoadRequest::default()
    };
    check(&load, "1204 69726973");
    let loaded = RepositoryModelLoadResponse {
        model_name: "iris".to_owned(),
        is_loaded: true,
    };
    check(&loaded, "0a0469726973 1001");
}

#[test]
fn both_forms_of_a_request_give_the_same_tensor() {
    for message in [raw_vector(), typed_vector()] {
        let (inference, form) = decode(message).unwrap();
        assert_eq!(form, Form::Raw);
        assert_eq!(inference.inputs[0].tensor.data(), &halves());
    }
}

#[test]
fn raw_tensors_are_slices_of_the_receive_buffer() {
    let mut received = BytesMut::from(bytes(RAW).as_slice());
    let range = received.as_ptr_range();
    let message = ModelInferRequest::decode(&mut received).unwrap();
    let (inference, _) = decode(message).unwrap();
    assert!(range.contains(&inference.inputs[0].tensor.data().as_ptr()));
}

#[test]
fn raw_answers_are_the_bytes_of_the_outputs() {
    let tensor = sample(ElementType::I64);
    let response = InferResponse {
        info: Arc::new(echo_model(ElementType::I64)),
        outputs: vec![NamedTensor {
            name: "y".to_owned(),
            tensor: tensor.clone(),
        }],
        timings: Timings::default(),
    };
    let message = encode(&response, "7".to_owned(), Form::Raw);
    assert_eq!(
        message.raw_output_contents[0].as_ptr(),
        tensor.data().as_ptr()
    );
    let hex = "0a05494e543634 120133 1a0137 2a0e 0a0179 1205494e543634 1a020201 \
               3210 0000000000000080 ffffffffffffff7f";
    check::<ModelInferResponse>(&message, hex);
}

/// Whatever came over the wire: an answer or an error that names a code, never a panic.
fn decode_any(data: &[u8]) -> std::result::Result<usize, Error> {
    let message = ModelInferRequest::decode(data).map_err(|e| Error::invalid(e.to_string()))?;
    decode(message).map(|(inference, _)| inference.inputs.len())
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(data in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = decode_any(&data) {
            prop_assert!(error.code().is_client_mistake(), "{}", error);
        }
    }

    #[test]
    fn damaged_messages_decode_or_are_refused(
        is_raw: bool,
        position in 0_usize..30,
        value: u8,
        length in 0_usize..33,
    ) {
        let mut data = bytes(if is_raw { RAW } else { TYPED });
        data[position] = value;
        data.truncate(length);
        if let Err(error) = decode_any(&data) {
            prop_assert!(error.code().is_client_mistake(), "{}", error);
        }
    }

    #[test]
    fn any_claim_about_a_buffer_is_checked(
        dims in prop::collection::vec(prop_oneof![-1_i64..4, any::<i64>()], 0..4),
        type_index in 0..ElementType::ALL.len(),
        data in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let element_type = ElementType::ALL[type_index];
        let request = raw_request(element_type, &dims, Bytes::from(data.clone()));
        match decode(request) {
            Ok((inference, _)) => {
                let tensor = &inference.inputs[0].tensor;
                prop_assert_eq!(tensor.data().as_ref(), data.as_slice());
                prop_assert_eq!(tensor.shape().wire_dims().collect::<Vec<_>>(), dims);
            }
            Err(error) => prop_assert!(error.message().starts_with("input `x`: "), "{}", error),
        }
    }
}
