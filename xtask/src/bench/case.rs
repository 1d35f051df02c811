//! The table of cases, with their measurements and goals.
//!
//! Decision: a case is an entry of this table. Cases that compare contenders in closed loop are
//! pure data; the others name the function that measures them. A round of a case restarts
//! everything it measures, so that rounds are independent and ratios are within one round.

use anyhow::Result;

use super::contender::Contender::{Bentoml, Echo, Fastapi, GrpcEcho, Litserve, Lockgate, Mlserver};
use super::figures::Round;
use super::goal::{Bound, Goal};
use super::measure::{self, Bench, Comparison};
use super::unit::Unit;
use super::{batching, engine, overload, resources, rollout, swap};

/// A benchmark case with its goals.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// A sentence about the set-up.
    pub(super) title: &'static str,
    /// True when one round is enough, because the numbers hardly vary or take long.
    pub(super) is_once: bool,
    pub(super) measure: fn(&Bench) -> Result<Round>,
    pub(super) goals: &'static [Goal],
}

/// All cases, in the order in which they are measured.
pub(super) static CASES: [Case; 16] = [
    Case {
        name: "predict",
        title: "one row of 64 numbers as JSON, `POST /predict`, 64-128-64-10 network",
        is_once: false,
        measure: |bench| {
            bench.compare(&Comparison {
                request: measure::predict,
                contenders: &[Echo, Fastapi, Litserve, Bentoml, Lockgate],
                connections: &[1, 64],
            })
        },
        goals: &[
            Goal {
                text: "requests/s of the raw echo, 64 connections",
                bound: Bound::AtLeast(0.55),
                unit: Unit::Share,
                value: |figures| figures.rate_ratio(Lockgate, Echo, 64),
            },
            Goal {
                text: "requests/s of FastAPI + ONNX Runtime, 64 connections",
                bound: Bound::AtLeast(7.0),
                unit: Unit::Times,
                value: |figures| figures.rate_ratio(Lockgate, Fastapi, 64),
            },
            Goal {
                text: "median beyond the echo's at 1 connection, the engine's run included",
                bound: Bound::AtMost(60.0),
                unit: Unit::Microseconds,
                value: |figures| figures.added_us(Lockgate, Echo, 1),
            },
        ],
    },
    Case {
        name: "infer-json",
        title: "the same row as JSON, `POST /v2/models/digits/infer`",
        is_once: false,
        measure: |bench| {
            bench.compare(&Comparison {
                request: measure::infer_json,
                contenders: &[Echo, Mlserver, Lockgate],
                connections: &[64],
            })
        },
        goals: &[Goal {
            text: "requests/s of the raw echo, 64 connections",
            bound: Bound::AtLeast(0.5),
            unit: Unit::Share,
            value: |figures| figures.rate_ratio(Lockgate, Echo, 64),
        }],
    },
    Case {
        name: "infer-binary",
        title: "the same row as binary tensors, `POST /v2/models/digits/infer`",
        is_once: false,
        measure: |bench| {
            bench.compare(&Comparison {
                request: measure::infer_binary,
                contenders: &[Echo, Lockgate],
                connections: &[64],
            })
        },
        goals: &[Goal {
            text: "requests/s of the raw echo, 64 connections",
            bound: Bound::AtLeast(0.6),
            unit: Unit::Share,
            value: |figures| figures.rate_ratio(Lockgate, Echo, 64),
        }],
    },
    Case {
        name: "infer-grpc",
        title: "the same row as raw bytes, unary gRPC `ModelInfer`",
        is_once: false,
        measure: |bench| {
            bench.compare(&Comparison {
                request: measure::infer_grpc,
                contenders: &[GrpcEcho, Lockgate],
                connections: &[64],
            })
        },
        goals: &[Goal {
            text: "requests/s of the raw tonic echo, 64 connections",
            bound: Bound::AtLeast(0.7),
            unit: Unit::Share,
            value: |figures| figures.rate_ratio(Lockgate, GrpcEcho, 64),
        }],
    },
    Case {
        name: "mobilenet",
        title: "MobileNetV2, one 3x224x224 picture as a binary tensor (600 kB), 8 connections",
        is_once: false,
        measure: |bench| engine::beside_loop(bench, "mobilenet_v2", 8),
        goals: &[Goal {
            text: "pictures/s of the best in-process loop",
            bound: Bound::AtLeast(0.93),
            unit: Unit::Share,
            value: |figures| Some(figures.rate(Lockgate, 8)? / figures.value(engine::BEST_LOOP)?),
        }],
    },
    Case {
        name: "resnet50",
        title: "ResNet-50, the same picture, 4 connections, default settings",
        is_once: false,
        measure: |bench| engine::beside_loop(bench, "resnet50", 4),
        goals: &[Goal {
            text: "pictures/s of the best in-process loop",
            bound: Bound::AtLeast(0.95),
            unit: Unit::Share,
            value: |figures| Some(figures.rate(Lockgate, 4)? / figures.value(engine::BEST_LOOP)?),
        }],
    },
    Case {
        name: "openvino",
        title: "ResNet-50 with the OpenVINO provider in bf16, 4 connections",
        is_once: true,
        measure: engine::openvino,
        goals: &[Goal {
            text: "pictures/s of ONNX Runtime's own CPU provider, on a CPU with AMX",
            bound: Bound::AtLeast(3.5),
            unit: Unit::Times,
            value: |figures| figures.rate_ratio(engine::OPENVINO, engine::OWN_PROVIDER, 4),
        }],
    },
    Case {
        name: "json-decode",
        title: "a 3x224x224 picture as JSON, `POST /predict`, and as a binary tensor, 1 connection",
        is_once: false,
        measure: engine::decode,
        goals: &[Goal {
            text: "time of serde_json into nested vectors, of ours into the tensor",
            bound: Bound::AtLeast(5.0),
            unit: Unit::Times,
            value: |figures| figures.quotient(engine::SERDE, engine::OWN_DECODING),
        }],
    },
    Case {
        name: "batching-friendly",
        title: "a network of wide layers, closed loop, compared with fixed delays set by hand",
        is_once: false,
        measure: batching::friendly,
        goals: &[
            Goal {
                text: "requests/s of the best fixed delay, 8 connections",
                bound: Bound::AtLeast(0.95),
                unit: Unit::Share,
                value: |figures| batching::of_best_delay(figures, 8),
            },
            Goal {
                text: "requests/s of the best fixed delay, 32 connections",
                bound: Bound::AtLeast(0.95),
                unit: Unit::Share,
                value: |figures| batching::of_best_delay(figures, 32),
            },
        ],
    },
    Case {
        name: "batching-hostile",
        title: "a convolutional network, closed loop, compared with no batching",
        is_once: false,
        measure: batching::hostile,
        goals: &[
            Goal {
                text: "requests/s of no batching, 8 connections",
                bound: Bound::AtLeast(0.98),
                unit: Unit::Share,
                value: |figures| figures.rate_ratio(Lockgate, batching::OFF, 8),
            },
            Goal {
                text: "requests/s of no batching, 32 connections",
                bound: Bound::AtLeast(0.98),
                unit: Unit::Share,
                value: |figures| figures.rate_ratio(Lockgate, batching::OFF, 32),
            },
        ],
    },
    Case {
        name: "overload",
        title: "Poisson arrivals beyond capacity, each with a deadline of 100 ms",
        is_once: false,
        measure: overload::offered,
        goals: &overload::GOALS,
    },
    Case {
        name: "recovery",
        title: "10 s at 5 times capacity, then half of it, deadline 100 ms",
        is_once: true,
        measure: overload::recovery,
        goals: &[Goal {
            text: "time until 99 % are on time again",
            bound: Bound::AtMost(2.0),
            unit: Unit::Deadlines,
            value: |figures| figures.value(overload::RECOVERY),
        }],
    },
    Case {
        name: "resources",
        title: "memory of 4 instances, CPU of an idle server with 50 models",
        is_once: true,
        measure: resources::measure,
        goals: &[
            Goal {
                text: "memory of 4 instances of a network of 400 MB, of that with one",
                bound: Bound::AtMost(1.3),
                unit: Unit::Share,
                value: |figures| figures.quotient(resources::FOUR_INSTANCES, resources::ONE),
            },
            Goal {
                text: "CPU of an idle server with 50 models, of one core",
                bound: Bound::AtMost(1.0),
                unit: Unit::Percent,
                value: |figures| figures.value(resources::IDLE),
            },
        ],
    },
    Case {
        name: "metrics",
        title: "`POST /predict` with and without metrics, 64 connections",
        is_once: false,
        measure: resources::metrics,
        goals: &[Goal {
            text: "requests/s with metrics of those without",
            bound: Bound::AtLeast(0.97),
            unit: Unit::Share,
            value: |figures| figures.rate_ratio(Lockgate, resources::WITHOUT_METRICS, 64),
        }],
    },
    Case {
        name: "rollout",
        title: "`POST /predict` with and without a rollout that runs, 64 connections",
        is_once: false,
        measure: rollout::measure,
        goals: &[Goal {
            text: "requests/s in a rollout of those without",
            bound: Bound::AtLeast(0.98),
            unit: Unit::Share,
            value: |figures| figures.rate_ratio(rollout::WITH_ROLLOUT, Lockgate, 64),
        }],
    },
    Case {
        name: "hot-swap",
        title: "a new version of a 50 MB network in place of the old one, under load",
        is_once: true,
        measure: swap::measure,
        goals: &[
            Goal {
                text: "failed requests",
                bound: Bound::AtMost(0.0),
                unit: Unit::Count,
                value: |figures| figures.value(swap::FAILED),
            },
            Goal {
                text: "time with a p99 above 1.5 times the one before",
                bound: Bound::AtMost(1.0),
                unit: Unit::Seconds,
                value: |figures| figures.value(swap::SLOW),
            },
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::bench::figures::Figures;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }

    #[test]
    fn a_goal_without_figures_has_no_number() {
        let empty = Figures::of("case", &[]);
        let wrong: Vec<_> = CASES
            .iter()
            .flat_map(|case| case.goals)
            .filter(|goal| (goal.value)(&empty).is_some())
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn names_can_be_typed_and_texts_stand_in_tables() {
        for case in &CASES {
            let is_typed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(case.name.chars().all(is_typed), "{}", case.name);
            assert!(!case.goals.is_empty(), "{}", case.name);
            let goals = case.goals.iter().map(|goal| goal.text);
            for text in goals.chain([case.title]) {
                let is_fit =
                    !text.is_empty() && !text.ends_with('.') && !text.contains(['|', '\n']);
                assert!(is_fit, "{}: {text}", case.name);
            }
        }
    }

    #[test]
    fn the_goals_of_a_case_have_distinct_names() {
        for case in &CASES {
            let goals: BTreeSet<_> = case.goals.iter().map(ToString::to_string).collect();
            assert_eq!(goals.len(), case.goals.len(), "{}: {goals:?}", case.name);
        }
    }
}
