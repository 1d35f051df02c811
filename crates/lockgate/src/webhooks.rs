//! Client of webhooks: queries gates and Prometheus, and posts notifications.
//!
//! Rule for a gate: the status of the rollout is posted as JSON; 200 means proceed, 410 means roll
//! back, and anything else, including no answer, means wait. Rule for a notification: 2xx is
//! delivered; 3xx and 4xx are refused for good, except the temporary ones (408, 425 and 429); the
//! rest may succeed later. An address that is neither HTTP nor HTTPS is refused when the rollout is
//! started.

use std::path::PathBuf;
use std::time::Duration;

use client::{Address, TlsConnector, get, path_segment, post};
use contract::{
    BoxFuture, DeliveryOutcome, Error, GateAnswer, GateDecision, HttpReply, RawJson, Webhooks,
};

/// The example in the error of a malformed address.
const EXAMPLE: &str = "https://ci.example/gate";

/// Maximum length of a reply of Prometheus: a query that returns more is not aggregated.
const MAX_REPLY_BYTES: usize = 1 << 20;

/// Calls webhooks.
#[derive(Debug)]
pub(crate) struct WebhookClient(TlsConnector);

impl WebhookClient {
    /// Creates a client that trusts the certificate authorities of the system and of this file.
    ///
    /// # Errors
    /// When the file has no readable certificate.
    pub(crate) fn new(webhook_ca: Option<PathBuf>) -> anyhow::Result<Self> {
        Ok(Self(TlsConnector::new("webhook_ca", webhook_ca)?))
    }

    /// Posts JSON; returns the status of the reply.
    async fn post(&self, url: &str, json: &RawJson, timeout: Duration) -> anyhow::Result<u16> {
        let address = Address::parse(url, EXAMPLE)?;
        within(timeout, post(&address, &self.0, json.as_str().to_owned())).await
    }
}

impl Webhooks for WebhookClient {
    fn check(&self, url: &str) -> contract::Result<()> {
        match Address::parse(url, EXAMPLE) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::invalid(error.to_string())),
        }
    }

    fn query_gate<'a>(
        &'a self,
        url: &'a str,
        status: &'a RawJson,
        timeout: Duration,
    ) -> BoxFuture<'a, GateAnswer> {
        Box::pin(async move {
            match self.post(url, status, timeout).await {
                Ok(status) => {
                    let decision = match status {
                        200 => GateDecision::Proceed,
                        410 => GateDecision::RollBack,
                        _ => GateDecision::Wait,
                    };
                    tracing::info!(url, status, "gate answered rollout");
                    let text = format!("status {status}");
                    GateAnswer { decision, text }
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    tracing::warn!(url, error = text, "failed to query gate");
                    let decision = GateDecision::Wait;
                    GateAnswer { decision, text }
                }
            }
        })
    }

    fn query_prometheus<'a>(
        &'a self,
        url: &'a str,
        query: &'a str,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<HttpReply, String>> {
        Box::pin(async move {
            let (base, query) = (url.trim_end_matches('/'), path_segment(query));
            let url = format!("{base}/api/v1/query?query={query}");
            let address = Address::parse(&url, EXAMPLE).map_err(|error| error.to_string())?;
            let reply = within(timeout, get(&address, &self.0, MAX_REPLY_BYTES)).await;
            match reply {
                Ok((status, body)) => Ok(HttpReply { status, body }),
                Err(error) => Err(format!("{error:#}")),
            }
        })
    }

    fn notify<'a>(
        &'a self,
        url: &'a str,
        message: &'a RawJson,
        timeout: Duration,
    ) -> BoxFuture<'a, DeliveryOutcome> {
        Box::pin(async move {
            match self.post(url, message, timeout).await {
                Ok(200..=299) => DeliveryOutcome::Delivered,
                Ok(status @ (408 | 425 | 429)) => DeliveryOutcome::Failed(status_text(status)),
                Ok(status @ 300..=499) => DeliveryOutcome::Refused(status_text(status)),
                Ok(status) => DeliveryOutcome::Failed(status_text(status)),
                Err(error) => DeliveryOutcome::Failed(format!("{error:#}")),
            }
        })
    }
}

/// Waits at most this long for the result of a call.
async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = client::Result<T>>,
) -> anyhow::Result<T> {
    let result = tokio::time::timeout(timeout, call).await.map_err(|_| {
        let seconds = timeout.as_secs_f64();
        anyhow::anyhow!("no answer within {seconds} s")
    })?;
    Ok(result?)
}

fn status_text(status: u16) -> String {
    format!("webhook answered with status {status}")
}

#[cfg(test)]
mod tests;
