//! Evaluation of the records of an open loop.

use super::*;

const DEADLINE: Duration = Duration::from_millis(100);

/// Returns a request that was sent on time and took this long.
fn record(due_ms: u64, latency_ms: u64, status: u16) -> Record {
    Record {
        due_us: due_ms * 1000,
        sent_us: due_ms * 1000,
        done_us: (due_ms + latency_ms) * 1000,
        status,
    }
}

#[test]
fn every_request_is_counted_once() {
    let records = [
        record(0, 100, 200),
        record(1, 101, 200),
        record(2, 1, 429),
        record(3, 2, 503),
        record(4, 90, 504),
        record(5, 1, 500),
        record(6, 1, 0),
    ];
    let outcomes = Outcomes::of(&records, DEADLINE);
    let expected = Outcomes {
        n: 7,
        n_on_time: 1,
        n_late: 1,
        n_refused: 2,
        n_expired: 1,
        n_failed: 2,
        refusal_p99: Duration::from_millis(2),
        n_sent_late: 0,
    };
    assert_eq!(outcomes, expected);
    assert_eq!(outcomes.late_percent(), 50.0);
}

#[test]
fn latency_counts_from_the_schedule_and_a_refusal_from_its_sending() {
    let late_send = Record {
        sent_us: 60_000,
        ..record(0, 110, 200)
    };
    assert!(!late_send.is_on_time(DEADLINE));
    let refused = Record {
        status: 429,
        ..late_send
    };
    let outcomes = Outcomes::of(&[refused], DEADLINE);
    assert_eq!(outcomes.refusal_p99, Duration::from_millis(50));
    assert!(outcomes.client_warning().unwrap().contains("100.0 %"));
    assert_eq!(
        Outcomes::of(&[record(0, 1, 200)], DEADLINE).client_warning(),
        None
    );
}

#[test]
fn nothing_sent_is_nothing_late() {
    let outcomes = Outcomes::of(&[], DEADLINE);
    assert_eq!(outcomes, Outcomes::default());
    assert_eq!(outcomes.late_percent(), 0.0);
    assert_eq!(p99(&[]), Duration::ZERO);
}

#[test]
fn recovery_is_the_first_window_on_time() {
    let load = |good_from_ms: u64| -> Vec<Record> {
        let status = |due_ms| if due_ms < good_from_ms { 429 } else { 200 };
        let records = (0..1000).step_by(10);
        records
            .map(|due_ms| record(due_ms, 5, status(due_ms)))
            .collect()
    };
    let table = [
        (0, Some(0.0)),
        (500, Some(0.0)),
        (510, Some(1.0)),
        (650, Some(2.0)),
        (1000, None),
    ];
    let wrong: Vec<_> = table
        .into_iter()
        .map(|(good_from_ms, expected)| {
            (
                good_from_ms,
                recovery(&load(good_from_ms), 0.5, DEADLINE),
                expected,
            )
        })
        .filter(|(_, found, expected)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_stretch_of_time_is_by_due_time_and_half_open() {
    let records = [
        record(0, 5000, 200),
        record(1000, 1, 200),
        record(2000, 1, 200),
    ];
    assert_eq!(between(&records, 0.0, 1.0), records[..1]);
    assert_eq!(between(&records, 1.0, 2.0), records[1..2]);
}

#[test]
fn p99_is_of_answered_requests() {
    let records = [record(0, 30, 200), record(0, 900, 504)];
    assert_eq!(p99(&records), Duration::from_millis(30));
}
