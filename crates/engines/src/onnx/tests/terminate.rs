//! Runs that are ended from another thread.

use std::sync::mpsc::sync_channel;
use std::thread;

use super::*;

const LOOP: &[u8] = include_bytes!("../../../tests/fixtures/loop_trips.onnx");

/// The inputs of a loop that adds 1 to each of two numbers, `trips` times.
fn inputs(trips: i64) -> [Option<Tensor>; 2] {
    let trips = Tensor::from_values([].into(), vec![trips]).unwrap();
    let x = Tensor::from_values([2].into(), vec![1_f32, 2.0]).unwrap();
    [Some(trips), Some(x)]
}

#[test]
fn a_loop_that_would_run_for_hours_is_ended_and_the_session_goes_on() {
    let mut session = ModelFile::new(LOOP).load().unwrap().sessions.remove(0);
    let terminator = session.terminator().unwrap();
    let (begins, begun) = sync_channel(0);
    let run = thread::spawn(move || {
        begins.send(()).unwrap();
        let result = session.run(&inputs(900_000_000_000), &[0]);
        (session, result)
    });
    begun.recv().unwrap();
    terminator.terminate();
    let (mut session, result) = run.join().unwrap();
    assert_eq!(result.unwrap_err().code(), Code::EngineFailed);

    let again = session.run(&inputs(3), &[0]);
    assert!(again.is_err(), "it runs again only after it was let to");
    terminator.reset();
    let outputs = session.run(&inputs(3), &[0]).unwrap();
    assert_eq!(outputs[0].to_vec::<f32>().unwrap(), [4.0, 5.0]);
}

#[test]
fn every_session_of_a_bucket_is_ended() {
    let mut file = ModelFile::new(&OnnxModel::identity(ElementType::F32, "batch,2").to_bytes());
    let sizes = ("allowed_batch_sizes".to_owned(), "1, 4".to_owned());
    file.spec.options.extend([sizes]);
    let mut session = file.load().unwrap().sessions.remove(0);
    let terminator = session.terminator().unwrap();
    let rows = |n: usize| {
        [Some(
            Tensor::from_values([n, 2].into(), vec![0_f32; 2 * n]).unwrap(),
        )]
    };
    terminator.terminate();
    for n in [1, 3, 9] {
        assert!(session.run(&rows(n), &[0]).is_err(), "{n} rows");
    }
    terminator.reset();
    for n in [1, 3, 9] {
        assert!(session.run(&rows(n), &[0]).is_ok(), "{n} rows");
    }
}

#[test]
fn a_loop_tells_that_its_cost_depends_on_values() {
    let loaded = ModelFile::new(LOOP).load().unwrap();
    assert_eq!(
        loaded.data_dependent_cost.as_deref(),
        Some("operator `Loop`")
    );
    let loaded = load(&OnnxModel::identity(ElementType::F32, "batch,2")).unwrap();
    assert_eq!(loaded.data_dependent_cost, None);
}
