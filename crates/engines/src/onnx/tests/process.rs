//! What a whole process does: sockets it opens, memory it keeps. Each test runs in a child of its
//! own, because the tests beside it would disturb the count.

use std::fs;
use std::process::Command;

use super::*;

/// Tells a child which test it is to carry out.
const CHILD: &str = "LOCKGATE_TEST_CHILD";

/// Carries out `work` in a child process that runs only the test of the name `test`.
#[expect(
    clippy::disallowed_methods,
    reason = "the parent tells the child by a variable"
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
    let told = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}\n{complaint}"
    );
}

/// How many open files of this process are sockets.
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
