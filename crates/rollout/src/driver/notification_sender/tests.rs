//! Delivery, retries and giving up.

use std::sync::Mutex;

use contract::MemoryStore;
use contract::testing::FakeWebhooks;
use contract::testing::RecordingObserver;
use tokio::task::JoinSet;

use super::*;
use crate::driver::notifications::tests::notifications;

/// Webhooks that give these answers at each address, then accept everything.
#[derive(Debug, Default)]
struct Receiver {
    at_hook: Mutex<Vec<DeliveryOutcome>>,
    at_alerts: Mutex<Vec<DeliveryOutcome>>,
    n_posted: Mutex<u32>,
}

impl Receiver {
    fn receive(&self, url: &str) -> DeliveryOutcome {
        let answers = match url.starts_with("http://alerts:9093") {
            true => &self.at_alerts,
            false => &self.at_hook,
        };
        *self.n_posted.lock().unwrap() += 1;
        answers
            .lock()
            .unwrap()
            .pop()
            .unwrap_or(DeliveryOutcome::Delivered)
    }
}

/// Delivers what is queued for these addresses.
async fn deliver(sender: &Arc<NotificationSender>, urls: Vec<String>) {
    let deliveries = urls.into_iter();
    let deliveries = deliveries.map(|url| Arc::clone(sender).deliver_to(url));
    deliveries.collect::<JoinSet<_>>().join_all().await;
}

/// Delivers the notifications; returns the outcomes, the number of attempts, and the time taken.
async fn delivered(receiver: Receiver) -> (Vec<String>, u32, Duration) {
    let (receiver, observer) = (Arc::new(receiver), Arc::new(RecordingObserver::default()));
    let records = Records::new(Arc::new(MemoryStore::default()));
    let receiving = Arc::clone(&receiver);
    let sender = Arc::new(NotificationSender {
        records: records.clone(),
        webhooks: Arc::new(FakeWebhooks::receiver(move |url, _| receiving.receive(url))),
        observe: Arc::clone(&observer) as Arc<dyn Observe>,
        queue: Mutex::default(),
        writing: tokio::sync::Mutex::default(),
    });
    let (model, began) = (ModelName::new("digits").unwrap(), Instant::now());
    let all = notifications(None);
    deliver(&sender, sender.enqueue(("digits-2", &model), all)).await;
    assert!(records.notifications().unwrap()["digits-2"].is_empty());
    let outcome = |event: &String| {
        let words = event.split('"');
        words.rev().nth(1).unwrap_or_default().to_owned()
    };
    let outcomes = observer.events().iter().map(outcome).collect();
    let n_posted = *receiver.n_posted.lock().unwrap();
    (outcomes, n_posted, began.elapsed())
}

fn failed(n: usize) -> Mutex<Vec<DeliveryOutcome>> {
    Mutex::new(vec![
        DeliveryOutcome::Failed("nobody is there".to_owned());
        n
    ])
}

#[tokio::test(start_paused = true)]
async fn a_notification_is_sent_again_until_it_is_accepted() {
    let receiver = Receiver {
        at_hook: failed(3),
        ..Receiver::default()
    };
    let (outcomes, n_posted, took) = delivered(receiver).await;
    assert_eq!((outcomes, n_posted), (vec!["delivered".to_owned(); 2], 5));
    assert_eq!(took.as_secs(), 1 + 2 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_gets_its_messages_in_their_order_and_holds_up_no_other() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let receiving = Arc::clone(&received);
    let webhooks = FakeWebhooks::receiver(move |url, message| {
        let mut received = receiving.lock().unwrap();
        received.push(format!("{url} {}", message.as_str()));
        match received.len() {
            1..=3 if url == "http://a" => DeliveryOutcome::Failed("busy".to_owned()),
            _ => DeliveryOutcome::Delivered,
        }
    });
    let sender = Arc::new(NotificationSender {
        records: Records::new(Arc::new(MemoryStore::default())),
        webhooks: Arc::new(webhooks),
        observe: Arc::new(RecordingObserver::default()),
        queue: Mutex::default(),
        writing: tokio::sync::Mutex::default(),
    });
    let model = ModelName::new("digits").unwrap();
    let mut idle = Vec::new();
    for (rollout, url, message) in [
        ("r", "http://a", "1"),
        ("r", "http://a", "2"),
        ("other", "http://a", "3"),
        ("r", "http://b", "4"),
    ] {
        let (url, message) = (url.to_owned(), message.to_owned());
        idle.extend(sender.enqueue((rollout, &model), vec![Notification { url, message }]));
    }
    assert_eq!(idle, ["http://a", "http://b"]);
    deliver(&sender, idle).await;
    let received = received.lock().unwrap().clone();
    let of_a: Vec<_> = received
        .iter()
        .filter(|line| line.starts_with("http://a"))
        .collect();
    assert!(received[1] == "http://b 4", "{received:?}");
    assert_eq!(of_a.last().unwrap().as_str(), "http://a 3");
    assert!(of_a.is_sorted(), "{received:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_and_silence_is_given_up_after_ten_minutes() {
    let receiver = Receiver {
        at_hook: failed(1000),
        at_alerts: Mutex::new(vec![DeliveryOutcome::Refused("bad request".to_owned())]),
        ..Receiver::default()
    };
    let (outcomes, _, took) = delivered(receiver).await;
    assert_eq!(outcomes, ["refused", "failed"]);
    let minutes = took.as_secs() / 60;
    assert!((9..=10).contains(&minutes), "{took:?}");
}
