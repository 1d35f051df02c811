//! The admin interface of the server without an engine.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use super::EchoServer;
use crate::admission_level::AdmissionLevel;
use crate::catalog::{
    Catalog, ModelStatus, Readiness, VersionState, VersionStatistics, VersionStatus,
};
use crate::error::{Code, Error, Result};
use crate::feedback::{Feedback, FeedbackSink, FeedbackTarget};
use crate::infer::BoxFuture;
use crate::lifecycle::Lifecycle;
use crate::model::{ModelName, SharedModelInfo};
use crate::recorder::Recorder;
use crate::request::NamedTensor;
use crate::scheduling::{ExecutionTarget, RunCost, Scheduling};
use crate::traffic::{Change, HistoryEntry, Routing, Traffic};

/// The most entries of the history; later ones are dropped.
const MAX_ENTRIES: usize = 1000;

/// Returns the scheduling of a version that has measured one size.
fn scheduling() -> Scheduling {
    Scheduling {
        execution_target: ExecutionTarget::Inline,
        execution_target_reason: "it is a test".to_owned(),
        curve: vec![RunCost {
            rows: 1.0,
            time: Duration::from_micros(12),
            deviation: 0.05,
        }],
        efficient_rows: 8,
        batch_rows: 4,
        hold: Duration::ZERO,
        max_queue_rows: 100,
        n_queued_rows: 0,
        predicted_wait: Some(Duration::from_micros(13)),
        admission_level: AdmissionLevel::Priority(0),
    }
}

impl Catalog for EchoServer {
    fn models(&self) -> Vec<ModelStatus> {
        let routing = self.routing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut models: BTreeMap<&ModelName, Vec<VersionStatus>> = BTreeMap::new();
        for info in &self.versions {
            models.entry(&info.model).or_default().push(VersionStatus {
                version: info.version.clone(),
                state: VersionState::Ready,
                reason: String::new(),
                info: Some(Arc::clone(info)),
                n_in_flight: 0,
                scheduling: Some(scheduling()),
            });
        }
        models
            .into_iter()
            .map(|(name, mut versions)| {
                versions.sort_by(|a, b| a.version.cmp(&b.version));
                ModelStatus {
                    warnings: Vec::new(),
                    name: name.clone(),
                    reason: String::new(),
                    versions,
                    routing: routing.clone(),
                }
            })
            .collect()
    }

    fn model(&self, name: &ModelName) -> Result<ModelStatus> {
        let found = self.models().into_iter().find(|model| model.name == *name);
        found.ok_or_else(|| Self::unknown_model(name))
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            is_ready: self.not_ready.is_none(),
            reason: self.not_ready.clone().unwrap_or_default(),
            warnings: Vec::new(),
        }
    }

    fn statistics(&self, name: Option<&ModelName>) -> Result<Vec<VersionStatistics>> {
        if let Some(name) = name {
            self.model(name)?;
        }
        let wanted = |info: &&SharedModelInfo| name.is_none_or(|name| info.model == *name);
        Ok(self
            .versions
            .iter()
            .filter(wanted)
            .map(|info| VersionStatistics::new(info.model.clone(), info.version.clone()))
            .collect())
    }
}

impl Lifecycle for EchoServer {
    fn load<'a>(&'a self, name: &'a ModelName) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.model(name).map(|_| ()) })
    }

    fn unload<'a>(&'a self, name: &'a ModelName) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.model(name).map(|_| ()) })
    }
}

impl Traffic for EchoServer {
    fn change<'a>(
        &'a self,
        name: &'a ModelName,
        change: Change,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<Routing>> {
        Box::pin(async move {
            self.model(name)?;
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            history.push(HistoryEntry {
                at: SystemTime::UNIX_EPOCH,
                actor: actor.to_owned(),
                what: format!("{change:?}"),
                version: None,
                fingerprint: None,
            });
            drop(history);
            let mut routing = self.routing.lock().unwrap_or_else(PoisonError::into_inner);
            routing.generation += 1;
            if let Change::Split(split) = change {
                routing.split = Some(split);
            }
            Ok(routing.clone())
        })
    }

    fn history<'a>(
        &'a self,
        name: &'a ModelName,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<HistoryEntry>>> {
        Box::pin(async move {
            self.model(name)?;
            let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(history.iter().rev().take(limit).cloned().collect())
        })
    }
}

impl Recorder for EchoServer {
    fn record<'a>(
        &'a self,
        name: &'a ModelName,
        n_requests: usize,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Vec<NamedTensor>>>> {
        Box::pin(async move {
            self.model(name)?;
            Ok(self.recorded.iter().take(n_requests).cloned().collect())
        })
    }
}

impl FeedbackSink for EchoServer {
    fn feedback(&self, feedback: &[Feedback]) -> Vec<Result<()>> {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let describe = |item: &Feedback| match &item.target {
            FeedbackTarget::Request(id) if id == "unknown" => Err(Error::new(
                Code::RequestNotFound,
                "no answer to the request `unknown` is remembered",
            )),
            FeedbackTarget::Request(_) | FeedbackTarget::Unit(_) => Ok(format!("{item:?}")),
        };
        let mut take = |item: &Feedback| {
            history.push(HistoryEntry {
                at: SystemTime::UNIX_EPOCH,
                actor: "feedback".to_owned(),
                what: describe(item)?,
                version: None,
                fingerprint: None,
            });
            // A fuzzer sends millions of them.
            history.truncate(MAX_ENTRIES);
            Ok(())
        };
        feedback.iter().map(&mut take).collect()
    }
}
