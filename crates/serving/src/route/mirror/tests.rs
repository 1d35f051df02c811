//! Mirrors: copied requests, and those dropped instead of waiting.

use std::sync::Arc;

use contract::{Error, RequestId, Shape, Tensor};

use super::*;

fn request(n_bytes: usize) -> InferRequest {
    let shape = Shape::new(&[n_bytes]);
    let tensor = Tensor::from_values(shape, vec![0_u8; n_bytes]).unwrap();
    let name = "x".to_owned();
    InferRequest::new(RequestId::new("id"), vec![NamedTensor { name, tensor }])
}

fn failure(code: Code) -> Result<InferResponse> {
    Err(Error::new(code, "no"))
}

fn counts(drops: &DropCounters) -> Vec<(&'static str, u64)> {
    drops.counts().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn the_share_of_the_requests_is_copied() {
    for (share, expected) in [(0.0, 0), (0.25, 250), (1.0, 1000)] {
        let (mirror, _arriving) = Mirror::new(share, Arc::default());
        let draws = (0..1000_u64).map(|n| (n * (1 << 32) / 1000) << 32);
        let n_copied = draws
            .filter(|&draw| mirror.copy(&request(1), draw).is_some())
            .count();
        assert_eq!(n_copied, expected, "{share}");
    }
}

#[test]
fn a_full_queue_drops_copies_and_a_large_request_is_never_held() {
    let drops = Arc::new(DropCounters::default());
    let (mirror, mut arriving) = Mirror::new(1.0, Arc::clone(&drops));
    assert!(mirror.copy(&request(MAX_BYTES + 1), 0).is_none());
    for _ in 0..MAX_COPIES + 3 {
        let copy = mirror.copy(&request(1), 0).unwrap();
        mirror.send(copy, &failure(Code::EngineFailed));
    }
    assert_eq!(counts(&drops), [("queue_full", 3), ("too_large", 1)]);
    let copied = arriving.try_recv().unwrap();
    assert!(matches!(copied.answer, Err(Code::EngineFailed)));
}

#[test]
fn mistakes_of_callers_are_not_sent() {
    let (mirror, mut arriving) = Mirror::new(1.0, Arc::default());
    let copy = mirror.copy(&request(1), 0).unwrap();
    mirror.send(copy, &failure(Code::InvalidRequest));
    assert!(arriving.try_recv().is_err());
}
