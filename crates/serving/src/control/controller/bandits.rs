//! Periods of bandits, at whose ends the weights of a split are updated.
//!
//! Rule: weights stay the same for a whole period, which begins when the split is applied and again
//! when it ends. While a rollout controls the model there is no period, and one begins afterwards.
//! Only the applied weights change, never the written ones, so nothing is persisted and no
//! generation grows.

use std::collections::BTreeMap;

use contract::{ModelName, Split};
use tokio::time::Instant;

use super::RepositoryController;

/// The running periods by model.
#[derive(Debug, Default)]
pub(super) struct Periods(BTreeMap<ModelName, Period>);

#[derive(Debug)]
struct Period {
    /// The split as written: another one begins a period of its own.
    split: Split,
    ends: Instant,
}

impl Periods {
    /// Begins the periods of new bandits, and drops those of removed ones.
    fn sync<'a>(&mut self, bandits: impl Iterator<Item = (&'a ModelName, &'a Split)>) {
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

    /// Waits until a period ends; forever when there is none.
    pub(super) async fn next_end(&self) {
        match self.0.values().map(|period| period.ends).min() {
            Some(next) => tokio::time::sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// Returns the models whose period has ended, and begins their next one.
    fn renew_ended(&mut self) -> Vec<ModelName> {
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

impl RepositoryController {
    /// Brings the periods in line with the current bandits.
    pub(super) fn sync_bandit_periods(&mut self) {
        self.periods.sync(self.state.bandits());
    }

    /// Updates the weights of the models whose period has ended.
    pub(super) fn update_bandit_weights(&mut self) {
        for model in self.periods.renew_ended() {
            if let Some(weights) = self.state.update_weights(&model) {
                tracing::info!(%model, ?weights, "updated bandit weights");
            }
        }
        // At once: units that arrive meanwhile would be counted under the wrong weights.
        self.publish();
    }
}
