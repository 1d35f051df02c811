//! Who is told when a rollout goes back.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::Delivery;

use super::*;

/// Takes letters while it is there.
#[derive(Debug, Default)]
struct Receiver {
    is_away: AtomicBool,
    letters: Mutex<Vec<(String, Value)>>,
}

impl Receiver {
    fn take(&self, url: &str, message: &Document) -> Delivery {
        if self.is_away.load(Ordering::SeqCst) {
            return Delivery::Failed("nobody is there".to_owned());
        }
        let message = serde_json::from_str(message.as_str()).unwrap();
        self.letters.lock().unwrap().push((url.to_owned(), message));
        Delivery::Taken
    }

    fn letters(&self) -> Vec<(String, Value)> {
        self.letters.lock().unwrap().clone()
    }
}

impl Stage {
    /// Ends the server and starts another one that tells a new receiver.
    async fn restart_with_receiver(&mut self, is_away: bool) -> Arc<Receiver> {
        let receiver = Arc::new(Receiver {
            is_away: AtomicBool::new(is_away),
            ..Receiver::default()
        });
        let taker = Arc::clone(&receiver);
        let gatekeeper = FakeGatekeeper::receiver(move |url, message| taker.take(url, message));
        let server = Server::start(ServerOptions {
            store: Arc::clone(&self.store),
            gatekeeper: Arc::new(gatekeeper),
            public_url: Some("http://lockgate:8000".to_owned()),
            rollout_block: Duration::from_secs(1),
            ..self.bench.options()
        });
        self.server = server.unwrap();
        self.server.rescan().await.unwrap();
        receiver
    }
}

const NOTIFY: &str =
    "on_rollback: {notify: ['http://hook/', {alertmanager: 'http://alerts:9093'}]}";

#[tokio::test(start_paused = true)]
async fn a_rollback_is_told_to_everybody_that_the_file_names() {
    let mut stage = Stage::new("add 1", "add 1\nrefuse 3").await;
    let receiver = stage.restart_with_receiver(false).await;
    stage.start(&format!("{QUICK}, {NOTIFY}")).await;
    stage.until("rolled_back", 300).await;
    stage.seconds(1).await;
    let mut letters = receiver.letters();
    letters.sort_by(|one, other| other.0.cmp(&one.0));
    let [(hook, status), (alerts, alert)] = letters.as_slice() else {
        panic!("{letters:?}");
    };
    assert_eq!(
        (hook.as_str(), alerts.as_str()),
        ("http://hook/", "http://alerts:9093/api/v2/alerts")
    );
    assert_eq!(status["state"], "rolled_back");
    assert_eq!(status["reason"], stage.status("reason"));
    assert_eq!(status["evidence"]["metrics"][0]["name"], "errors");
    let labels = &alert[0]["labels"];
    assert_eq!(
        (&labels["candidate"], &labels["stable"]),
        (&"2".into(), &"1".into())
    );
    assert_eq!(
        alert[0]["generatorURL"],
        "http://lockgate:8000/api/rollouts/r"
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_keeps_nobody_waiting_and_is_told_later() {
    let mut stage = Stage::new("add 1", "add 1").await;
    let receiver = stage.restart_with_receiver(true).await;
    stage.start(&format!("{QUICK}, {NOTIFY}")).await;
    stage.until("step", 10).await;
    stage.act(ActKind::Rollback).await.unwrap();
    assert_eq!(stage.status("state"), "rolled_back");
    assert_eq!(stage.pinned().as_deref(), Some("1"));
    stage.seconds(60).await;
    receiver.is_away.store(false, Ordering::SeqCst);
    stage.seconds(60).await;
    assert_eq!(receiver.letters().len(), 2);
    let seen = stage.bench.observer.events();
    let told = seen
        .iter()
        .filter(|event| event.contains("RolloutNotified"));
    assert_eq!(told.count(), 2, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle_loses_no_letter_and_repeats_none_that_was_taken() {
    let mut stage = Stage::new("add 1", "add 1").await;
    stage.restart_with_receiver(true).await;
    stage.start(&format!("{QUICK}, {NOTIFY}")).await;
    stage.until("step", 10).await;
    stage.act(ActKind::Rollback).await.unwrap();
    let receiver = stage.restart_with_receiver(false).await;
    stage.seconds(1).await;
    let letters = receiver.letters();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].1["reason"], "an operator: because");
    let receiver = stage.restart_with_receiver(false).await;
    stage.seconds(60).await;
    assert_eq!(receiver.letters(), []);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_another_end() {
    let mut stage = Stage::new("add 1", "add 1").await;
    let receiver = stage.restart_with_receiver(false).await;
    stage.start(&format!("{QUICK}, {NOTIFY}")).await;
    stage.until("step", 10).await;
    stage.act(ActKind::Abort).await.unwrap();
    stage.seconds(60).await;
    assert_eq!(receiver.letters(), []);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_could_not_tell_somebody_does_not_start() {
    let mut stage = Stage::new("add 1", "add 1").await;
    stage.restart_with_receiver(false).await;
    for (notify, expected) in [
        (
            "'http://hook/', alertmanager",
            "`rollout.on_rollback.notify[1]`: `alertmanager` is no address",
        ),
        (
            "{webhook: 'gopher://hook/'}",
            "`rollout.on_rollback.notify[0]`: no such place",
        ),
    ] {
        let keys = format!(
            "id: r, model: m, stable: 1, candidate: 2, on_rollback: {{notify: [{notify}]}}"
        );
        let refused = stage
            .server
            .start(&format!("rollout: {{{keys}}}"), "ada")
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidRequest);
        assert!(refused.message().starts_with(expected), "{refused}");
    }
}
