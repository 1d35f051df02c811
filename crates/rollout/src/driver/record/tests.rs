//! Records written in one version of the format are read by all later versions.

use contract::MemoryStore;
use stats::{ArmCounts, Counts};

use super::*;
use crate::config::RolloutConfig;
use crate::evidence::{Arms, Block, MetricBlock};
use crate::state::{Event, Rollout, Tick};

const FILE: &str = "rollout: {id: a, model: m, stable: 1, candidate: 2, steps: [5, 50], \
                    unit: {from: header, name: x-user}, shadow: {min_pairs: 10}}";

/// A rollout in its first step, with some evidence.
fn rollout() -> Rollout {
    let config = RolloutConfig::parse(FILE).unwrap();
    let (mut rollout, _) = Rollout::start(config, Timestamp(0));
    let arms = ArmCounts {
        stable: Counts { n: 950, events: 5 },
        candidate: Counts { n: 50, events: 1 },
    };
    let tick = Tick {
        blocks: vec![Block {
            weight: 0.05,
            assignment_epoch: 7,
            metrics: vec![MetricBlock::of_arms(arms)],
            units: Arms {
                stable: 95,
                candidate: 5,
            },
        }],
        n_candidate_requests: 50,
        n_pairs: 20,
        ..Tick::default()
    };
    for event in [
        Event::CandidateReady,
        Event::WarmedUp,
        Event::Tick(Box::new(tick.clone())),
        Event::Tick(Box::new(tick)),
    ] {
        let _actions_are_for_the_driver = rollout.handle(event, Timestamp(1000));
    }
    rollout
}

#[test]
fn the_second_format_is_still_written_and_read() {
    let progress = rollout().progress().clone();
    let record = Record {
        content_hash: Some("xxh3:00ff".to_owned()),
        ..Record::new(FILE, "ada", Timestamp(500), progress)
    };
    let text = serde_json::to_string_pretty(&record).unwrap();
    insta::assert_snapshot!("format_2", text);
    assert_eq!(read(&kept("format_2")).unwrap(), record);
}

/// Returns a record as it is kept in a snapshot.
fn kept(name: &str) -> String {
    let path = format!("src/driver/record/snapshots/rollout__driver__record__tests__{name}.snap");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let kept = std::fs::read_to_string(path).unwrap();
    kept.splitn(3, "---\n").nth(2).unwrap().to_owned()
}

#[test]
fn a_record_of_the_first_format_goes_on_without_evidence() {
    let text = kept("format_1");
    let record = read(&text).unwrap();
    let config = RolloutConfig::parse(&record.file).unwrap();
    assert_eq!(record.progress.evidence, Evidence::new(&config));
    assert_eq!(record.progress.phase, rollout().progress().phase);
    let earlier = text.replace("pending_transition", "owed");
    assert_eq!(read(&earlier).unwrap(), record, "its name before");
    assert_eq!(record.run, 1, "ids were used once");
    assert_eq!(record.content_hash, None, "not comparable");
}

#[test]
fn a_record_of_another_format_or_with_a_mistake_is_an_error_at_the_start() {
    let record = Record::new(FILE, "ada", Timestamp(0), rollout().progress().clone());
    let text = serde_json::to_string(&record).unwrap();
    let cases = [
        (text.replace("\"format\":2", "\"format\":3"), "has format 3"),
        (
            text.replace("\"actor\"", "\"aktor\""),
            "unknown field `aktor`",
        ),
        ("{".to_owned(), "cannot be read"),
    ];
    for (text, expected) in cases {
        let error = read(&text).unwrap_err();
        let diagnostic = error.diagnostic().unwrap_or_default().to_owned();
        assert!(diagnostic.contains(expected), "{diagnostic}");
    }
}

#[tokio::test]
async fn a_persisted_rollout_resumes_unchanged() {
    let records = Records::new(Arc::new(MemoryStore::default()));
    let before = rollout();
    let record = Record::new(FILE, "ada", Timestamp(0), before.progress().clone());
    let transitions = ["{\"n\":1}", "{\"n\":2}"].map(str::to_owned).to_vec();
    records
        .persist("a", &record, transitions, None, None)
        .await
        .unwrap();
    let all = records.all().unwrap();
    let [(id, kept)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!((id.as_str(), kept), ("a", &record));
    let config = RolloutConfig::parse(&kept.file).unwrap();
    let (after, _) = Rollout::resume(config, kept.progress.clone(), Timestamp(1000)).unwrap();
    assert_eq!(after.status(), before.status());
    assert_eq!(after.report(), before.report());
    let transitions = |id, run| records.transitions(id, run, 1);
    assert_eq!(transitions("a", 1).await.unwrap(), ["{\"n\":2}"]);
    assert_eq!(transitions("b", 1).await.unwrap(), [""; 0]);
    assert_eq!(transitions("a", 2).await.unwrap(), [""; 0]);
}
