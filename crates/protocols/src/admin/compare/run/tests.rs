use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use contract::comparison::Tolerance;
use contract::testing::{EchoServer, RecordingObserver, model_info};
use contract::{BoxFuture, Infer, InferResponse, Signature, Target, VersionSelector};

use super::*;
use crate::context::{Limits, ServerInfo};

/// Answers with nothing, and notes who was asked in which order and how many at once.
#[derive(Debug, Default)]
struct Notes {
    echo: EchoServer,
    asked: Mutex<Vec<String>>,
    n_running: AtomicUsize,
    n_most: AtomicUsize,
}

impl Infer for Notes {
    fn route(&self, target: &Target) -> Result<Route> {
        self.echo.route(target)
    }

    fn infer(&self, route: Route, request: InferRequest) -> BoxFuture<'_, Result<InferResponse>> {
        assert_eq!(request.priority, u32::MAX, "callers go first");
        let version = route.info.version.to_string();
        self.asked.lock().unwrap().push(version);
        Box::pin(async move {
            let n_running = self.n_running.fetch_add(1, Ordering::SeqCst) + 1;
            self.n_most.fetch_max(n_running, Ordering::SeqCst);
            tokio::task::yield_now().await;
            let response = self.echo.infer(route, request).await;
            self.n_running.fetch_sub(1, Ordering::SeqCst);
            response
        })
    }
}

/// Three versions, and a number of items of two rows.
struct Bench {
    notes: Arc<Notes>,
    ctx: Context,
    routes: Vec<Route>,
    items: Vec<Vec<Inputs>>,
}

impl Bench {
    fn new(n_items: usize) -> Self {
        let versions = ["1", "2", "3"];
        let infos = versions.map(|version| model_info("m", version, Signature::default()));
        let notes = Arc::new(Notes {
            echo: EchoServer::new(infos),
            ..Notes::default()
        });
        let routes = versions.map(|version| {
            let version = VersionSelector::parse(Some(version));
            notes
                .route(&Target {
                    model: None,
                    version,
                })
                .unwrap()
        });
        let inputs = Inputs {
            tensors: Vec::new(),
            n_rows: 2,
        };
        Self {
            ctx: Context {
                infer: Arc::clone(&notes) as _,
                control: Arc::new(EchoServer::default()),
                observe: Arc::new(RecordingObserver::default()),
                limits: Limits::default(),
                server: ServerInfo {
                    version: "0.0.0-test".to_owned(),
                    is_gpu_available: false,
                    is_control_enabled: true,
                    is_strict_json: false,
                },
            },
            notes,
            routes: routes.to_vec(),
            items: vec![vec![inputs; versions.len()]; n_items],
        }
    }

    fn run(&self) -> Run<'_> {
        Run {
            ctx: &self.ctx,
            routes: &self.routes,
            items: &self.items,
            labels: &[],
            deadline: None,
        }
    }

    fn asked(&self) -> String {
        self.notes.asked.lock().unwrap().concat()
    }
}

fn tally() -> Tally {
    Tally::new(vec![Vec::new(); 3], Tolerance::default())
}

#[tokio::test]
async fn each_item_begins_with_another_version_after_a_warm_up() {
    let bench = Bench::new(4);
    let mut tally = tally();
    bench.run().one_by_one(&mut tally).await.unwrap();
    let warm_up = "123".repeat(4);
    assert_eq!(bench.asked(), warm_up + "123" + "231" + "312" + "123");
    let report = tally.finish();
    assert_eq!(
        (report.n_items, report.n_rows),
        (4, 8),
        "the warm-up is not counted"
    );
    assert_eq!(bench.notes.n_most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_warm_up_is_short() {
    let bench = Bench::new(100);
    bench.run().one_by_one(&mut tally()).await.unwrap();
    assert_eq!(bench.asked().len(), (100 + WARMUP_ITEMS) * 3);
}

#[tokio::test]
async fn versions_take_turns_when_many_ask_at_once() {
    let bench = Bench::new(ITEMS_IN_TURN + 2);
    let throughput = bench.run().together(4).await.unwrap();
    let n_rows: Vec<_> = throughput.iter().map(|version| version.n_rows).collect();
    assert_eq!(n_rows, [2 * (ITEMS_IN_TURN + 2); 3]);
    assert_eq!(bench.notes.n_most.load(Ordering::SeqCst), 4);
    let turn = |version: &str| version.repeat(ITEMS_IN_TURN);
    let expected = turn("1") + &turn("2") + &turn("3") + "332211";
    assert_eq!(bench.asked(), expected);
}

#[tokio::test]
async fn one_at_a_time_is_not_measured_twice() {
    let bench = Bench::new(3);
    assert!(bench.run().together(1).await.unwrap().is_empty());
    assert_eq!(bench.asked(), "");
}

#[tokio::test]
async fn a_caller_that_waits_no_longer_ends_the_run() {
    let bench = Bench::new(3);
    let run = Run {
        deadline: Some(time::Instant::now().into_std()),
        ..bench.run()
    };
    let error = run.one_by_one(&mut tally()).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    let error = run.together(2).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
}
