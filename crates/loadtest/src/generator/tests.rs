//! Generators against a server on the loopback interface.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::closed_loop::ClosedLoop;
use super::{Error, Result, Tally, http, open_loop};
use crate::post;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nlater";

/// Starts a server that answers each request of [`request`] with this reply.
fn serve(reply: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap(), reply));
        }
    });
    address
}

/// Answers until the client closes the connection.
fn answer(mut stream: TcpStream, reply: &str) {
    let mut request = request();
    let expected = request.clone();
    while stream.read_exact(&mut request).is_ok() {
        assert_eq!(request, expected);
        stream.write_all(reply.as_bytes()).unwrap();
    }
}

fn request() -> Vec<u8> {
    post("localhost", "/predict", &[], b"[1]")
}

/// Sends one request on each of three connections.
fn run_closed_loop(address: SocketAddr) -> Result<Tally> {
    let load = ClosedLoop {
        n_connections: 3,
        n_threads: 2,
        duration: Duration::ZERO,
    };
    let request: Arc<[u8]> = request().into();
    load.run(|| http::Client::connect(address, request.clone()))
}

#[test]
fn a_closed_loop_counts_the_replies_of_all_connections() {
    let summary = run_closed_loop(serve(OK)).unwrap().summary();
    assert_eq!((summary.n_requests, summary.n_errors), (3, 0));
}

#[test]
fn a_closed_loop_quotes_replies_that_are_errors() {
    let tally = run_closed_loop(serve(UNAVAILABLE)).unwrap();
    let errors: Vec<_> = tally.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [(); 3].map(|()| format!("status 503: {UNAVAILABLE}"))
    );
}

#[test]
fn an_open_loop_has_a_record_for_each_time_of_its_schedule() {
    for (reply, status) in [(OK, 200), (UNAVAILABLE, 503), ("nonsense\r\n\r\n", 0)] {
        let schedule = vec![0, 0, 500, 1000];
        let records = open_loop::run(serve(reply), request(), schedule.clone(), 2).unwrap();
        let mut due: Vec<_> = records.iter().map(|record| record.due_us).collect();
        due.sort_unstable();
        assert_eq!(due, schedule);
        for record in records {
            assert_eq!(record.status, status);
            assert!(record.due_us <= record.sent_us, "{record:?}");
            assert!(record.sent_us <= record.done_us, "{record:?}");
        }
    }
}

#[test]
fn a_server_that_does_not_listen_is_an_error() {
    // No server can listen on port 0.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    assert!(matches!(run_closed_loop(address), Err(Error::Io(_))));
    assert!(open_loop::run(address, request(), vec![0], 1).is_err());
}
