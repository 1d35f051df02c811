//! Effects on a whole process: the sockets it opens, the memory it keeps. Each test runs in its own
//! child, because the tests beside it would disturb the count.

use std::fs;
use std::process::Command;

use super::*;

/// Name of the variable with the test that a child carries out.
const CHILD: &str = "LOCKGATE_TEST_CHILD";

/// Carries out `work` in a child process that runs only the test of the name `test`.
#[expect(
    clippy::disallowed_methods,
    reason = "the parent passes the test to the child in a variable"
)]
fn in_child(test: &str, work: fn()) {
    if std::env::var(CHILD).is_ok_and(|name| name == test) {
        return work();
    }
    let path = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let output = Command::new(std::env::current_exe().unwrap())
        .args([path.as_str(), "--exact", "--nocapture"])
        .env(CHILD, test)
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && reported.contains("1 passed"),
        "{reported}\n{complaint}"
    );
}

/// Returns the number of open files of this process that are sockets.
fn n_sockets() -> usize {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    let targets = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// The names of the threads of this process.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

fn resident_megabytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let n_pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    n_pages * 4096 / (1 << 20)
}

#[test]
fn with_telemetry_off_the_runtime_opens_no_socket_and_starts_no_thread() {
    let test = "with_telemetry_off_the_runtime_opens_no_socket_and_starts_no_thread";
    in_child(test, || {
        disable_telemetry();
        let (sockets, n_threads) = (n_sockets(), threads().len());
        let model = OnnxModel::identity(ElementType::F32, "n");
        let input = Tensor::from_values([2].into(), vec![1_f32, 2.0]).unwrap();
        let mut session = only_session(&model);
        for _ in 0..100 {
            session.run(&[Some(input.clone())], &[0]).unwrap();
        }
        assert_eq!(n_sockets(), sockets);
        assert_eq!(threads().len(), n_threads, "{:?}", threads());
    });
}

#[test]
fn dropped_sessions_give_their_memory_back() {
    in_child("dropped_sessions_give_their_memory_back", || {
        let weights = Tensor::from_values([64, 400].into(), vec![0.5_f32; 64 * 400]).unwrap();
        let model = OnnxModel::new()
            .input("x", ElementType::F32, &dims("n,64"))
            .output("y", ElementType::F32, &dims("n,400"))
            .initializer("weights", &weights)
            .node("MatMul", &["x", "weights"], &["y"]);
        let file = ModelFile::new(&model.to_bytes());
        let input = Tensor::from_values([8, 64].into(), vec![1_f32; 512]).unwrap();
        let load_and_run = || {
            let mut loaded = file.load().unwrap();
            loaded.sessions[0]
                .run(&[Some(input.clone())], &[0])
                .unwrap();
        };
        (0..20).for_each(|_| load_and_run());
        let before = resident_megabytes();
        (0..180).for_each(|_| load_and_run());
        let after = resident_megabytes();
        assert!(after < before + 20, "{before} MB, then {after} MB");
    });
}

/// Eight layers, 30 MB in all.
fn heavy() -> OnnxModel {
    const WIDTH: usize = 1000;
    let weights = |layer| (0..WIDTH * WIDTH).map(move |i| ((i + layer) % 101) as f32 / 5000.0);
    let mut model = OnnxModel::new().input("x0", ElementType::F32, &dims("n,1000"));
    for layer in 0..8 {
        let weights = Tensor::from_values([WIDTH, WIDTH].into(), weights(layer).collect()).unwrap();
        let (input, output) = (format!("x{layer}"), format!("x{}", layer + 1));
        let name = format!("weights{layer}");
        model = model
            .initializer(&name, &weights)
            .node("MatMul", &[&input, &name], &[&output]);
    }
    model.output("x8", ElementType::F32, &dims("n,1000"))
}

/// Measures the memory of a model with that many sessions after all have run, and the rest after
/// it.
fn megabytes_of(file: &ModelFile, n_sessions: usize) -> (usize, usize) {
    let before = resident_megabytes();
    let mut spec = file.spec.clone();
    spec.concurrency = Concurrency::of(n_sessions.try_into().unwrap());
    let mut loaded = engine().load(&spec).unwrap();
    let input = Tensor::from_values([4, 1000].into(), vec![1_f32; 4000]).unwrap();
    std::thread::scope(|scope| {
        for session in &mut loaded.sessions {
            let input = [Some(input.clone())];
            scope.spawn(move || session.run(&input, &[0]).unwrap());
        }
    });
    let loaded_megabytes = resident_megabytes() - before;
    drop(loaded);
    (
        loaded_megabytes,
        resident_megabytes().saturating_sub(before),
    )
}

#[test]
fn four_instances_of_a_large_model_take_the_memory_of_one() {
    in_child(
        "four_instances_of_a_large_model_take_the_memory_of_one",
        || {
            let file = ModelFile::new(&heavy().to_bytes());
            // The first model of a process pays for the memory that the runtime keeps.
            megabytes_of(&file, 1);
            let (one, left_by_one) = megabytes_of(&file, 1);
            let (four, left_by_four) = megabytes_of(&file, 4);
            assert!(one >= 30, "{one} MB for 30 MB of weights");
            assert!(
                four * 10 <= one * 13,
                "{one} MB for one, {four} MB for four"
            );
            let left = (left_by_one, left_by_four);
            assert!(left.0.max(left.1) <= 3, "{left:?} MB are left");
        },
    );
}

#[test]
fn a_batch_far_above_the_usual_size_leaves_no_memory_behind() {
    in_child(
        "a_batch_far_above_the_usual_size_leaves_no_memory_behind",
        || {
            let mut session = only_session(&heavy());
            let input = |n_rows: usize| {
                Tensor::from_values([n_rows, 1000].into(), vec![0.5_f32; n_rows * 1000]).unwrap()
            };
            // Kept until the end: what the caller frees after the run is not the engine's.
            let (usual, large) = (input(1), input(3000));
            let mut run = |input: &Tensor| {
                session.run(&[Some(input.clone())], &[0]).unwrap();
                resident_megabytes()
            };
            let before = (0..5).map(|_| run(&usual)).max().unwrap();
            // 12 MB for each of the values between the layers.
            run(&large);
            let after = run(&usual);
            assert!(after < before + 6, "{before} MB, then {after} MB");
        },
    );
}

#[test]
fn the_memory_of_a_warm_up_is_released_by_the_run_after_it() {
    in_child(
        "the_memory_of_a_warm_up_is_released_by_the_run_after_it",
        || {
            let mut session = only_session(&heavy());
            let input = |n_rows: usize| {
                Tensor::from_values([n_rows, 1000].into(), vec![0.5_f32; n_rows * 1000]).unwrap()
            };
            let (usual, large) = (input(1), input(3000));
            session.run(&[Some(usual.clone())], &[0]).unwrap();
            let before = resident_megabytes();
            for _ in 0..3 {
                session.run(&[Some(large.clone())], &[0]).unwrap();
            }
            session.release_memory();
            session.run(&[Some(usual)], &[0]).unwrap();
            let after = resident_megabytes();
            assert!(after < before + 6, "{before} MB, then {after} MB");
        },
    );
}
