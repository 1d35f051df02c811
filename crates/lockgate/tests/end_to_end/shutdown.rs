//! SIGTERM under load: "not ready" first, every accepted request answered, a clean end.

use std::sync::Barrier;

use serde_json::json;

use crate::http::{Connection, get};
use crate::process::{Lockgate, examples};

const N_CLIENTS: usize = 8;

/// What a client saw until the server took no more connections.
#[derive(Debug, Default)]
struct Seen {
    n_answered: usize,
    lost: Vec<String>,
}

/// Asks until connections are refused. A request is lost when it is refused with a status, or when
/// its connection breaks that was not told to close.
fn ask_until_refused(address: &str, started: &Barrier) -> Seen {
    let mut seen = Seen::default();
    started.wait();
    while let Ok(mut connection) = Connection::open(address) {
        if !ask_until_told_to_close(&mut connection, &mut seen) {
            break;
        }
    }
    seen
}

/// Gives false when the connection was not taken any more.
fn ask_until_told_to_close(connection: &mut Connection, seen: &mut Seen) -> bool {
    let body = json!({"data": [vec![0; 64]]});
    let mut is_taken = false;
    loop {
        match connection.post_json("/models/digits/predict", &body) {
            Ok(reply) if reply.status != 200 => {
                seen.lost
                    .push(String::from_utf8_lossy(&reply.body).into_owned());
                return false;
            }
            Ok(reply) => {
                seen.n_answered += 1;
                is_taken = true;
                if reply.header("connection") == Some("close") {
                    return true;
                }
            }
            Err(error) => {
                if is_taken {
                    seen.lost.push(error.to_string());
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
    let all: Vec<Seen> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..N_CLIENTS)
            .map(|_| scope.spawn(|| ask_until_refused(&server.address, &started)))
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
    let lost: Vec<_> = all.iter().flat_map(|seen| &seen.lost).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(all.iter().all(|seen| seen.n_answered > 0));
    assert!(server.wait(), "the server ended with a failure");
}
