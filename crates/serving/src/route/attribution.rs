//! Attribution of feedback to the arm that gave the answer.
//!
//! Rule: feedback about a request belongs to the arm that answered it, feedback about a unit to the
//! arm of the unit, in every split that has seen it. A label gives a reward of 1 when its class was
//! answered, else 0. Every item counts, so a caller that sends one twice counts it twice.

use contract::{Code, Error, Feedback, FeedbackTarget, FeedbackValue, Label, Result};

use super::RoutingTable;
use super::active_split::ActiveSplit;
use super::counters::Class;

/// Largest reward; beside the squares of larger ones, small rewards would be lost in rounding.
const MAX_REWARD: f64 = 1e9;

impl<T> RoutingTable<T> {
    /// Records feedback for the arm that it belongs to.
    ///
    /// # Errors
    /// As `FeedbackSink::feedback` lists them.
    pub(crate) fn attribute(&self, feedback: &Feedback) -> Result<()> {
        if let FeedbackValue::Reward(reward) = feedback.value {
            check_reward(reward)?;
        }
        let models = match &feedback.model {
            Some(name) => vec![self.model(name)?],
            None => self.models.values().collect(),
        };
        let splits = models
            .into_iter()
            .filter_map(|model| model.rules.split.as_ref());
        let mut outcome = None;
        for split in splits {
            outcome = match (outcome, attribute(split, feedback)) {
                (Some(Ok(())), _) | (_, Some(Ok(()))) => Some(Ok(())),
                (earlier, refused) => refused.or(earlier),
            };
        }
        outcome.unwrap_or_else(|| Err(unknown_target(&feedback.target)))
    }
}

/// Records feedback in one split; `None` when the split does not know its target.
fn attribute(split: &ActiveSplit, feedback: &Feedback) -> Option<Result<()>> {
    let (arm, class) = match &feedback.target {
        FeedbackTarget::Request(id) => split.arm_of_request(id)?,
        FeedbackTarget::Unit(unit) => (split.arm_of_unit(unit)?, None),
    };
    let reward = match (&feedback.value, class) {
        (FeedbackValue::Reward(reward), _) => *reward,
        (FeedbackValue::Label(label), Some(answered)) => {
            f64::from(u8::from(class_of(label) == answered))
        }
        (FeedbackValue::Label(_), None) => return Some(Err(no_class(&feedback.target))),
    };
    arm.counters.record_reward(reward);
    Some(Ok(()))
}

fn class_of(label: &Label) -> Class {
    match label {
        Label::Integer(class) => Class::of_integer(*class),
        Label::Text(text) => Class::of_text(text.as_bytes()),
    }
}

fn check_reward(reward: f64) -> Result<()> {
    match (-MAX_REWARD..=MAX_REWARD).contains(&reward) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "`reward`: expected a number from -{MAX_REWARD:e} to {MAX_REWARD:e}, got {reward}"
        ))),
    }
}

fn no_class(target: &FeedbackTarget) -> Error {
    Error::invalid(match target {
        FeedbackTarget::Request(_) => {
            "`label`: the answer had no single class to compare it with; send a `reward`"
        }
        FeedbackTarget::Unit(_) => {
            "`label`: it is compared with one answer; name the answer by its `request_id`"
        }
    })
}

fn unknown_target(target: &FeedbackTarget) -> Error {
    let message = match target {
        FeedbackTarget::Request(id) => format!(
            "no answer of a split to the request `{}` is remembered",
            id.escape_debug()
        ),
        FeedbackTarget::Unit(unit) => {
            format!("no split has seen the unit `{}`", unit.escape_debug())
        }
    };
    Error::new(Code::RequestNotFound, message)
}

#[cfg(test)]
mod tests;
