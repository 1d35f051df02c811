//! Every provider with every mode: the sessions that are opened, and the stated reason.

use std::collections::BTreeMap;

use super::*;
use crate::onnx::options::Settings;

const MB: u64 = 1_000_000;

fn provider(name: &str) -> Provider {
    Settings::new(Some(name), &BTreeMap::new())
        .unwrap()
        .provider
}

/// The plan for 8 cores; 0 where settings give no number.
fn requested(n_sessions: usize, threads: usize, mode: SessionMode) -> Concurrency {
    Concurrency {
        cores: NonZeroUsize::new(8).unwrap(),
        n_sessions: NonZeroUsize::new(n_sessions),
        threads: NonZeroUsize::new(threads),
        mode,
    }
}

#[test]
fn what_is_left_open_is_decided_by_provider_and_size() {
    use SessionMode::{Auto, Instances, Shared};
    let cases = [
        ("cpu", (0, 0, Auto), 14 * MB, (8, 1, true)),
        ("cpu", (0, 0, Auto), 12_000, (8, 1, false)),
        ("cpu", (0, 4, Auto), 14 * MB, (2, 4, true)),
        ("cpu", (3, 0, Auto), 14 * MB, (3, 2, true)),
        ("cpu", (1, 0, Auto), 14 * MB, (1, 8, false)),
        ("cpu", (0, 0, Instances), 14 * MB, (8, 1, false)),
        ("cpu", (0, 0, Shared), 12_000, (8, 1, true)),
        ("openvino", (0, 0, Auto), 14 * MB, (1, 8, false)),
        ("openvino", (0, 2, Auto), 14 * MB, (4, 2, false)),
        ("openvino", (2, 0, Instances), 14 * MB, (2, 4, false)),
        ("cuda", (0, 0, Auto), 14 * MB, (2, 1, false)),
        ("cuda", (4, 0, Auto), 14 * MB, (4, 2, false)),
    ];
    let mut wrong = Vec::new();
    let slow = || Some(Duration::from_millis(5));
    for (name, (n_sessions, threads, mode), n_bytes, expected) in cases {
        let requested = requested(n_sessions, threads, mode);
        let Plan { n_sessions, layout } = plan(&requested, &provider(name), n_bytes, slow);
        let decided = (n_sessions.get(), layout.threads.get(), layout.is_shared);
        if decided != expected || layout.provider != name || layout.reason.is_empty() {
            wrong.push((requested, n_bytes, n_sessions, layout));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_large_copies_that_nobody_counted_are_limited() {
    let many = NonZeroUsize::new(64).unwrap();
    let n_sessions = |mode, n_sessions, n_bytes| {
        let requested = Concurrency {
            cores: many,
            n_sessions,
            threads: None,
            mode,
        };
        let plan = plan(&requested, &provider("cpu"), n_bytes, || None);
        plan.n_sessions.get()
    };
    assert_eq!(n_sessions(SessionMode::Instances, None, MB * 98), 16);
    assert_eq!(n_sessions(SessionMode::Instances, Some(many), MB * 98), 64);
    assert_eq!(n_sessions(SessionMode::Shared, None, MB * 98), 64);
    assert_eq!(n_sessions(SessionMode::Auto, None, 12_000), 64);
}

#[test]
fn a_session_off_the_cpu_is_never_shared() {
    for name in ["openvino", "cuda"] {
        let error = check(&requested(2, 1, SessionMode::Shared), &provider(name)).unwrap_err();
        let expected = format!(
            "`session_mode: shared` works only with provider `cpu`; with `{name}` use `auto` or \
             `instances`"
        );
        assert_eq!(error.message(), expected);
        assert!(check(&requested(2, 1, SessionMode::Auto), &provider(name)).is_ok());
    }
}

#[test]
fn the_reason_names_what_decided() {
    let reason = |name, n_sessions, mode, n_bytes| {
        let requested = requested(n_sessions, 0, mode);
        let fast = || Some(Duration::from_micros(31));
        plan(&requested, &provider(name), n_bytes, fast)
            .layout
            .reason
    };
    let auto = SessionMode::Auto;
    assert!(reason("cpu", 0, auto, 98 * MB).contains("98 MB"));
    assert!(reason("cpu", 0, auto, 14 * MB).starts_with("runs of 31 us"));
    assert!(reason("cpu", 0, auto, 12_345).contains("only 13 kB"));
    assert!(reason("cpu", 1, auto, MB).contains("one instance"));
    assert!(reason("openvino", 0, auto, MB).starts_with("OpenVINO"));
    assert!(reason("cuda", 0, auto, MB).contains("GPU"));
    let requested = reason("cpu", 0, SessionMode::Instances, MB);
    assert_eq!(requested, "`session_mode: instances` is set");
}

#[test]
fn short_runs_share_nothing_while_copies_are_affordable() {
    let micros = Duration::from_micros;
    let cases = [
        (2, 14 * MB, Some(micros(19)), false),
        (2, 14 * MB, Some(micros(20)), true),
        (8, 14 * MB, Some(micros(79)), false),
        (8, 14 * MB, Some(micros(80)), true),
        (8, 98 * MB, Some(micros(1)), true),
        (8, 14 * MB, None, true),
    ];
    let mut wrong = Vec::new();
    for (n_sessions, n_bytes, run_time, expected) in cases {
        let requested = requested(n_sessions, 1, SessionMode::Auto);
        let plan = plan(&requested, &provider("cpu"), n_bytes, || run_time);
        if plan.layout.is_shared != expected {
            wrong.push((n_sessions, n_bytes, run_time, plan));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_run_is_tried_only_when_its_time_decides() {
    let requested = |n_sessions, mode| requested(n_sessions, 1, mode);
    let cases = [
        ("cpu", requested(1, SessionMode::Auto), 14 * MB),
        ("cpu", requested(8, SessionMode::Auto), 12_000),
        ("cpu", requested(8, SessionMode::Auto), 98 * MB),
        ("cpu", requested(8, SessionMode::Shared), 14 * MB),
        ("cpu", requested(8, SessionMode::Instances), 14 * MB),
        ("openvino", requested(8, SessionMode::Auto), 14 * MB),
    ];
    for (name, requested, n_bytes) in cases {
        plan(&requested, &provider(name), n_bytes, || {
            panic!("{name}, {requested:?}, {n_bytes} bytes")
        });
    }
}
