//! Notifications about rollouts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::DeliveryOutcome;

use super::*;

/// Receiver of notifications that can be unavailable.
#[derive(Debug, Default)]
struct Receiver {
    is_away: AtomicBool,
    notifications: Mutex<Vec<(String, Value)>>,
}

impl Receiver {
    fn take(&self, url: &str, message: &RawJson) -> DeliveryOutcome {
        if self.is_away.load(Ordering::SeqCst) {
            return DeliveryOutcome::Failed("nobody is there".to_owned());
        }
        let message = serde_json::from_str(message.as_str()).unwrap();
        self.notifications
            .lock()
            .unwrap()
            .push((url.to_owned(), message));
        DeliveryOutcome::Delivered
    }

    fn notifications(&self) -> Vec<(String, Value)> {
        self.notifications.lock().unwrap().clone()
    }
}

impl Fixture {
    /// Stops the server and starts another one with a new receiver.
    async fn restart_with_receiver(&mut self, is_away: bool) -> Arc<Receiver> {
        let receiver = Arc::new(Receiver {
            is_away: AtomicBool::new(is_away),
            ..Receiver::default()
        });
        let receiving = Arc::clone(&receiver);
        let webhooks = FakeWebhooks::receiver(move |url, message| receiving.take(url, message));
        let server = Server::start(ServerOptions {
            store: Arc::clone(&self.store),
            webhooks: Arc::new(webhooks),
            public_url: Some("http://lockgate:8000".to_owned()),
            rollout_block: Duration::from_secs(1),
            ..self.repository.options()
        });
        self.server = server.unwrap();
        self.server.rescan().await.unwrap();
        receiver
    }
}

const NOTIFY: &str =
    "on_rollback: {notify: ['http://hook/', {alertmanager: 'http://alerts:9093'}]}";

#[tokio::test(start_paused = true)]
async fn a_rollback_is_sent_to_every_target_of_the_file() {
    let mut fixture = Fixture::new("add 1", "add 1\nrefuse 3").await;
    let receiver = fixture.restart_with_receiver(false).await;
    fixture.start(&format!("{QUICK}, {NOTIFY}")).await;
    fixture.until("rolled_back", 300).await;
    fixture.seconds(1).await;
    let mut notifications = receiver.notifications();
    notifications.sort_by(|one, other| other.0.cmp(&one.0));
    let [(hook, status), (alerts, alert)] = notifications.as_slice() else {
        panic!("{notifications:?}");
    };
    assert_eq!(
        (hook.as_str(), alerts.as_str()),
        ("http://hook/", "http://alerts:9093/api/v2/alerts")
    );
    assert_eq!(status["state"], "rolled_back");
    assert_eq!(status["reason"], fixture.status("reason"));
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
async fn an_unreachable_receiver_delays_nothing_and_is_notified_later() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let receiver = fixture.restart_with_receiver(true).await;
    fixture.start(&format!("{QUICK}, {NOTIFY}")).await;
    fixture.until("step", 10).await;
    fixture.apply_action(ActionKind::Rollback).await.unwrap();
    assert_eq!(fixture.status("state"), "rolled_back");
    assert_eq!(fixture.pinned().as_deref(), Some("1"));
    fixture.seconds(60).await;
    receiver.is_away.store(false, Ordering::SeqCst);
    fixture.seconds(60).await;
    assert_eq!(receiver.notifications().len(), 2);
    let seen = fixture.repository.observer.events();
    let delivered = seen
        .iter()
        .filter(|event| event.contains("RolloutNotified"));
    assert_eq!(delivered.count(), 2, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_loses_no_notification_and_repeats_none_that_was_accepted() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.restart_with_receiver(true).await;
    fixture.start(&format!("{QUICK}, {NOTIFY}")).await;
    fixture.until("step", 10).await;
    fixture.apply_action(ActionKind::Rollback).await.unwrap();
    let receiver = fixture.restart_with_receiver(false).await;
    fixture.seconds(1).await;
    let notifications = receiver.notifications();
    assert_eq!(notifications.len(), 2);
    assert_eq!(notifications[0].1["reason"], "an operator: because");
    let receiver = fixture.restart_with_receiver(false).await;
    fixture.seconds(60).await;
    assert_eq!(receiver.notifications(), []);
}

#[tokio::test(start_paused = true)]
async fn no_notification_is_sent_without_a_rollback() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let receiver = fixture.restart_with_receiver(false).await;
    fixture.start(&format!("{QUICK}, {NOTIFY}")).await;
    fixture.until("step", 10).await;
    fixture.apply_action(ActionKind::Abort).await.unwrap();
    fixture.seconds(60).await;
    assert_eq!(receiver.notifications(), []);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_with_an_impossible_target_does_not_start() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.restart_with_receiver(false).await;
    for (notify, expected) in [
        (
            "'http://hook/', alertmanager",
            "`rollout.on_rollback.notify[1]`: `alertmanager` is not an address",
        ),
        (
            "{webhook: 'gopher://hook/'}",
            "`rollout.on_rollback.notify[0]`: unknown receiver",
        ),
    ] {
        let keys = format!(
            "id: r, model: m, stable: 1, candidate: 2, on_rollback: {{notify: [{notify}]}}"
        );
        let refused = fixture
            .server
            .start(&format!("rollout: {{{keys}}}"), "ada")
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidRequest);
        assert!(refused.message().starts_with(expected), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chat_follows_a_rollout_from_its_start_to_its_end() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    let receiver = fixture.restart_with_receiver(false).await;
    let notify = "notify: [{slack: 'http://chat/'}]";
    fixture.start(&format!("{QUICK}, {notify}")).await;
    fixture.until("step", 10).await;
    fixture.apply_action(ActionKind::Hold).await.unwrap();
    fixture.apply_action(ActionKind::Resume).await.unwrap();
    fixture.until("completed", 300).await;
    fixture.seconds(1).await;
    let said: Vec<_> = receiver
        .notifications()
        .iter()
        .map(|(_, message)| message["text"].as_str().unwrap().to_owned())
        .collect();
    let parts = [
        "m: rollout r was started by ada: version 2 against 1",
        "m: rollout r is held: an operator: because",
        "m: rollout r goes on",
        "m: rollout r completed: version 2 answers all requests",
    ];
    assert_eq!(said.len(), parts.len(), "{said:?}");
    for (said, part) in said.iter().zip(parts) {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_alert_of_a_rollback_ends_when_the_next_rollout_of_the_model_starts() {
    let mut fixture = Fixture::new("add 1", "add 1").await;
    fixture.restart_with_receiver(false).await;
    let notify = "notify: [{alertmanager: 'http://alerts:9093'}]";
    fixture.start(&format!("{QUICK}, {notify}")).await;
    fixture.until("step", 10).await;
    fixture.apply_action(ActionKind::Rollback).await.unwrap();
    fixture.seconds(1).await;
    let receiver = fixture.restart_with_receiver(false).await;
    let next = format!("rollout: {{id: next, model: m, stable: 1, candidate: 2, {QUICK}}}");
    fixture.server.start(&next, "ada").await.unwrap();
    fixture.seconds(1).await;
    let notifications = receiver.notifications();
    let [(_, alerts)] = notifications.as_slice() else {
        panic!("{notifications:?}");
    };
    let labels = &alerts[0]["labels"];
    assert_eq!(
        (&labels["alertname"], &labels["rollout"], &labels["reason"]),
        (&"LockgateRollback".into(), &"r".into(), &"operator".into())
    );
    assert!(alerts[0].get("startsAt").is_none());
}
