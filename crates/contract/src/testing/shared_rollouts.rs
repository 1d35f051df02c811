//! The conformance kit of shared rollouts: checks that a store keeps the promises of
//! [`SharedRollouts`].
//!
//! Decision: all broken promises are returned as sentences, and nothing panics. Each check has a
//! rollout of its own, so all of them run on one store.

use std::fmt::Debug;
use std::time::Duration;

use crate::{
    ActionRequest, BoxFuture, Code, Decision, Error, ModelName, NewRollout, PendingCount, Push,
    SharedRollouts, UnitObservation,
};

/// The result of a check; the error describes what was seen instead.
type Check = Result<(), String>;

/// Long enough that no lease of the kit ends by itself.
const LONG: Duration = Duration::from_secs(60);

/// Checks every promise, and returns those that are broken.
#[must_use]
pub async fn check(shared: &dyn SharedRollouts) -> Vec<String> {
    let checks: [(&str, BoxFuture<'_, Check>); 9] = [
        (
            "a model has one rollout at a time",
            Box::pin(starts_once(shared)),
        ),
        ("a block counts once", Box::pin(counts_blocks_once(shared))),
        ("a unit counts once", Box::pin(counts_units_once(shared))),
        ("one server decides", Box::pin(one_decides(shared))),
        (
            "counts that arrive later stay",
            Box::pin(keeps_later_counts(shared)),
        ),
        (
            "a repeated decision is refused",
            Box::pin(decides_once(shared)),
        ),
        ("an ended rollout takes no counts", Box::pin(ends(shared))),
        ("an action is taken once", Box::pin(passes_actions(shared))),
        (
            "unknown rollouts have no effect",
            Box::pin(ignores_unknown(shared)),
        ),
    ];
    let mut broken = Vec::new();
    for (promise, check) in checks {
        if let Err(seen) = check.await {
            broken.push(format!("{promise}: {seen}"));
        }
    }
    broken
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers pass what they have just made"
)]
fn equal<T: PartialEq + Debug>(seen: T, expected: T) -> Check {
    match seen == expected {
        true => Ok(()),
        false => Err(format!("expected {expected:?}, got {seen:?}")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a function for `map_err`")]
fn text(error: Error) -> String {
    format!("{}: {error}", error.code())
}

async fn start(shared: &dyn SharedRollouts, model: &str, id: &str) -> Check {
    let model = ModelName::new(model).map_err(|error| error.to_string())?;
    let created = shared.create(NewRollout {
        model: &model,
        id,
        record: "first",
    });
    created.await.map_err(text)
}

fn push<'a>(
    replica: &'a str,
    sequence: u64,
    block: &'a str,
    units: &'a [UnitObservation],
) -> Push<'a> {
    Push {
        replica,
        sequence,
        block,
        units,
        keep_units: LONG,
    }
}

fn unit(set: &str, fingerprint: u64, observation: &str) -> UnitObservation {
    UnitObservation {
        set: set.to_owned(),
        fingerprint,
        observation: observation.to_owned(),
    }
}

fn decision<'a>(holder: &'a str, revision: u64, counted: u64) -> Decision<'a> {
    Decision {
        holder,
        revision,
        record: "later",
        counted,
        transitions: &[],
        has_ended: false,
    }
}

async fn pending(shared: &dyn SharedRollouts, id: &str) -> Result<(Vec<String>, u64), String> {
    let pending = shared.pending(id).await.map_err(text)?;
    let entries = pending.entries.into_iter().map(|entry| match entry {
        PendingCount::Block(block) => format!("block {block}"),
        PendingCount::Unit(unit) => format!("unit {unit}"),
    });
    Ok((entries.collect(), pending.end))
}

async fn refused(id: &str, shared: &dyn SharedRollouts, decision: Decision<'_>) -> Check {
    match shared.commit(id, decision).await {
        Err(error) => equal(error.code(), Code::Conflict),
        Ok(()) => Err("the decision was stored".to_owned()),
    }
}

async fn starts_once(shared: &dyn SharedRollouts) -> Check {
    start(shared, "starts", "starts-1").await?;
    for id in ["starts-1", "starts-2"] {
        let again = start(shared, "starts", id).await;
        let again = again.err().ok_or("a second one started")?;
        equal(
            (again.contains("conflict"), again.contains("`starts-1`")),
            (true, true),
        )?;
    }
    equal(
        shared.lease("starts-1", "a", LONG).await.map_err(text)?,
        true,
    )?;
    let end = Decision {
        has_ended: true,
        ..decision("a", 2, 0)
    };
    shared.commit("starts-1", end).await.map_err(text)?;
    start(shared, "starts", "starts-1").await?;
    let record = shared.record("starts-1").await.map_err(text)?;
    let record = record.ok_or("the record is gone")?;
    equal((record.revision, record.text.as_str()), (1, "first"))?;
    let listed = shared.list().await.map_err(text)?;
    let of_model = listed
        .iter()
        .filter(|rollout| rollout.id.starts_with("starts"));
    equal(of_model.map(|rollout| rollout.revision).collect(), vec![1])
}

async fn counts_blocks_once(shared: &dyn SharedRollouts) -> Check {
    start(shared, "blocks", "blocks").await?;
    for (replica, sequence, block) in [
        ("a", 1, "a1"),
        ("b", 1, "b1"),
        ("a", 1, "repeated"),
        ("a", 2, "a2"),
        ("a", 1, "late"),
        ("b", 1, "repeated"),
    ] {
        let pushed = shared.push("blocks", push(replica, sequence, block, &[]));
        pushed.await.map_err(text)?;
    }
    let expected = ["block a1", "block b1", "block a2"].map(str::to_owned);
    equal(pending(shared, "blocks").await?, (expected.into(), 3))
}

async fn counts_units_once(shared: &dyn SharedRollouts) -> Check {
    start(shared, "units", "units").await?;
    let first = [
        unit("errors", 1, "e1"),
        unit("slow", 1, "s1"),
        unit("errors", 1, "twice"),
    ];
    let second = [unit("errors", 1, "again"), unit("errors", u64::MAX, "e2")];
    for (replica, units) in [("a", &first[..]), ("b", &second), ("a", &second)] {
        let pushed = shared.push("units", push(replica, 1, replica, units));
        pushed.await.map_err(text)?;
    }
    let expected = ["block a", "unit e1", "unit s1", "block b", "unit e2"];
    let expected = expected.map(str::to_owned);
    equal(pending(shared, "units").await?, (expected.into(), 5))
}

async fn one_decides(shared: &dyn SharedRollouts) -> Check {
    start(shared, "lease", "lease").await?;
    for (holder, expected) in [("a", true), ("a", true), ("b", false)] {
        let leased = shared.lease("lease", holder, LONG).await;
        equal(leased.map_err(text)?, expected)?;
    }
    refused("lease", shared, decision("b", 2, 0)).await?;
    shared.release("lease", "b").await.map_err(text)?;
    shared
        .commit("lease", decision("a", 2, 0))
        .await
        .map_err(text)?;
    shared.release("lease", "a").await.map_err(text)?;
    refused("lease", shared, decision("a", 3, 0)).await?;
    equal(shared.lease("lease", "b", LONG).await.map_err(text)?, true)?;
    shared
        .commit("lease", decision("b", 3, 0))
        .await
        .map_err(text)
}

async fn keeps_later_counts(shared: &dyn SharedRollouts) -> Check {
    start(shared, "later", "later").await?;
    equal(shared.lease("later", "a", LONG).await.map_err(text)?, true)?;
    for sequence in 1..=3 {
        let block = sequence.to_string();
        let pushed = shared.push("later", push("a", sequence, &block, &[]));
        pushed.await.map_err(text)?;
    }
    let transitions = ["one".to_owned(), "two".to_owned()];
    let made = Decision {
        transitions: &transitions,
        ..decision("a", 2, 2)
    };
    shared.commit("later", made).await.map_err(text)?;
    equal(
        pending(shared, "later").await?,
        (vec!["block 3".to_owned()], 3),
    )?;
    let transitions = ["three".to_owned()];
    let made = Decision {
        transitions: &transitions,
        ..decision("a", 3, 3)
    };
    shared.commit("later", made).await.map_err(text)?;
    equal(pending(shared, "later").await?, (vec![], 3))?;
    let newest = shared.transitions("later", 2).await.map_err(text)?;
    equal(newest, vec!["three".to_owned(), "two".to_owned()])?;
    equal(shared.transitions("later", 0).await.map_err(text)?, vec![])
}

async fn decides_once(shared: &dyn SharedRollouts) -> Check {
    start(shared, "once", "once").await?;
    equal(shared.lease("once", "a", LONG).await.map_err(text)?, true)?;
    let pushed = shared.push("once", push("a", 1, "1", &[]));
    pushed.await.map_err(text)?;
    shared
        .commit("once", decision("a", 2, 0))
        .await
        .map_err(text)?;
    for revision in [1, 2, 4] {
        refused("once", shared, decision("a", revision, 1)).await?;
    }
    equal(pending(shared, "once").await?.1, 1)?;
    let record = shared.record("once").await.map_err(text)?;
    equal(record.map(|record| record.revision), Some(2))
}

async fn ends(shared: &dyn SharedRollouts) -> Check {
    start(shared, "ends", "ends").await?;
    equal(shared.lease("ends", "a", LONG).await.map_err(text)?, true)?;
    let units = [unit("errors", 1, "e")];
    let pushed = shared.push("ends", push("a", 1, "1", &units));
    pushed.await.map_err(text)?;
    let end = Decision {
        has_ended: true,
        ..decision("a", 2, 0)
    };
    shared.commit("ends", end).await.map_err(text)?;
    let pushed = shared.push("ends", push("a", 2, "2", &[]));
    pushed.await.map_err(text)?;
    equal(pending(shared, "ends").await?.0, vec![])?;
    refused("ends", shared, decision("a", 3, 0)).await?;
    let record = shared.record("ends").await.map_err(text)?;
    equal(record.map(|record| record.text), Some("later".to_owned()))
}

async fn passes_actions(shared: &dyn SharedRollouts) -> Check {
    start(shared, "actions", "actions").await?;
    let requests = ["one", "two"].map(|id| ActionRequest {
        id: id.to_owned(),
        action: format!("{{\"n\":\n{id}}}"),
    });
    for request in &requests {
        shared
            .request_action("actions", request)
            .await
            .map_err(text)?;
    }
    let [one, two] = &requests;
    equal(
        shared.withdraw_action("actions", one).await.map_err(text)?,
        true,
    )?;
    equal(
        shared.take_actions("actions").await.map_err(text)?,
        vec![two.clone()],
    )?;
    equal(shared.take_actions("actions").await.map_err(text)?, vec![])?;
    equal(
        shared.withdraw_action("actions", two).await.map_err(text)?,
        false,
    )?;
    equal(shared.take_answer("two").await.map_err(text)?, None)?;
    shared.answer_action("two", "done").await.map_err(text)?;
    equal(
        shared.take_answer("two").await.map_err(text)?,
        Some("done".to_owned()),
    )?;
    equal(shared.take_answer("two").await.map_err(text)?, None)
}

async fn ignores_unknown(shared: &dyn SharedRollouts) -> Check {
    equal(shared.record("none").await.map_err(text)?, None)?;
    let pushed = shared.push("none", push("a", 1, "1", &[]));
    pushed.await.map_err(text)?;
    equal(pending(shared, "none").await?, (vec![], 0))?;
    refused("none", shared, decision("a", 2, 0)).await
}
