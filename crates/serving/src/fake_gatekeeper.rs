//! Gates and receivers for tests, which answer as the test says.
//!
//! Only addresses of plain HTTP exist. A gate that has nothing more to say says to wait, and what
//! nobody decides about is taken.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use contract::{BoxFuture, Delivery, Document, Error, GateAnswer, Gatekeeper, Result};

type Tell = dyn Fn(&str, &Document) -> Delivery + Send + Sync;

/// Gates that all give the same answers, and one receiver behind all addresses.
pub(crate) struct FakeGatekeeper {
    /// What gates answer, the last one first.
    answers: Mutex<Vec<GateAnswer>>,
    tell: Box<Tell>,
}

impl FakeGatekeeper {
    /// Gates with these answers, the last one first.
    pub(crate) fn gate(answers: Vec<GateAnswer>) -> Self {
        Self {
            answers: Mutex::new(answers),
            tell: Box::new(|_, _| Delivery::Taken),
        }
    }

    /// A receiver that decides by the address and the message.
    pub(crate) fn receiver(
        tell: impl Fn(&str, &Document) -> Delivery + Send + Sync + 'static,
    ) -> Self {
        Self {
            answers: Mutex::default(),
            tell: Box::new(tell),
        }
    }
}

impl fmt::Debug for FakeGatekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeGatekeeper").finish_non_exhaustive()
    }
}

impl Gatekeeper for FakeGatekeeper {
    fn check(&self, url: &str) -> Result<()> {
        match url.starts_with("http://") {
            true => Ok(()),
            false => Err(Error::invalid("no such place")),
        }
    }

    fn ask<'a>(
        &'a self,
        _url: &'a str,
        status: &'a Document,
        _timeout: Duration,
    ) -> BoxFuture<'a, GateAnswer> {
        assert!(status.as_str().contains("\"state\":\"held\""));
        let answer = self.answers.lock().unwrap().pop();
        Box::pin(async move { answer.unwrap_or(GateAnswer::Wait) })
    }

    fn tell<'a>(
        &'a self,
        url: &'a str,
        message: &'a Document,
        _timeout: Duration,
    ) -> BoxFuture<'a, Delivery> {
        let delivery = (self.tell)(url, message);
        Box::pin(async { delivery })
    }
}
