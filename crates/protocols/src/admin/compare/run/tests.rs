use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use contract::testing::{EchoServer, model_info};
use contract::{BoxFuture, Infer, InferResponse, Signature, Target, VersionSelector};
use stats::comparison::Tolerance;

use super::*;

/// Answers with nothing, and notes who was asked in which order and how many at once.
#[derive(Debug, Default)]
struct CountingServer {
    echo: EchoServer,
    requested_versions: Mutex<Vec<String>>,
    n_running: AtomicUsize,
    n_most: AtomicUsize,
}

impl Infer for CountingServer {
    fn route(&self, target: &Target) -> Result<Route> {
        self.echo.route(target)
    }

    fn infer(&self, route: Route, request: InferRequest) -> BoxFuture<'_, Result<InferResponse>> {
        assert_eq!(request.priority, u32::MAX, "callers go first");
        let version = route.info.version.to_string();
        self.requested_versions.lock().unwrap().push(version);
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
struct Fixture {
    server: Arc<CountingServer>,
    ctx: Context,
    routes: Vec<Route>,
    items: Vec<Vec<Inputs>>,
}

impl Fixture {
    fn new(n_items: usize) -> Self {
        let versions = ["1", "2", "3"];
        let infos = versions.map(|version| model_info("m", version, Signature::default()));
        let server = Arc::new(CountingServer {
            echo: EchoServer::new(infos),
            ..CountingServer::default()
        });
        let routes = versions.map(|version| {
            let version = VersionSelector::parse(Some(version));
            server
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
                infer: Arc::clone(&server) as _,
                ..Context::of(&Arc::default())
            },
            server,
            routes: routes.to_vec(),
            items: vec![vec![inputs; versions.len()]; n_items],
        }
    }

    fn run(&self) -> ComparisonRun<'_> {
        ComparisonRun {
            ctx: &self.ctx,
            routes: &self.routes,
            items: &self.items,
            labels: &[],
            seed: 7,
            deadline: None,
        }
    }

    fn requested_versions(&self) -> String {
        self.server.requested_versions.lock().unwrap().concat()
    }
}

fn tally() -> ReportBuilder {
    ReportBuilder::new(vec![Vec::new(); 3], Tolerance::default())
}

/// Returns the versions in the orders of these rounds, each version repeated as often.
fn orders(n_orders: usize, n_times: usize) -> String {
    let mut order = VersionOrder::new(3, 7);
    let mut versions = String::new();
    for _ in 0..n_orders {
        for version in order.next_order() {
            versions.push_str(&(version + 1).to_string().repeat(n_times));
        }
    }
    versions
}

#[tokio::test]
async fn each_item_has_an_order_of_its_own_after_a_warm_up() {
    let fixture = Fixture::new(20);
    let mut tally = tally();
    fixture.run().run_sequentially(&mut tally).await.unwrap();
    let warm_up = "123".repeat(WARMUP_ITEMS);
    assert_eq!(fixture.requested_versions(), warm_up + &orders(20, 1));
    let report = tally.finish();
    assert_eq!(
        (report.n_items, report.n_rows),
        (20, 40),
        "the warm-up is not counted"
    );
    assert_eq!(fixture.server.n_most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_warm_up_is_short() {
    let fixture = Fixture::new(100);
    fixture.run().run_sequentially(&mut tally()).await.unwrap();
    assert_eq!(fixture.requested_versions().len(), (100 + WARMUP_ITEMS) * 3);
}

#[tokio::test]
async fn versions_take_turns_when_many_ask_at_once() {
    let fixture = Fixture::new(ITEMS_PER_ROUND + 2);
    fixture.run().run_concurrently(4).await.unwrap();
    assert_eq!(fixture.server.n_most.load(Ordering::SeqCst), 4);
    // The rounds are equally long.
    let n_items_of_round = ITEMS_PER_ROUND / 2 + 1;
    assert_eq!(fixture.requested_versions(), orders(2, n_items_of_round));
}

#[test]
fn a_slow_round_does_not_change_the_throughput() {
    let mut throughput = Throughput::default();
    for millis in [100, 100, 900] {
        throughput.add_round(64, Duration::from_millis(millis));
    }
    assert_eq!(throughput.rows_per_second(), Some(640.0));
    assert_eq!(Throughput::default().rows_per_second(), None);
}

#[tokio::test]
async fn one_at_a_time_is_not_measured_twice() {
    let fixture = Fixture::new(3);
    assert!(fixture.run().run_concurrently(1).await.unwrap().is_empty());
    assert_eq!(fixture.requested_versions(), "");
}

#[tokio::test]
async fn a_caller_that_waits_no_longer_ends_the_run() {
    let fixture = Fixture::new(3);
    let run = ComparisonRun {
        deadline: Some(time::Instant::now().into_std()),
        ..fixture.run()
    };
    let error = run.run_sequentially(&mut tally()).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    let error = run.run_concurrently(2).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
}
