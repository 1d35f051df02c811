//! More requests than the server can run, each with a deadline.
//!
//! Decision: the capacity is the rate of a closed loop without deadlines at the same server just
//! before. The network takes milliseconds for a small request, so that even at four times the
//! capacity the load generator takes hardly any of the shared cores.

use std::time::Duration;

use anyhow::{Context, Result};
use loadtest::arrivals::Phase;
use loadtest::records::{self, Outcomes, Record};

use super::figures::Round;
use super::goal::{Bound, Goal};
use super::launch::Launch;
use super::measure::Bench;
use super::open_loop::ScheduleRunner;
use super::repository::Model;
use super::request::{Request, Tensor};
use super::server::Server;
use super::unit::Unit;

pub(super) const RECOVERY: &str = "deadlines until 99 % are on time";

const DEADLINE: Duration = Duration::from_millis(100);
/// Time at the offered load before the measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// Connections of the closed loop that measures the capacity.
const N_FOR_CAPACITY: usize = 8;
/// Length of the measurement before and after the long overload, and of the overload.
const NORMAL_TIME: Duration = Duration::from_secs(3);
const OVERLOAD_TIME: Duration = Duration::from_secs(10);

const LOADS: [(f64, Names); 2] = [
    (
        2.0,
        Names {
            goodput: "goodput at 2 times capacity, of capacity",
            late: "late replies at 2 times capacity",
            refusal: "refusals at 2 times capacity, p99",
            expired: "taken and then given up (504) at 2 times capacity",
        },
    ),
    (
        4.0,
        Names {
            goodput: "goodput at 4 times capacity, of capacity",
            late: "late replies at 4 times capacity",
            refusal: "refusals at 4 times capacity, p99",
            expired: "taken and then given up (504) at 4 times capacity",
        },
    ),
];

/// Names of the numbers of one load.
#[derive(Debug, Clone, Copy)]
struct Names {
    goodput: &'static str,
    late: &'static str,
    refusal: &'static str,
    expired: &'static str,
}

pub(super) const GOALS: [Goal; 6] = {
    let [(_, twice), (_, four_times)] = LOADS;
    [
        Goal {
            text: twice.goodput,
            bound: Bound::AtLeast(0.95),
            unit: Unit::Share,
            value: |figures| figures.value(LOADS[0].1.goodput),
        },
        Goal {
            text: twice.late,
            bound: Bound::AtMost(0.5),
            unit: Unit::Percent,
            value: |figures| figures.value(LOADS[0].1.late),
        },
        Goal {
            text: twice.refusal,
            bound: Bound::AtMost(2.0),
            unit: Unit::Milliseconds,
            value: |figures| figures.value(LOADS[0].1.refusal),
        },
        Goal {
            text: four_times.goodput,
            bound: Bound::AtLeast(0.95),
            unit: Unit::Share,
            value: |figures| figures.value(LOADS[1].1.goodput),
        },
        Goal {
            text: four_times.late,
            bound: Bound::AtMost(0.5),
            unit: Unit::Percent,
            value: |figures| figures.value(LOADS[1].1.late),
        },
        Goal {
            text: four_times.refusal,
            bound: Bound::AtMost(2.0),
            unit: Unit::Milliseconds,
            value: |figures| figures.value(LOADS[1].1.refusal),
        },
    ]
};

/// A server with its capacity, and the request that overloads it.
struct Target {
    server: Server,
    request: Request,
    capacity: f64,
    round: Round,
}

impl Target {
    fn start(bench: &Bench) -> Result<Self> {
        let tensor = Tensor::picture("hostile", 32);
        let request = Request::infer_binary(bench.folder(), &tensor, &tensor.elements())?;
        let models = bench.repository(Model::network(&bench.artifacts, "hostile"))?;
        let launch = Launch::lockgate(&bench.artifacts, &models);
        let server = bench.start(&launch, &request)?;
        let run = bench.run(launch.server_name(), &server, &request, N_FOR_CAPACITY)?;
        let capacity = run.requests_per_second;
        let deadline_ms = DEADLINE.as_millis().to_string();
        Ok(Self {
            server,
            request: request.with_header("x-request-timeout-ms", deadline_ms),
            capacity,
            round: Round {
                runs: vec![run],
                ..Round::default()
            },
        })
    }

    /// Sends requests in these phases, each a multiple of the capacity and a length.
    fn run_schedule(&self, bench: &Bench, phases: &[(f64, Duration)]) -> Result<Vec<Record>> {
        let runner = ScheduleRunner {
            program: &bench.artifacts.open_load,
            folder: bench.folder(),
            port: self.server.port(),
        };
        let phases: Vec<_> = phases
            .iter()
            .map(|(times, duration)| Phase {
                requests_per_second: times * self.capacity,
                duration: *duration,
            })
            .collect();
        runner.run_schedule(&self.request, &phases)
    }
}

/// Measures offered loads of two and four times the capacity.
pub(super) fn offered(bench: &Bench) -> Result<Round> {
    let mut target = Target::start(bench)?;
    for (times, names) in LOADS {
        let duration = bench.seconds();
        let records = target.run_schedule(bench, &[(times, WARM_UP + duration)])?;
        let warm_up_seconds = WARM_UP.as_secs_f64();
        let counted = records::between(&records, warm_up_seconds, f64::INFINITY);
        let outcomes = Outcomes::of(&counted, DEADLINE);
        report(&mut target.round, names, &outcomes);
        let goodput = outcomes.n_on_time as f64 / duration.as_secs_f64() / target.capacity;
        target.round.set(names.goodput, Unit::Share, goodput);
    }
    target.server.stop()?;
    Ok(target.round)
}

fn report(round: &mut Round, names: Names, outcomes: &Outcomes) {
    let refusal_ms = outcomes.refusal_p99.as_secs_f64() * 1e3;
    round.set(names.late, Unit::Percent, outcomes.late_percent());
    round.set(names.refusal, Unit::Milliseconds, refusal_ms);
    round.set(names.expired, Unit::Percent, outcomes.expired_percent());
    if outcomes.n_failed > 0 {
        let n = outcomes.n_failed;
        round.notes.push(format!("{n} requests failed otherwise"));
    }
    round.notes.extend(outcomes.client_warning());
}

/// Measures the recovery after a long overload.
pub(super) fn recovery(bench: &Bench) -> Result<Round> {
    let mut target = Target::start(bench)?;
    let records = target.run_schedule(
        bench,
        &[(0.5, NORMAL_TIME), (5.0, OVERLOAD_TIME), (0.5, NORMAL_TIME)],
    )?;
    let end = (NORMAL_TIME + OVERLOAD_TIME).as_secs_f64();
    let before = records::between(&records, 0.0, NORMAL_TIME.as_secs_f64());
    let during = records::between(&records, NORMAL_TIME.as_secs_f64(), end);
    let after = records::between(&records, end + 1.0, f64::INFINITY);
    let round = &mut target.round;
    for (name, records) in [
        ("before", &before),
        ("during", &during),
        ("from 1 s after", &after),
    ] {
        let p99_ms = records::p99(records).as_secs_f64() * 1e3;
        round.set(format!("p99 {name}"), Unit::Milliseconds, p99_ms);
    }
    let late = Outcomes::of(&during, DEADLINE);
    round.set("late replies during", Unit::Percent, late.late_percent());
    round.notes.extend(late.client_warning());
    let recovery =
        records::recovery(&records, end, DEADLINE).context("the server did not recover")?;
    round.set(RECOVERY, Unit::Deadlines, recovery);
    target.server.stop()?;
    Ok(target.round)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Figures;

    #[test]
    fn each_goal_reads_the_number_of_its_text() {
        let mut round = Round::default();
        for (n, goal) in (0_u8..).zip(&GOALS) {
            round.set(goal.text, goal.unit, f64::from(n));
        }
        let figures = Figures::of("case", &[round]);
        let found: Vec<_> = GOALS.iter().map(|goal| (goal.value)(&figures)).collect();
        assert_eq!(found, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(Some));
    }

    #[test]
    fn a_load_reports_what_its_goals_read() {
        let mut round = Round::default();
        let outcomes = Outcomes {
            n: 10,
            n_on_time: 3,
            n_late: 1,
            n_refused: 4,
            n_expired: 1,
            n_failed: 1,
            refusal_p99: Duration::from_micros(1500),
            n_sent_late: 1,
        };
        let (_, names) = LOADS[0];
        report(&mut round, names, &outcomes);
        let figures = Figures::of("case", &[round]);
        assert_eq!(figures.value(names.late), Some(25.0));
        assert_eq!(figures.value(names.refusal), Some(1.5));
        assert_eq!(figures.value(names.expired), Some(10.0));
        assert_eq!(figures.notes.len(), 2);
    }
}
