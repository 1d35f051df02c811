//! The traffic of one rollout: a split between two arms, and a mirror for shadow or warm-up
//! requests.

mod segments;

use std::sync::{Arc, Mutex};

use contract::{BoxFuture, Result};
use rollout::config::{RolloutConfig, Warmup, WarmupSource};
use rollout::driver::{Arms, Observations, PairTotals, RolloutTraffic, Totals};
use rollout::state::Traffic;
use stats::assignment::Assigner;

use super::RepositoryHandle;
use super::shadow_runner::{ShadowRunner, SharedPairTotals, pair_totals};
use super::warmup::{WarmupVersions, warm_up};
use crate::control::controller::Command;
use crate::control::state::RolloutRouting;
use crate::route::{DropCounters, Mirror};

use segments::Segments;

/// Traffic of a rollout through a split.
#[derive(Debug)]
pub(super) struct SplitTraffic {
    repository: RepositoryHandle,
    config: RolloutConfig,
    routing: RolloutRouting,
    segments: Segments,
    pairs: SharedPairTotals,
    drops: Arc<DropCounters>,
}

impl SplitTraffic {
    /// Creates the traffic of a rollout with this routing.
    pub(super) fn new(
        repository: RepositoryHandle,
        config: RolloutConfig,
        routing: RolloutRouting,
    ) -> Self {
        Self {
            segments: Segments::new(Arc::clone(&routing.split), routing.assignment_epoch),
            repository,
            config,
            routing,
            pairs: Arc::new(Mutex::default()),
            drops: Arc::default(),
        }
    }

    /// Starts to compare shadow requests of a share of the traffic; `None` when the share is zero.
    fn start_shadow_runner(&self, share: f64) -> Option<Arc<Mirror>> {
        let shadow = self.config.shadow.filter(|_| share > 0.0)?;
        let (mirror, arriving) = Mirror::new(share, Arc::clone(&self.drops));
        let runner = ShadowRunner {
            shadow,
            repository: self.repository.clone(),
            model: self.config.model.clone(),
            candidate: self.config.candidate.clone(),
            pairs: Arc::clone(&self.pairs),
            drops: Arc::clone(&self.drops),
        };
        tokio::spawn(runner.run(arriving));
        Some(Arc::new(mirror))
    }
}

impl RolloutTraffic for SplitTraffic {
    fn assigner(&self) -> &Assigner {
        self.routing.split.assigner()
    }

    fn totals(&self) -> Totals {
        Totals {
            arms: self.segments.totals(),
            pairs: self.pairs(),
        }
    }

    fn take_observations(&mut self) -> Vec<Observations> {
        self.segments.take_observations()
    }

    fn take_longest_error_runs(&self) -> Arms<u64> {
        self.segments.take_longest_error_runs()
    }

    fn pairs(&self) -> PairTotals {
        pair_totals(&self.pairs)
    }

    fn dropped(&self) -> Vec<(&'static str, u64)> {
        self.drops.counts().collect()
    }

    fn n_without_unit(&self) -> u64 {
        self.routing.split.n_without_unit()
    }

    fn set(&mut self, traffic: Traffic, assignment_epoch: u64) -> Result<()> {
        self.routing.mirror = self.start_shadow_runner(traffic.shadow);
        let split = self.config.split(traffic.weight, assignment_epoch);
        let is_new_epoch = assignment_epoch != self.routing.assignment_epoch;
        let split = self.routing.split.next_segment(split, is_new_epoch)?;
        self.routing.split = Arc::new(split);
        self.routing.assignment_epoch = assignment_epoch;
        self.segments
            .begin(Arc::clone(&self.routing.split), assignment_epoch);
        Ok(())
    }

    fn start_warmup(&mut self, rule: Warmup) -> BoxFuture<'static, Result<(), String>> {
        let arriving = match rule.source {
            WarmupSource::Synthetic => None,
            WarmupSource::Recorded => {
                let (mirror, arriving) = Mirror::new(1.0, Arc::default());
                self.routing.mirror = Some(Arc::new(mirror));
                Some(arriving)
            }
        };
        let (repository, config) = (self.repository.clone(), self.config.clone());
        Box::pin(async move {
            let (model, version) = (config.model, config.candidate);
            let loaded = repository.ensure_loaded(model.clone(), version.clone(), config.id);
            let loaded = loaded.await;
            loaded.map_err(|error| error.message().to_owned())?;
            let candidate = repository.served(&model, &version);
            let versions = WarmupVersions {
                candidate: candidate.ok_or("the candidate is no longer loaded")?,
                stable: repository.served(&model, &config.stable),
                guards: config.guards,
            };
            warm_up(rule, &versions, arriving).await
        })
    }

    fn end_warmup(&mut self) -> bool {
        self.routing.mirror.take().is_some()
    }

    fn apply(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.repository.request(|done| Command::SetRolloutSplit {
            model: self.config.model.clone(),
            rollout_routing: Box::new(self.routing.clone()),
            done,
        }))
    }
}
