//! Feedback about requests and units of two small splits.

use std::sync::Arc;
use std::time::Duration;

use contract::{
    Arm, AssignmentHash, Fallback, ModelName, NamedTensor, Shape, Split, Tensor, Unit, UnitSource,
};

use super::super::counters::{Outcome, RequestFingerprint};
use super::super::{ModelRow, RoutingRules};
use super::*;

fn active() -> ActiveSplit {
    let arm = |version: &str| Arm {
        name: version.to_owned(),
        version: version.to_owned(),
        weight: 0.5,
    };
    let split = Split {
        arms: vec![arm("1"), arm("2")],
        unit: Unit {
            source: UnitSource::Field("user_id".to_owned()),
            fallback: Fallback::Random,
        },
        hash: AssignmentHash::Md5,
        salt: None,
        coverage: 1.0,
        layer: None,
        override_header: None,
        bandit: None,
    };
    ActiveSplit::new(split, "").unwrap()
}

/// A caller who is `user_42`, of the second half.
#[derive(Debug)]
struct User;

impl contract::AssignmentAttributes for User {
    fn header(&self, _: &str) -> Option<std::borrow::Cow<'_, str>> {
        None
    }

    fn cookie(&self, _: &str) -> Option<std::borrow::Cow<'_, str>> {
        None
    }

    fn field(&self, _: &str) -> Option<std::borrow::Cow<'_, str>> {
        Some("user_42".into())
    }
}

/// Two models with the same split; the second arm of the first has answered `class` to `request`.
fn table() -> RoutingTable<()> {
    let models = ["digits", "other"].map(|name| {
        let rules = RoutingRules {
            split: Some(Arc::new(active())),
            ..RoutingRules::default()
        };
        let row = ModelRow {
            reason: String::new(),
            is_required: true,
            versions: Vec::new(),
            rules,
        };
        (ModelName::new(name).unwrap(), row)
    });
    let table = RoutingTable {
        models: models.into(),
    };
    let split = split(&table, "digits");
    split.assign(&User, || 0).unwrap();
    let answers = [("request", Some(3_i64)), ("no class", None)];
    for (id, class) in answers {
        let outputs: Vec<_> = class.into_iter().map(output).collect();
        let outcome = Outcome {
            error: None,
            latency: Duration::from_millis(1),
            timings: None,
            outputs: &outputs,
            unit: None,
        };
        split.arms()[1].record(RequestFingerprint::new(id), &outcome);
    }
    table
}

fn output(class: i64) -> NamedTensor {
    NamedTensor {
        name: "label".to_owned(),
        tensor: Tensor::from_values(Shape::new(&[1]), vec![class]).unwrap(),
    }
}

fn split<'a>(table: &'a RoutingTable<()>, model: &str) -> &'a ActiveSplit {
    let row = table.model(&ModelName::new(model).unwrap()).unwrap();
    row.rules.split.as_deref().unwrap()
}

fn request(id: &str) -> FeedbackTarget {
    FeedbackTarget::Request(id.to_owned())
}

fn unit(unit: &str) -> FeedbackTarget {
    FeedbackTarget::Unit(unit.to_owned())
}

fn text(label: &str) -> FeedbackValue {
    FeedbackValue::Label(Label::Text(label.to_owned()))
}

/// Returns the reply to one item: nothing, or the code of the refusal.
fn give_feedback(
    table: &RoutingTable<()>,
    target: FeedbackTarget,
    value: FeedbackValue,
    model: Option<&str>,
) -> String {
    let feedback = Feedback {
        model: model.map(|name| ModelName::new(name).unwrap()),
        target,
        value,
    };
    let result = table.attribute(&feedback);
    result.map_or_else(|error| error.code().to_string(), |()| String::new())
}

#[test]
fn rewards_go_to_the_arm_that_answered() {
    use FeedbackValue::{Label as Is, Reward};
    let table = table();
    let rows = [
        (request("request"), Reward(0.5), None, ""),
        (
            request("request"),
            Is(Label::Integer(3)),
            Some("digits"),
            "",
        ),
        (request("request"), text("3"), None, ""),
        (request("request"), Is(Label::Integer(4)), None, ""),
        (request("request"), text("three"), None, ""),
        (unit("user_42"), Reward(-2.0), None, ""),
        (request("another"), Reward(1.0), None, "request_not_found"),
        (
            request("request"),
            Reward(1.0),
            Some("other"),
            "request_not_found",
        ),
        (
            request("request"),
            Reward(1.0),
            Some("none"),
            "model_not_found",
        ),
        (unit("user_1"), Reward(1.0), None, "request_not_found"),
        (request("no class"), text("3"), None, "invalid_request"),
        (unit("user_42"), text("3"), None, "invalid_request"),
        (
            request("request"),
            Reward(f64::NAN),
            None,
            "invalid_request",
        ),
        (request("request"), Reward(1e10), None, "invalid_request"),
    ];
    let wrong: Vec<_> = rows
        .into_iter()
        .map(|(target, value, model, expected)| {
            let what = format!("{target:?} {value:?} {model:?}");
            (what, give_feedback(&table, target, value, model), expected)
        })
        .filter(|(_, got, expected)| got != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let rewards = |model, arm: usize| {
        let rewards = split(&table, model).arms()[arm].counters.totals().rewards;
        (rewards.n, rewards.sum)
    };
    assert_eq!(rewards("digits", 1), (6, 0.5));
    assert_eq!(rewards("digits", 0), (0, 0.0));
    assert_eq!(rewards("other", 1), (0, 0.0));
}
