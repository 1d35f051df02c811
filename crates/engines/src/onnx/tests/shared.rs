//! Several handles of one session: the same answers, together and after others are closed.

use std::thread;

use contract::{SessionLayout, SessionMode};

use super::*;

const N_HANDLES: usize = 6;
const N_RUNS: usize = 200;

/// A network of two layers behind a table, which fails for positions outside the table.
pub(super) fn looked_up() -> OnnxModel {
    let table = |shape: [usize; 2]| {
        let values = (0..shape[0] * shape[1]).map(|i| (i % 23) as f32 / 23.0 - 0.5);
        Tensor::from_values(shape.into(), values.collect()).unwrap()
    };
    OnnxModel::new()
        .input("position", ElementType::I64, &dims("n"))
        .output("y", ElementType::F32, &dims("n,9"))
        .initializer("table", &table([50, 32]))
        .initializer("first", &table([32, 64]))
        .initializer("second", &table([64, 9]))
        .node("Gather", &["table", "position"], &["found"])
        .node("MatMul", &["found", "first"], &["hidden"])
        .node("Relu", &["hidden"], &["active"])
        .node("MatMul", &["active", "second"], &["y"])
}

fn handles(mode: SessionMode, n_sessions: usize) -> Vec<Box<dyn Session>> {
    let mut file = ModelFile::new(&looked_up().to_bytes());
    file.spec.concurrency = Concurrency {
        mode,
        ..Concurrency::of(n_sessions.try_into().unwrap())
    };
    file.load().unwrap().sessions
}

/// The positions of run number `index` of a handle, 1 to 7 rows.
fn positions(handle: usize, index: usize) -> Vec<Option<Tensor>> {
    let n_rows = 1 + (handle + index) % 7;
    let at = |row| i64::try_from((handle * 17 + index * 5 + row * 3) % 50).unwrap();
    vec![Some(
        Tensor::from_values([n_rows].into(), (0..n_rows).map(at).collect()).unwrap(),
    )]
}

fn outside() -> Vec<Option<Tensor>> {
    vec![Some(Tensor::from_values([1].into(), vec![50_i64]).unwrap())]
}

/// Returns the expected answers of each handle, from a session that runs alone.
fn expected(handle: usize) -> Vec<Vec<Tensor>> {
    let mut alone = handles(SessionMode::Instances, 1).remove(0);
    let run = |index| alone.run(&positions(handle, index), &[0]).unwrap();
    (0..N_RUNS).map(run).collect()
}

#[test]
fn handles_of_one_session_answer_together_as_they_do_alone() {
    let mut handles = handles(SessionMode::Shared, N_HANDLES);
    let expected: Vec<_> = (0..N_HANDLES).map(expected).collect();
    let wrong = thread::scope(|scope| {
        let work = |(handle, (session, expected)): (usize, (&mut Box<dyn Session>, &Vec<_>))| {
            let mut wrong = Vec::new();
            for (index, expected) in expected.iter().enumerate() {
                // The last handle fails before every run, which must not affect the others.
                if handle == N_HANDLES - 1 && session.run(&outside(), &[0]).is_ok() {
                    wrong.push((handle, index, "no failure".to_owned()));
                }
                match session.run(&positions(handle, index), &[0]) {
                    Ok(given) if given == *expected => {}
                    other => wrong.push((handle, index, format!("{other:?}"))),
                }
            }
            wrong
        };
        let jobs = handles.iter_mut().zip(&expected).enumerate();
        let threads: Vec<_> = jobs.map(|job| scope.spawn(move || work(job))).collect();
        let outcomes = threads.into_iter().map(|thread| thread.join().unwrap());
        outcomes.flatten().collect::<Vec<_>>()
    });
    assert_eq!(wrong, []);
}

#[test]
fn handles_of_one_session_are_dropped_in_any_order() {
    let given = handles(SessionMode::Instances, 1)[0]
        .run(&positions(0, 0), &[0])
        .unwrap();
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let mut handles: Vec<_> = handles(SessionMode::Shared, 3)
            .into_iter()
            .map(Some)
            .collect();
        for index in order {
            for handle in handles.iter_mut().flatten() {
                assert_eq!(handle.run(&positions(0, 0), &[0]).unwrap(), given);
            }
            handles[index] = None;
        }
    }
}

#[test]
fn a_handle_runs_on_while_others_come_to_their_end() {
    let mut handles = handles(SessionMode::Shared, N_HANDLES);
    let mut last = handles.pop().unwrap();
    let expected = expected(0);
    thread::scope(|scope| {
        scope.spawn(move || drop(handles));
        for (index, expected) in expected.iter().enumerate() {
            assert_eq!(last.run(&positions(0, index), &[0]).unwrap(), *expected);
        }
    });
}

/// Model weights of 4 MB: they are multiplied with 64 rows when `is_slow`, otherwise one row is
/// used.
fn large(is_slow: bool) -> OnnxModel {
    let weights = Tensor::from_values([1000, 1000].into(), vec![0.5_f32; 1_000_000]).unwrap();
    let model = OnnxModel::new().initializer("weights", &weights);
    match is_slow {
        true => model
            .input("x", ElementType::F32, &dims("64,1000"))
            .output("y", ElementType::F32, &dims("64,1000"))
            .node("MatMul", &["x", "weights"], &["y"]),
        false => model
            .input("x", ElementType::I64, &dims("n"))
            .output("y", ElementType::F32, &dims("n,1000"))
            .node("Gather", &["weights", "x"], &["y"]),
    }
}

#[test]
fn models_share_unless_they_are_small_or_fast_or_their_settings_say_so() {
    let loaded = |model: &OnnxModel, mode| {
        let mut file = ModelFile::new(&model.to_bytes());
        file.spec.concurrency = Concurrency {
            cores: 4.try_into().unwrap(),
            n_sessions: None,
            threads: None,
            mode,
        };
        let loaded = file.load().unwrap();
        let SessionLayout {
            is_shared, reason, ..
        } = loaded.layout;
        (loaded.sessions.len(), is_shared, reason)
    };
    let cases = [
        (large(true), SessionMode::Auto, true, "4 MB, of which all"),
        (large(false), SessionMode::Auto, false, " us would wait"),
        (looked_up(), SessionMode::Auto, false, "only 18 kB"),
        (large(true), SessionMode::Instances, false, "is set"),
        (looked_up(), SessionMode::Shared, true, "is set"),
    ];
    let mut wrong = Vec::new();
    for (model, mode, is_shared, said) in cases {
        let given = loaded(&model, mode);
        if (given.0, given.1) != (4, is_shared) || !given.2.contains(said) {
            wrong.push((said, given));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn external_data_counts_as_part_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, n_bytes| fs::write(folder.path().join(name), vec![0; n_bytes]).unwrap();
    write("model.onnx", 10);
    write("model.onnx.data", 300);
    write("model.onnx_data", 4000);
    write("another", 50_000);
    let file = folder.path().join("model.onnx");
    assert_eq!(load::n_bytes(&file), 4310);
    assert_eq!(load::n_bytes(folder.path()), 54_310);
    assert_eq!(load::n_bytes(&folder.path().join("missing")), 0);
}
