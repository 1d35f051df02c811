//! Bodies of the calls that change what is served: splits, labels, rollouts, comparisons,
//! simulations, and the repository of the Open Inference Protocol.
//!
//! The first byte selects the call. After a change, everything that shows the state must work.
#![no_main]

use harness::{call, restore};
use http::Method;

const CALLS: [(Method, &str); 17] = [
    (Method::PUT, "/api/models/pair/traffic"),
    (Method::PUT, "/api/models/pair/labels/l"),
    (Method::PUT, "/api/models/pair/default"),
    (Method::POST, "/api/models/pair/versions/2/unload"),
    (Method::POST, "/api/models/pair/rollback"),
    (Method::POST, "/api/compare"),
    (Method::POST, "/api/rollouts"),
    (Method::POST, "/api/rollouts:simulate"),
    (Method::POST, "/api/rollouts/running/hold"),
    (Method::POST, "/api/hooks/flagger/confirm"),
    (Method::POST, "/v2/repository/index"),
    (Method::POST, "/v2/repository/models/pair/load"),
    (Method::POST, "/v2/repository/models/pair/unload"),
    (Method::POST, "/v2/models/pair/trace/setting"),
    (Method::POST, "/v2/logging"),
    (Method::POST, "/v2/systemsharedmemory/region/r/register"),
    (Method::POST, "/v1/feedback"),
];

const VIEWS: [&str; 5] = [
    "/api/models/pair/traffic",
    "/api/models/pair/history",
    "/api/models/pair",
    "/api/rollouts",
    "/models",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((selector, body)) = data.split_first() else {
        return;
    };
    let (method, path) = &CALLS[usize::from(*selector) % CALLS.len()];
    let reply = call(method.clone(), path, &[], &[body]).expect("a legal path");
    if !reply.status.is_success() {
        return;
    }
    for path in VIEWS {
        let reply = call(Method::GET, path, &[], &[]).expect("a legal path");
        assert!(reply.status.is_success(), "{path}: {:?}", reply.body);
    }
    restore();
});
