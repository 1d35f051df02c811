//! Engines that fail: the requests that get the error, and those that do not.

use contract::Code;

use super::super::SchedulingSettings;
use super::version::{RunOutcome, TestVersion, echoed, failure, info, request, settings, tensor};

#[tokio::test]
async fn a_failed_batch_is_run_again_one_by_one_so_that_only_the_cause_fails() {
    let mut version = TestVersion::new();
    let (_first, run) = version.occupy().await;
    let good = version.send(request(&[1.0])).await;
    let guilty = version.send(request(&[2.0])).await;
    let other = version.send(request(&[3.0])).await;
    run.end(RunOutcome::Echo);

    let run = version.run().await;
    assert_eq!(run.values(), [1.0, 2.0, 3.0]);
    run.end(RunOutcome::Fail(Code::EngineFailed));
    for value in [1.0, 2.0, 3.0] {
        let run = version.run().await;
        assert_eq!(run.values(), [value]);
        run.end(match value == 2.0 {
            true => RunOutcome::Fail(Code::EngineFailed),
            false => RunOutcome::Echo,
        });
    }
    assert_eq!(echoed(good).await, [1.0]);
    assert_eq!(failure(guilty).await.code(), Code::EngineFailed);
    assert_eq!(echoed(other).await, [3.0]);
    assert_eq!(version.loaded_version.counters().fail.count, 1);
}

#[tokio::test]
async fn the_sentence_of_the_runtime_reaches_the_caller_where_it_is_exposed() {
    const DIAGNOSTIC: &str = "index 7 at node `Gather`";
    for (is_exposed, message, diagnostic) in [
        (true, "as the test said: index 7 at node `Gather`", None),
        (false, "as the test said", Some(DIAGNOSTIC)),
    ] {
        let settings = SchedulingSettings {
            exposes_engine_errors: is_exposed,
            ..settings()
        };
        let mut version = TestVersion::with(info(), settings, 1);
        let caller = version.send(request(&[1.0])).await;
        version
            .run()
            .await
            .end(RunOutcome::Fail(Code::EngineFailed));
        let error = failure(caller).await;
        assert_eq!((error.message(), error.diagnostic()), (message, diagnostic));
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_while_its_batch_fails_is_not_run_again() {
    let mut version = TestVersion::new();
    let (_first, run) = version.occupy().await;
    let gone = version.send(request(&[1.0])).await;
    let stays = version.send(request(&[2.0])).await;
    run.end(RunOutcome::Echo);
    let run = version.run().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    run.end(RunOutcome::Fail(Code::EngineFailed));

    let run = version.run().await;
    assert_eq!(run.values(), [2.0]);
    run.end(RunOutcome::Echo);
    assert_eq!(echoed(stays).await, [2.0]);
}

#[tokio::test]
async fn a_panic_fails_its_request_and_the_instance_goes_on() {
    let mut version = TestVersion::new();
    let (first, run) = version.occupy().await;
    run.end(RunOutcome::Panic);
    let error = failure(first).await;
    assert_eq!(error.code(), Code::EngineFailed);
    assert_eq!(error.diagnostic(), Some("as the test said"));

    let second = version.send(request(&[1.0])).await;
    version.run().await.end(RunOutcome::Echo);
    assert_eq!(echoed(second).await, [1.0]);
}

#[tokio::test]
async fn a_lost_instance_takes_its_batch_with_it_and_the_others_go_on() {
    let mut version = TestVersion::with(info(), settings(), 2);
    let (first, lost) = version.occupy().await;
    let second = version.send(request(&[1.0])).await;
    let run = version.run().await;
    let third = version.send(request(&[2.0])).await;
    lost.end(RunOutcome::Fail(Code::EngineLost));
    assert_eq!(failure(first).await.code(), Code::EngineLost);

    run.end(RunOutcome::Echo);
    let run = version.run().await;
    assert_eq!(run.values(), [2.0]);
    run.end(RunOutcome::Echo);
    assert_eq!(
        (echoed(second).await, echoed(third).await),
        (vec![1.0], vec![2.0])
    );
}

#[tokio::test]
async fn nobody_waits_for_instances_that_are_all_lost() {
    let mut version = TestVersion::new();
    let (first, run) = version.occupy().await;
    let waiting = version.send(request(&[1.0])).await;
    run.end(RunOutcome::Fail(Code::EngineLost));
    assert_eq!(failure(first).await.code(), Code::EngineLost);
    assert_eq!(failure(waiting).await.code(), Code::EngineLost);
    let late = version.send(request(&[2.0])).await;
    assert_eq!(failure(late).await.code(), Code::EngineLost);
    assert_eq!(version.loaded_version.n_in_flight(), 0);
}

#[tokio::test]
async fn an_instance_that_is_lost_while_a_batch_is_run_one_by_one_answers_all_of_it() {
    let mut version = TestVersion::new();
    let (_first, run) = version.occupy().await;
    let before = version.send(request(&[1.0])).await;
    let guilty = version.send(request(&[2.0])).await;
    let after = version.send(request(&[3.0])).await;
    run.end(RunOutcome::Echo);
    version
        .run()
        .await
        .end(RunOutcome::Fail(Code::EngineFailed));
    version.run().await.end(RunOutcome::Echo);
    version.run().await.end(RunOutcome::Fail(Code::EngineLost));
    assert_eq!(echoed(before).await, [1.0]);
    assert_eq!(failure(guilty).await.code(), Code::EngineLost);
    assert_eq!(failure(after).await.code(), Code::EngineLost);
}

#[tokio::test]
async fn outputs_that_do_not_have_the_rows_of_the_batch_are_never_split() {
    let mut version = TestVersion::new();
    let (_first, run) = version.occupy().await;
    let callers = [
        version.send(request(&[1.0])).await,
        version.send(request(&[2.0])).await,
    ];
    run.end(RunOutcome::Echo);
    let wrong = tensor(&[1, 2], vec![1.0, 2.0]);
    let run = version.run().await;
    assert_eq!(run.values(), [1.0, 2.0]);
    run.end(RunOutcome::Give(vec![wrong.clone(), wrong]));
    for (caller, value) in callers.into_iter().zip([1.0, 2.0]) {
        let run = version.run().await;
        assert_eq!(run.values(), [value]);
        run.end(RunOutcome::Echo);
        assert_eq!(echoed(caller).await, [value]);
    }
}

#[tokio::test]
async fn a_request_that_runs_alone_gets_its_outputs_whatever_their_rows() {
    let mut version = TestVersion::new();
    let caller = version.send(request(&[1.0, 2.0])).await;
    let outputs = tensor(&[3, 1], vec![1.0, 2.0, 3.0]);
    let run = version.run().await;
    run.end(RunOutcome::Give(vec![outputs.clone(), outputs]));
    assert_eq!(echoed(caller).await, [1.0, 2.0, 3.0]);
}
