use super::*;

fn arm(n_errors: u64) -> ArmTotals {
    let mut latencies = <[Histogram; 3]>::default();
    for (histogram, bucket) in latencies.iter_mut().zip([3, 7, 20]) {
        histogram.add_to_bucket(bucket);
    }
    ArmTotals {
        n_answered: 1,
        n_errors,
        latencies,
        outputs: vec![0, 4],
        n_nan: 2,
        rewards: Moments {
            n: 2,
            sum: 0.1,
            sum_squares: 0.005,
        },
    }
}

fn unit(event: UnitEvent) -> Unit {
    Unit {
        weight: 0.1 + 0.2,
        assignment_epoch: 7,
        observation: UnitObservation {
            fingerprint: u64::MAX,
            is_candidate: true,
            event,
        },
    }
}

#[test]
fn a_block_is_read_as_it_was_written() {
    let block = Block {
        requests: Arms {
            stable: arm(0),
            candidate: arm(3),
        },
        pairs: PairTotals {
            n_answered: 5,
            n_nan: 1,
            ..PairTotals::default()
        },
        observations: vec![Observations {
            weight: 0.05,
            assignment_epoch: 7,
            requests: Arms {
                stable: arm(1),
                candidate: ArmTotals::default(),
            },
            assigned: Arms {
                stable: 9,
                candidate: 1,
            },
            units: Vec::new(),
        }],
        error_runs: Arms {
            stable: 1,
            candidate: 3,
        },
    };
    let text = block_text(&block).unwrap();
    assert_eq!(read_block(&text).unwrap(), block);
    assert!(text.len() < 1500, "{}", text.len());
}

#[test]
fn units_are_read_as_they_were_written_and_counted_by_epoch_and_event() {
    let answered = FirstRequest {
        is_error: false,
        latencies: [1, 0, 255],
        output_bin: Some(3),
    };
    let failed = FirstRequest {
        is_error: true,
        ..FirstRequest::default()
    };
    for (event, set) in [
        (UnitEvent::FirstRequest(None), "7:requests"),
        (UnitEvent::FirstRequest(Some(answered)), "7:requests"),
        (UnitEvent::FirstRequest(Some(failed)), "7:requests"),
        (UnitEvent::FirstError, "7:errors"),
    ] {
        let unit = unit(event);
        let shared = shared_unit(&unit).unwrap();
        assert_eq!((shared.set.as_str(), shared.fingerprint), (set, u64::MAX));
        assert_eq!(read_unit(&shared.observation).unwrap(), unit);
    }
}

#[test]
fn units_join_the_observations_at_their_weight() {
    let mut observations = vec![Observations {
        weight: 0.1 + 0.2,
        assignment_epoch: 7,
        ..Observations::default()
    }];
    add_unit(&mut observations, unit(UnitEvent::FirstError));
    let other = Unit {
        weight: 0.3,
        ..unit(UnitEvent::FirstError)
    };
    add_unit(&mut observations, other.clone());
    add_unit(&mut observations, other);
    let n_units: Vec<_> = observations.iter().map(|at| at.units.len()).collect();
    assert_eq!(n_units, [1, 2]);
}

#[test]
fn counts_that_cannot_be_read_are_errors() {
    let other_format = block_text(&Block::default())
        .unwrap()
        .replace("\"format\":1", "\"format\":2");
    for text in ["", "{", "{}", "7", &other_format] {
        let error = read_block(text).unwrap_err();
        assert_eq!(error.code(), contract::Code::Internal, "{text}");
        assert!(read_unit(text).is_err(), "{text}");
    }
}
