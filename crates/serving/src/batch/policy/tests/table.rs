//! The published table of the delay: mean and tail of the latency, and the mean batch.
//!
//! Poisson arrivals of one row each, batches of `b` rows that run exactly `a * b + t0`; a load of
//! 1 is what full batches can just carry. The first tenth of the requests is not counted for
//! latencies. The rows at a load near 1 are left out: they need many seeds to settle.

use std::time::Duration;

use super::super::Limits;
use super::player::{Event, Outcome, Player, millis};
use super::scenario::layout;
use crate::batch::queue::Waiting;

const N_REQUESTS: usize = 60_000;
const SEED: u64 = 1;

/// A cost, the most rows, and the cells that must come out of it.
struct Row {
    cost: (f64, f64),
    max_rows: usize,
    load: f64,
    delay: f64,
    mean: f64,
    p99: f64,
    /// `None` where the table does not tell.
    mean_batch: Option<f64>,
}

#[derive(Debug)]
struct Measured {
    mean: f64,
    p99: f64,
    mean_batch: f64,
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The gap to the next arrival at `rate` arrivals per unit of time.
    fn gap(&mut self, rate: f64) -> f64 {
        let upper = u32::try_from(self.next() >> 32).unwrap();
        let uniform = (f64::from(upper) + 0.5) / 4_294_967_296.0;
        -uniform.ln() / rate
    }
}

fn measure(row: &Row) -> Measured {
    let full = f64::from(u32::try_from(row.max_rows).unwrap());
    let rate = row.load * full / (row.cost.0 * full + row.cost.1);
    let limits = Limits {
        max_rows: row.max_rows,
        max_delay: millis(row.delay),
        max_queue_rows: N_REQUESTS,
        n_instances: 1,
    };
    let mut player = Player::new(limits, row.cost);
    let (mut random, mut arrivals) = (Random(SEED), Vec::with_capacity(N_REQUESTS));
    let mut at = 0.0;
    for number in 0..N_REQUESTS {
        at += random.gap(rate);
        let arrival = millis(at);
        arrivals.push(arrival);
        let waiting = Waiting {
            n_rows: 1,
            layout: layout(1),
            priority: 0,
            arrived: player.at(arrival),
            deadline: None,
            request: number,
        };
        player.schedule(arrival, Event::Arrive(waiting));
    }
    let (mut latencies, mut n_batches) = (Vec::with_capacity(N_REQUESTS), 0_u32);
    player.play(&mut |now, outcome| {
        let Outcome::Run(batch) = outcome else {
            panic!("{outcome:?}");
        };
        n_batches += 1;
        let n_rows = f64::from(u32::try_from(batch.len()).unwrap());
        let end = now + millis(row.cost.0 * n_rows + row.cost.1);
        let counted = batch
            .iter()
            .filter(|waiting| waiting.request >= N_REQUESTS / 10);
        latencies.extend(counted.map(|waiting| end - arrivals[waiting.request]));
    });
    latencies.sort_unstable();
    let n_counted = u32::try_from(latencies.len()).unwrap();
    let total: Duration = latencies.iter().sum();
    Measured {
        mean: total.as_secs_f64() * 1000.0 / f64::from(n_counted),
        p99: latencies[latencies.len() * 99 / 100].as_secs_f64() * 1000.0,
        mean_batch: f64::from(u32::try_from(N_REQUESTS).unwrap()) / f64::from(n_batches),
    }
}

#[test]
fn the_delay_costs_what_the_published_table_says() {
    let gpu = |load, delay, mean, p99, mean_batch| Row {
        cost: (0.1, 2.0),
        max_rows: 32,
        load,
        delay,
        mean,
        p99,
        mean_batch: Some(mean_batch),
    };
    let cpu = |load, delay, mean, p99| Row {
        cost: (1.0, 0.2),
        max_rows: 8,
        load,
        delay,
        mean,
        p99,
        mean_batch: None,
    };
    let rows = [
        gpu(0.05, 0.0, 2.72, 4.28, 1.2),
        gpu(0.05, 2.0, 3.82, 4.40, 1.6),
        gpu(0.2, 5.0, 5.65, 8.10, 7.1),
        gpu(0.5, 0.0, 4.45, 6.53, 8.8),
        gpu(0.5, 10.0, 9.72, 14.9, 30.0),
        gpu(0.8, 0.0, 6.05, 9.19, 19.0),
        cpu(0.5, 0.0, 2.10, 6.5),
    ];
    let mut failures = Vec::new();
    for row in &rows {
        let measured = measure(row);
        let is_noisy = row.mean_batch.is_none();
        let (mean, p99) = if is_noisy { (0.04, 0.10) } else { (0.01, 0.02) };
        // Beside its tolerance, a cell is rounded to the digits that it shows.
        let is_near = |measured: f64, cell: f64, tolerance: f64, rounding: f64| {
            (measured - cell).abs() <= cell * tolerance + rounding
        };
        let is_right = is_near(measured.mean, row.mean, mean, 0.005)
            && is_near(measured.p99, row.p99, p99, 0.05)
            && row.mean_batch.is_none_or(|cell| {
                let rounding = if cell < 10.0 { 0.05 } else { 0.5 };
                is_near(measured.mean_batch, cell, 0.03, rounding)
            });
        if !is_right {
            failures.push(format!(
                "load {} delay {}: {measured:?}",
                row.load, row.delay
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
