//! The content of notifications.

use contract::DeliveryOutcome;
use contract::testing::FakeWebhooks;
use serde_json::Value;
use stats::{ArmCounts, Counts};

use super::*;
use crate::config::RolloutConfig;
use crate::evidence::{Block, MetricBlock};
use crate::state::{Action, Event, Phase, Tick};
use crate::timestamp::Timestamp;

const FILE: &str = "rollout: {id: digits-2, model: digits, stable: 1, candidate: 2, steps: [5, 50], \
     metrics: [{name: errors, event: error, not_worse_than: {ratio: 2.0, abs: 0.005}}], \
     on_rollback: {notify: ['https://ci.example/hook?key=k', {alertmanager: 'http://alerts:9093'}]}}";

/// Notifications about a rollback because nearly all requests failed.
pub(in crate::driver) fn notifications(public_url: Option<&str>) -> Notifications {
    let config = RolloutConfig::parse(FILE).unwrap();
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
    let is_it = |action: &Action| matches!(action, Action::Record(transition) if transition.to == Phase::RolledBack);
    let Some(Action::Record(transition)) = actions.into_iter().find(is_it) else {
        panic!("it did not go back");
    };
    Notifications::new(&rollout, &transition, public_url).unwrap()
}

fn pretty(message: &str) -> String {
    let value: Value = serde_json::from_str(message).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn a_webhook_gets_the_status_with_the_evidence_and_alertmanager_an_alert() {
    let notifications = notifications(Some("http://lockgate:8000"));
    let mut said = String::new();
    for notification in &notifications.pending {
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
    assert!(!notifications.pending[1].message.contains("generatorURL"));
}

#[test]
fn the_first_format_is_still_written_and_read() {
    let notification = Notification {
        url: "http://hook/".to_owned(),
        message: "{\"id\":\"a\"}".to_owned(),
    };
    let notifications = Notifications {
        format: FORMAT,
        pending: vec![notification],
    };
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
        assert_eq!(notification::url(&notify), expected, "{written}");
    }
    let below = NotificationTarget::Alertmanager("http://a/monitoring".to_owned());
    assert_eq!(
        notification::url(&below),
        "http://a/monitoring/api/v2/alerts"
    );
    let hook = NotificationTarget::Webhook("http://a/b/".to_owned());
    assert_eq!(notification::url(&hook), "http://a/b/");
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
