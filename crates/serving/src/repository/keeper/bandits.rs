//! Bandits: when the weights of a split follow its rewards.
//!
//! Rule: weights stay the same for a whole period, which begins when the split comes into force and
//! again when it ends. While a rollout decides there is no period, and one begins afterwards. What
//! moves is what is in force, never what was written, so nothing is kept and no generation grows.

use std::collections::BTreeMap;

use contract::{ModelName, Split};
use tokio::time::Instant;

use super::Keeper;

/// The periods that run, by model.
#[derive(Debug, Default)]
pub(super) struct Periods(BTreeMap<ModelName, Period>);

#[derive(Debug)]
struct Period {
    /// The split as it was written: another one begins a period of its own.
    split: Split,
    ends: Instant,
}

impl Periods {
    /// Begins the periods of bandits that have come, and drops those of bandits that are gone.
    fn follow<'a>(&mut self, bandits: impl Iterator<Item = (&'a ModelName, &'a Split)>) {
        let mut before = std::mem::take(&mut self.0);
        for (model, split) in bandits {
            let known = before.remove(model).filter(|known| known.split == *split);
            let period = known.or_else(|| {
                Some(Period {
                    split: split.clone(),
                    ends: Instant::now() + split.bandit?.period,
                })
            });
            self.0.extend(period.map(|period| (model.clone(), period)));
        }
    }

    /// Waits until one ends; for ever, when there is none.
    pub(super) async fn end(&self) {
        match self.0.values().map(|period| period.ends).min() {
            Some(next) => tokio::time::sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// The models whose period has ended; the next one begins.
    fn take_ended(&mut self) -> Vec<ModelName> {
        let now = Instant::now();
        let ended = self.0.iter_mut().filter(|(_, period)| period.ends <= now);
        ended
            .map(|(model, period)| {
                let length = period.split.bandit.unwrap_or_default().period;
                period.ends = now + length;
                model.clone()
            })
            .collect()
    }
}

impl Keeper {
    /// Takes note of which splits are bandits now.
    pub(super) fn follow_bandits(&mut self) {
        self.periods.follow(self.ledger.bandits());
    }

    /// Moves the weights of the models whose period has ended.
    pub(super) fn reweigh(&mut self) {
        for model in self.periods.take_ended() {
            if let Some(weights) = self.ledger.follow_rewards(&model) {
                tracing::info!(%model, ?weights, "the weights of a split follow its rewards");
            }
        }
        // At once: units that come meanwhile would be counted under the wrong weights.
        self.publish();
    }
}
