//! Inference over the wire: forms, parameters, ids, deadlines, cancellation.

use std::time::Duration;

use contract::UnitSource;
use tonic::Request;
use tonic::codec::CompressionEncoding;

use super::*;
use crate::open_inference::grpc::contents::{can_be_typed, contents};
use crate::open_inference::grpc::generated::inference::infer_parameter::ParameterChoice;
use crate::open_inference::grpc::generated::inference::model_infer_request::InferRequestedOutputTensor;
use crate::open_inference::grpc::generated::inference::{InferParameter, ModelInferResponse};

fn parameter(name: &str, value: ParameterChoice) -> (String, InferParameter) {
    let value = InferParameter {
        parameter_choice: Some(value),
    };
    (name.to_owned(), value)
}

fn typed_of(response: &ModelInferResponse) -> Option<&InferTensorContents> {
    response.outputs[0].contents.as_ref()
}

#[tokio::test]
async fn every_element_type_comes_back_raw_and_typed_where_the_caller_asks_for_that() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = fixture.client().await;
    for element_type in ElementType::ALL {
        let tensor = sample(element_type);
        let request = raw_request(element_type, &[2, 1], tensor.data().clone());
        let raw = client.model_infer(request).await.unwrap().into_inner();
        assert_eq!(raw.raw_output_contents, [tensor.data().clone()]);
        assert_eq!(typed_of(&raw), None, "{element_type}");
        assert_eq!(raw.outputs[0].name, "y");
        assert_eq!(raw.outputs[0].datatype, element_type.name());
        assert_eq!(raw.outputs[0].shape, [2, 1]);
        if !can_be_typed(element_type) {
            continue;
        }
        let mut request = typed_request(element_type, &[2, 1], contents(&tensor));
        let answer = client.model_infer(request.clone()).await.unwrap();
        let answer = answer.into_inner();
        assert_eq!(answer.raw_output_contents, [tensor.data().clone()]);
        let typed_answer = parameter("binary_data_output", ParameterChoice::BoolParam(false));
        request.parameters.extend([typed_answer]);
        let typed = client.model_infer(request).await.unwrap().into_inner();
        assert_eq!(typed_of(&typed), Some(&contents(&tensor)));
        assert!(typed.raw_output_contents.is_empty(), "{element_type}");
    }
}

#[tokio::test]
async fn the_caller_chooses_the_form_where_the_element_type_leaves_a_choice() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = fixture.client().await;
    let tensor = sample(ElementType::F32);
    let typed = typed_request(ElementType::F32, &[2, 1], contents(&tensor));
    let raw = raw_request(ElementType::F32, &[2, 1], tensor.data().clone());
    let halves = sample(ElementType::F16).data().clone();
    let half = raw_request(ElementType::F16, &[2, 1], halves);
    let empty = typed_request(ElementType::F32, &[0, 1], InferTensorContents::default());
    let without_data = raw_request(ElementType::F32, &[0, 1], Bytes::new());
    let cases = [
        (typed.clone(), Some(true), true),
        (typed.clone(), None, true),
        (typed, Some(false), false),
        (raw.clone(), Some(false), false),
        (raw, None, true),
        (half, Some(false), true),
        (empty, None, true),
        (without_data, None, true),
    ];
    for (mut request, requested_form, is_raw) in cases {
        let requested_form = requested_form.map(|requested_form| {
            parameter(
                "binary_data_output",
                ParameterChoice::BoolParam(requested_form),
            )
        });
        request.parameters.extend(requested_form);
        let response = client
            .model_infer(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            response.raw_output_contents.len(),
            usize::from(is_raw),
            "{request:?}"
        );
        assert_eq!(typed_of(&response).is_none(), is_raw, "{request:?}");
    }
}

#[tokio::test]
async fn an_answer_names_the_version_and_repeats_the_id() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = fixture.client().await;
    let mut request = good_request();
    request.id = "42".to_owned();
    let mut request = Request::new(request);
    request
        .metadata_mut()
        .insert("x-request-id", "abc".parse().unwrap());
    let response = client.model_infer(request).await.unwrap();
    assert_eq!(response.metadata().get("x-request-id").unwrap(), "abc");
    let response = response.into_inner();
    assert_eq!(response.id, "42");
    assert_eq!(response.model_name, "UINT8");
    assert_eq!(response.model_version, "3");
    assert_eq!(fixture.calls(), ["None"]);
}

#[tokio::test]
async fn classes_are_ranked_on_request() {
    let fixture = Fixture::start(Double::new(echo()));
    let mut client = fixture.client().await;
    let mut request = good_request();
    request.outputs = vec![InferRequestedOutputTensor {
        name: "y".to_owned(),
        parameters: [parameter("classification", ParameterChoice::Int64Param(1))].into(),
    }];
    let response = client.model_infer(request).await.unwrap().into_inner();
    assert_eq!(response.outputs[0].datatype, "BYTES");
    assert_eq!(response.raw_output_contents[0].as_ref(), b"\x03\0\0\x002:1");
}

#[tokio::test]
async fn compressed_requests_are_read() {
    let fixture = Fixture::start(Double::new(echo()));
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
        let mut client = fixture.client().await.send_compressed(encoding);
        let response = client.model_infer(good_request()).await.unwrap();
        assert!(!response.metadata().contains_key("grpc-encoding"));
        assert_eq!(
            response.into_inner().raw_output_contents[0].as_ref(),
            [1, 2]
        );
    }
}

struct Held {
    fixture: Fixture,
    started: oneshot::Receiver<InferRequest>,
    dropped: oneshot::Receiver<()>,
}

fn held() -> Held {
    let (started_tx, started) = oneshot::channel();
    let (dropped_tx, dropped) = oneshot::channel();
    let signals = Signals {
        started: started_tx,
        dropped: dropped_tx,
    };
    let double = Double {
        behaviour: Behaviour::Hold(Mutex::new(Some(signals))),
        ..Double::new(echo())
    };
    Held {
        fixture: Fixture::start(double),
        started,
        dropped,
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_request() {
    let held = held();
    let mut client = held.fixture.client().await;
    let call = tokio::spawn(async move { client.model_infer(good_request()).await });
    held.started.await.unwrap();
    call.abort();
    held.dropped.await.unwrap();
}

#[tokio::test]
async fn the_earlier_of_deadline_and_timeout_reaches_the_server() {
    for (deadline, timeout_us, seconds) in [(10_000, None, 10_000), (10_000, Some(5_000_000), 5)] {
        let held = held();
        let mut client = held.fixture.client().await;
        let mut request = good_request();
        let timeout = timeout_us.map(|us| parameter("timeout", ParameterChoice::Int64Param(us)));
        request.parameters.extend(timeout);
        let mut request = Request::new(request);
        request.set_timeout(Duration::from_secs(deadline));
        let before = tokio::time::Instant::now().into_std();
        let call = tokio::spawn(async move { client.model_infer(request).await });
        let started = held.started.await.unwrap();
        call.abort();
        let budget = started.deadline.unwrap() - before;
        assert!(budget >= Duration::from_secs(seconds), "{budget:?}");
        assert!(budget < Duration::from_secs(seconds * 2), "{budget:?}");
    }
}

#[tokio::test]
async fn the_metadata_of_a_reply_name_the_version_and_arm_that_served_it() {
    let units = [
        (UnitSource::Field("user_id".to_owned()), "from-parameters"),
        (UnitSource::Field("number".to_owned()), "-7"),
        (UnitSource::Header("x-user".to_owned()), "from-metadata"),
        (UnitSource::Cookie("sid".to_owned()), "from-cookie"),
    ];
    for (source, arm) in units {
        let echo = echo().with_unit(source).with_propensity(0.75);
        let fixture = Fixture::start(Double::new(echo));
        let mut message = good_request();
        let text = ParameterChoice::StringParam("from-parameters".to_owned());
        let number = ParameterChoice::Int64Param(-7);
        message.parameters = [parameter("user_id", text), parameter("number", number)].into();
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("x-user", "from-metadata".parse().unwrap());
        metadata.insert("cookie", "sid=from-cookie".parse().unwrap());
        let response = fixture.client().await.model_infer(request).await.unwrap();
        let metadata = ["version", "arm", "propensity"].map(|what| format!("x-lockgate-{what}"));
        let metadata = metadata.map(|key| response.metadata().get(key).unwrap().to_str().unwrap());
        assert_eq!(metadata, ["3", arm, "0.75"]);
    }
}
