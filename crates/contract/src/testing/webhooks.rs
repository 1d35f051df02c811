//! Webhooks for tests: gates and receivers with configured answers.
//!
//! Only addresses of plain HTTP exist. A gate without further answers says to wait, and messages
//! are accepted by default.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{
    BoxFuture, DeliveryOutcome, Error, GateAnswer, GateDecision, HttpReply, RawJson, Result,
    Webhooks,
};

type NotifyFn = dyn Fn(&str, &RawJson) -> DeliveryOutcome + Send + Sync;

type PrometheusFn = dyn Fn(&str) -> std::result::Result<HttpReply, String> + Send + Sync;

/// Gates that all give the same answers, and one receiver behind all addresses.
pub struct FakeWebhooks {
    /// The answers of gates, the last one first.
    answers: Mutex<Vec<GateDecision>>,
    notify: Box<NotifyFn>,
    prometheus: Box<PrometheusFn>,
}

impl FakeWebhooks {
    /// Creates gates with these answers, the last one first.
    pub fn gate(answers: Vec<GateDecision>) -> Self {
        Self {
            answers: Mutex::new(answers),
            ..Self::receiver(|_, _| DeliveryOutcome::Delivered)
        }
    }

    /// Creates a receiver that decides by the address and the message.
    pub fn receiver(
        notify: impl Fn(&str, &RawJson) -> DeliveryOutcome + Send + Sync + 'static,
    ) -> Self {
        Self {
            answers: Mutex::default(),
            notify: Box::new(notify),
            prometheus: Box::new(|_| Err("nobody is there".to_owned())),
        }
    }

    /// Returns the same webhooks with a Prometheus that answers these queries.
    #[must_use]
    pub fn with_prometheus(
        self,
        answer: impl Fn(&str) -> std::result::Result<HttpReply, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            prometheus: Box::new(answer),
            ..self
        }
    }
}

impl fmt::Debug for FakeWebhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeWebhooks").finish_non_exhaustive()
    }
}

impl Webhooks for FakeWebhooks {
    fn check(&self, url: &str) -> Result<()> {
        match url.starts_with("http://") {
            true => Ok(()),
            false => Err(Error::invalid("unknown receiver")),
        }
    }

    fn query_gate<'a>(
        &'a self,
        _url: &'a str,
        status: &'a RawJson,
        _timeout: Duration,
    ) -> BoxFuture<'a, GateAnswer> {
        assert!(status.as_str().contains("\"state\":\"held\""));
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let decision = answers.pop().unwrap_or(GateDecision::Wait);
        let text = format!("{decision:?}");
        Box::pin(async move { GateAnswer { decision, text } })
    }

    fn query_prometheus<'a>(
        &'a self,
        _url: &'a str,
        query: &'a str,
        _timeout: Duration,
    ) -> BoxFuture<'a, std::result::Result<HttpReply, String>> {
        let reply = (self.prometheus)(query);
        Box::pin(async { reply })
    }

    fn notify<'a>(
        &'a self,
        url: &'a str,
        message: &'a RawJson,
        _timeout: Duration,
    ) -> BoxFuture<'a, DeliveryOutcome> {
        let delivery = (self.notify)(url, message);
        Box::pin(async { delivery })
    }
}
