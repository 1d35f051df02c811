//! The content of notifications.

use contract::DeliveryOutcome;
use contract::testing::FakeWebhooks;
use serde_json::Value;
use stats::{ArmCounts, Counts};

use super::*;
use crate::config::RolloutConfig;
use crate::evidence::{Block, MetricBlock};
use crate::state::{Action, Event, Phase, Rollout, Tick, Transition};
use crate::timestamp::Timestamp;

const FILE: &str = "rollout: {id: digits-2, model: digits, stable: 1, candidate: 2, steps: [5, 50], \
     metrics: [{name: errors, event: error, not_worse_than: {ratio: 2.0, abs: 0.005}}], \
     on_rollback: {notify: ['https://ci.example/hook?key=k', {alertmanager: 'http://alerts:9093'}]}}";

/// Plays a rollout whose candidate fails nearly all requests; returns it with its transitions.
fn rolled_back(file: &str) -> (Rollout, Vec<Transition>) {
    let config = RolloutConfig::parse(file).unwrap();
    let (mut rollout, _) = Rollout::start(config, Timestamp(0));
    let arms = ArmCounts {
        stable: Counts { n: 950, events: 5 },
        candidate: Counts { n: 50, events: 45 },
    };
    let tick = Tick {
        blocks: vec![Block {
            weight: 0.05,
            metrics: vec![MetricBlock::of_arms(arms)],
            ..Block::default()
        }],
        n_candidate_requests: 50,
        ..Tick::default()
    };
    let events = [
        Event::CandidateReady,
        Event::WarmedUp,
        Event::Tick(Box::new(tick)),
    ];
    let mut actions = Vec::new();
    for event in events {
        actions.extend(rollout.handle(event, Timestamp(1000)));
    }
    let transitions = actions.into_iter().filter_map(|action| match action {
        Action::Record(transition) => Some(*transition),
        Action::Load
        | Action::WarmUp
        | Action::SetTraffic(_)
        | Action::QueryGate(_)
        | Action::Query(_)
        | Action::Alert(_)
        | Action::Release { .. } => None,
    });
    let transitions: Vec<_> = transitions.collect();
    assert_eq!(transitions.last().unwrap().to, Phase::RolledBack);
    (rollout, transitions)
}

/// Notifications about a rollback because nearly all requests failed.
pub(in crate::driver) fn notifications(public_url: Option<&str>) -> Vec<Notification> {
    let (rollout, transitions) = rolled_back(FILE);
    let occasion = Occasion::transition(&rollout, transitions.last().unwrap(), public_url);
    occasion.notifications().unwrap()
}

fn pretty(message: &str) -> String {
    let value: Value = serde_json::from_str(message).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn a_webhook_gets_the_status_with_the_evidence_and_alertmanager_an_alert() {
    let notifications = notifications(Some("http://lockgate:8000"));
    let mut said = String::new();
    for notification in &notifications {
        said.push_str(&format!(
            "POST {}\n{}\n",
            notification.url,
            pretty(&notification.message)
        ));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn an_alert_has_no_link_without_a_public_url() {
    let notifications = notifications(None);
    assert!(!notifications[1].message.contains("generatorURL"));
}

#[test]
fn the_first_format_is_still_written_and_read() {
    let notification = Notification {
        url: "http://hook/".to_owned(),
        message: "{\"id\":\"a\"}".to_owned(),
    };
    let notifications = Notifications::new(vec![notification]);
    let kept = r#"{"format":1,"pending":[{"url":"http://hook/","message":"{\"id\":\"a\"}"}]}"#;
    assert_eq!(notifications.to_text().unwrap(), kept);
    let earlier = kept.replace("pending", "letters");
    for text in [kept, &earlier] {
        assert_eq!(Notifications::read(text).unwrap(), notifications, "{text}");
    }
    for (from, to) in [("\"format\":1", "\"format\":2"), ("url", "uri"), ("{", "")] {
        assert!(
            Notifications::read(&kept.replace(from, to)).is_err(),
            "{to}"
        );
    }
}

#[test]
fn alerts_go_where_alertmanager_takes_them() {
    let expected = "http://alerts:9093/api/v2/alerts";
    for written in [
        "http://alerts:9093",
        "http://alerts:9093/",
        "http://alerts:9093/api/v2/alerts",
        "http://alerts:9093/api/v2/alerts/",
    ] {
        let notify = NotificationTarget::Alertmanager(written.to_owned());
        assert_eq!(url(&notify), expected, "{written}");
    }
    let below = NotificationTarget::Alertmanager("http://a/monitoring".to_owned());
    assert_eq!(url(&below), "http://a/monitoring/api/v2/alerts");
    let hook = NotificationTarget::Webhook("http://a/b/".to_owned());
    assert_eq!(url(&hook), "http://a/b/");
}

#[test]
fn the_log_shows_no_secret_of_an_address() {
    for url in [
        "https://hooks.example/T0/s3cret",
        "https://hooks.example?s3cret",
    ] {
        let notification = Notification {
            url: url.to_owned(),
            message: String::new(),
        };
        assert_eq!(notification.host(), "https://hooks.example");
    }
}

#[test]
fn a_target_without_an_address_is_refused_with_what_to_write() {
    let receiver = FakeWebhooks::receiver(|_, _| DeliveryOutcome::Delivered);
    for name in ["alertmanager", "webhook", "ci.example/hook", ""] {
        let refused = check(&NotificationTarget::Webhook(name.to_owned()), &receiver).unwrap_err();
        let (said, advice) = (
            refused.message(),
            "{alertmanager: \"http://alertmanager:9093\"}",
        );
        assert!(said.contains(advice), "{said}");
    }
    assert!(
        check(
            &NotificationTarget::Webhook("http://a".to_owned()),
            &receiver
        )
        .is_ok()
    );
    assert!(
        check(
            &NotificationTarget::Alertmanager("ftp://a".to_owned()),
            &receiver
        )
        .is_err()
    );
}

/// The messages of a rollout that goes back, to a target with these events, for each occasion.
fn messages(target: &str) -> Vec<Value> {
    let file = format!(
        "rollout: {{id: digits-2, model: digits, stable: 1, candidate: 2, steps: [5, 50], \
         notify: [{target}]}}"
    );
    let (rollout, transitions) = rolled_back(&file);
    let url = Some("http://lockgate:8000");
    let started = Occasion::started(&rollout, "ada", url);
    let made = transitions
        .iter()
        .map(|transition| Occasion::transition(&rollout, transition, url));
    let all = std::iter::once(started).chain(made);
    let messages = all.flat_map(|occasion| occasion.notifications().unwrap());
    messages
        .map(|notification| serde_json::from_str(&notification.message).unwrap())
        .collect()
}

#[test]
fn slack_gets_a_sentence_with_a_link_for_each_event_but_the_steps() {
    let texts: Vec<_> = messages("{slack: 'http://chat/'}")
        .into_iter()
        .map(|message| message["text"].as_str().unwrap().to_owned())
        .collect();
    let [started, back] = texts.as_slice() else {
        panic!("{texts:?}");
    };
    let link = " <http://lockgate:8000/api/rollouts/digits-2|status>";
    let expected = "digits: rollout digits-2 was started by ada: version 2 against 1";
    assert_eq!(*started, format!("{expected}{link}"));
    assert!(
        back.starts_with("digits: rollout digits-2 was rolled back from version 2 to 1: "),
        "{back}"
    );
    assert!(back.ends_with(link), "{back}");
}

#[test]
fn a_target_gets_the_events_of_its_list_and_no_others() {
    let events = |on: &str| {
        let target = format!("{{webhook: 'http://hook/', on: [{on}]}}");
        let messages = messages(&target).into_iter();
        let events = messages.map(|message| message["event"].as_str().unwrap().to_owned());
        events.collect::<Vec<_>>()
    };
    assert_eq!(events("step"), ["step"]);
    assert_eq!(events("started, rolled_back"), ["started", "rolled_back"]);
    assert_eq!(events("completed, failed"), [""; 0]);
}

#[test]
fn a_sentence_for_slack_cannot_be_taken_for_a_link() {
    let message = message::slack_message("a < b & <!channel>", None);
    assert_eq!(message["text"], "a &lt; b &amp; &lt;!channel&gt;");
}
