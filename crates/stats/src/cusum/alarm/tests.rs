use super::*;

const LN_LIMIT: f64 = 12.0;

fn alarm() -> Alarm {
    Alarm::new(0.01, LN_LIMIT, 3)
}

/// Adds blocks of 1000 requests with these events; returns whether the alarm was raised after each.
fn play(alarm: &mut Alarm, events: &[u64]) -> Vec<bool> {
    let blocks = events.iter().map(|&events| {
        alarm.add_block(Counts { n: 1000, events });
        alarm.is_raised()
    });
    blocks.collect()
}

#[test]
fn alarm_lasts_for_the_good_blocks_that_end_it() {
    let raised = play(&mut alarm(), &[5, 5, 200, 5, 5, 5, 5]);
    assert_eq!(raised, [false, false, true, true, true, false, false]);
}

#[test]
fn a_long_outage_does_not_make_the_alarm_last_longer() {
    let mut alarm = alarm();
    play(&mut alarm, &[500; 1000]);
    assert_eq!(play(&mut alarm, &[5, 5, 5]), [true, true, false]);
}

#[test]
fn a_bad_block_starts_the_recovery_anew() {
    let mut alarm = alarm();
    let raised = play(&mut alarm, &[200, 5, 5, 100, 5, 5, 5]);
    assert_eq!(raised, [true, true, true, true, true, true, false]);
}

#[test]
fn alarm_stays_while_it_is_not_known_whether_the_rate_has_recovered() {
    let mut alarm = alarm();
    play(&mut alarm, &[200]);
    for n in [0, 0, 0, 10, 10, 10] {
        alarm.add_block(Counts { n, events: 0 });
        assert!(alarm.is_raised(), "{alarm:?}");
    }
}

#[test]
fn an_alarm_that_has_ended_is_raised_by_the_next_break() {
    let mut alarm = alarm();
    play(&mut alarm, &[200, 5, 5, 5]);
    assert_eq!(play(&mut alarm, &[200, 5]), [true, true]);
}
