//! Bandits: when the weights of a split follow its rewards.
//!
//! Rule: weights stay the same for a whole period, which begins when the split comes into force and
//! again when it ends. While a rollout decides there is no period, and one begins afterwards. What
//! moves is what is in force, never what was written, so nothing is kept and no generation grows.

use std::collections::BTreeMap;

use contract::{ModelName, Split};
use tokio::time::Instant;

use super::RepositoryController;

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

    /// Waits until one ends; for ever, when there is none.
    pub(super) async fn next_end(&self) {
        match self.0.values().map(|period| period.ends).min() {
            Some(next) => tokio::time::sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    /// The models whose period has ended; the next one begins.
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
    /// Takes note of which splits are bandits now.
    pub(super) fn sync_bandit_periods(&mut self) {
        self.periods.sync(self.state.bandits());
    }

    /// Moves the weights of the models whose period has ended.
    pub(super) fn update_bandit_weights(&mut self) {
        for model in self.periods.renew_ended() {
            if let Some(weights) = self.state.update_weights(&model) {
                tracing::info!(%model, ?weights, "the weights of a split follow its rewards");
            }
        }
        // At once: units that come meanwhile would be counted under the wrong weights.
        self.publish();
    }
}
