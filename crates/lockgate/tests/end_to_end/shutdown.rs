//! SIGTERM under load: "not ready" first, every accepted request answered, a clean end.

use std::sync::Barrier;

use serde_json::json;

use crate::http::{Connection, get};
use crate::process::{Lockgate, examples};

const N_CLIENTS: usize = 8;

/// Requests of a client until the server refused connections.
#[derive(Debug, Default)]
struct ClientResult {
    n_answered: usize,
    lost: Vec<String>,
}

/// Sends requests until connections are refused. A request is lost when it is refused with a
/// status, or when its connection breaks without an announcement.
fn send_until_refused(address: &str, started: &Barrier) -> ClientResult {
    let mut client_result = ClientResult::default();
    started.wait();
    while let Ok(mut connection) = Connection::open(address) {
        if !send_until_close(&mut connection, &mut client_result) {
            break;
        }
    }
    client_result
}

/// Returns false when the connection was refused.
fn send_until_close(connection: &mut Connection, client_result: &mut ClientResult) -> bool {
    let body = json!({"data": [vec![0; 64]]});
    let mut is_taken = false;
    loop {
        match connection.post_json("/models/digits/predict", &body) {
            Ok(reply) if reply.status != 200 => {
                client_result
                    .lost
                    .push(String::from_utf8_lossy(&reply.body).into_owned());
                return false;
            }
            Ok(reply) => {
                client_result.n_answered += 1;
                is_taken = true;
                if reply.header("connection") == Some("close") {
                    return true;
                }
            }
            Err(error) => {
                if is_taken {
                    client_result.lost.push(error.to_string());
                }
                return false;
            }
        }
    }
}

#[test]
fn sigterm_under_load_loses_no_accepted_request() {
    let models = examples().join("models");
    let mut server = Lockgate::serve(&models, &["--shutdown-delay-ms", "500"]);
    let started = Barrier::new(N_CLIENTS + 1);
    let all: Vec<ClientResult> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..N_CLIENTS)
            .map(|_| scope.spawn(|| send_until_refused(&server.address, &started)))
            .collect();
        started.wait();
        let mut probe = Connection::open(&server.address).unwrap();
        assert_eq!(probe.get("/health/ready").unwrap().status, 200);
        server.terminate();
        while get(&server.address, "/health/ready").status == 200 {}
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let lost: Vec<_> = all
        .iter()
        .flat_map(|client_result| &client_result.lost)
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(all.iter().all(|client_result| client_result.n_answered > 0));
    assert!(server.wait(), "the server ended with a failure");
}

#[test]
fn a_second_signal_ends_the_drain_at_once() {
    let models = examples().join("models");
    let mut server = Lockgate::serve(&models, &["--shutdown-delay-ms", "600000"]);
    server.terminate();
    while get(&server.address, "/health/ready").status == 200 {}
    server.terminate();
    assert!(!server.wait(), "the drain was not over");
}
