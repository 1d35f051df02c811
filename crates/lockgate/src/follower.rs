//! Follows the leader of rollouts: once a second it fetches the leader's state, applies it, and
//! reports counts.
//!
//! Decision: the follower calls the leader and never the reverse, so the leader knows no addresses
//! and a new server needs one setting. While the leader is unreachable the weights stay; the first
//! failure and the return are logged.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use contract::{RawJson, Rollouts};
use tokio::time::{MissedTickBehavior, interval, timeout};

use client::{Client, path_segment};

/// The interval between two exchanges with the leader.
const INTERVAL: Duration = Duration::from_secs(1);

/// The timeout of an exchange; a slower leader counts as unreachable.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A server that follows a leader.
#[derive(Debug)]
pub(crate) struct Follower<R> {
    leader: Client,
    rollouts: Arc<R>,
    /// The id of this process; a new one for every process, because its counts start from zero.
    replica: String,
    is_leader_unreachable: bool,
}

impl<R: Rollouts> Follower<R> {
    /// Creates a follower of the leader at an address.
    ///
    /// # Errors
    /// When the address is invalid.
    pub(crate) fn new(leader: &str, rollouts: Arc<R>) -> Result<Self> {
        Ok(Self {
            leader: Client::new(leader)?.with_timeout(TIMEOUT),
            rollouts,
            replica: replica(),
            is_leader_unreachable: false,
        })
    }

    /// Fetches the leader's state before the server accepts requests, so that a new server routes
    /// like the others from the start. An unreachable leader does not stop the server from serving.
    pub(crate) async fn initial_exchange(&mut self) {
        // A failure is logged by the exchange, unless the timeout ends it here.
        let _late = timeout(TIMEOUT, self.exchange_and_log()).await;
    }

    /// Follows the leader for as long as it is polled.
    pub(crate) async fn run(mut self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.exchange_and_log().await;
        }
    }

    async fn exchange_and_log(&mut self) {
        let exchanged = self.exchange().await;
        let was_leader_unreachable =
            std::mem::replace(&mut self.is_leader_unreachable, exchanged.is_err());
        match (exchanged, was_leader_unreachable) {
            (Ok(()), false) | (Err(_), true) => {}
            (Ok(()), true) => tracing::info!("rollout leader reachable again"),
            (Err(error), false) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "rollout leader unreachable; keeping last weights");
            }
        }
    }

    async fn exchange(&self) -> Result<()> {
        let followed = self.leader.get("/api/rollouts/leader").await?;
        let followed = RawJson::new(&followed.to_string());
        let counted = self.rollouts.follow(&followed).await?;
        let mut all_sent = Ok(());
        for (rollout, counts) in counted {
            let path = format!(
                "/api/rollouts/{}/replicas/{}",
                path_segment(&rollout),
                self.replica
            );
            let sent = self.leader.send_json(&path, counts.as_str().to_owned());
            // The counts of other rollouts are sent nevertheless.
            if let Err(error) = sent.await {
                all_sent = Err(anyhow::Error::new(error)
                    .context(format!("counts of rollout `{rollout}` were not sent")));
            }
        }
        all_sent
    }
}

/// Returns 128 random bits, since every state of the hasher has its own keys.
fn replica() -> String {
    let [high, low] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
    format!("{high:016x}{low:016x}")
}

#[cfg(test)]
mod tests {
    use contract::{
        BoxFuture, Code, Error, OperatorAction, Result as ContractResult, RolloutWatch,
        SimulationInput,
    };
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Records the leader's state, and has counts for two rollouts.
    #[derive(Debug, Default)]
    struct RecordingRollouts(Mutex<Vec<String>>);

    fn unsupported<T>() -> ContractResult<T> {
        Err(Error::new(Code::Unsupported, "not here"))
    }

    impl Rollouts for RecordingRollouts {
        fn follow<'a>(
            &'a self,
            followed: &'a RawJson,
        ) -> BoxFuture<'a, ContractResult<Vec<(String, RawJson)>>> {
            self.0.lock().unwrap().push(followed.as_str().to_owned());
            let counted = ["a", "b/c"].map(|id| (id.to_owned(), RawJson::new("{\"n\":1}")));
            Box::pin(async move { Ok(counted.into()) })
        }

        fn start<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, ContractResult<RawJson>> {
            Box::pin(async { unsupported() })
        }

        fn list(&self) -> RawJson {
            RawJson::new("[]")
        }

        fn status(&self, _: &str) -> ContractResult<RawJson> {
            unsupported()
        }

        fn evidence(&self, _: &str) -> ContractResult<RawJson> {
            unsupported()
        }

        fn verdict(&self, _: &str) -> ContractResult<RawJson> {
            unsupported()
        }

        fn transitions<'a>(
            &'a self,
            _: &'a str,
            _: usize,
        ) -> BoxFuture<'a, ContractResult<RawJson>> {
            Box::pin(async { unsupported() })
        }

        fn apply_action<'a>(
            &'a self,
            _: &'a str,
            _: OperatorAction,
        ) -> BoxFuture<'a, ContractResult<RawJson>> {
            Box::pin(async { unsupported() })
        }

        fn watch(&self, _: &str) -> ContractResult<Box<dyn RolloutWatch>> {
            unsupported()
        }

        fn assign(&self, _: &str, _: &str) -> ContractResult<RawJson> {
            unsupported()
        }

        fn leader_state(&self) -> ContractResult<RawJson> {
            unsupported()
        }

        fn record_replica_counts(&self, _: &str, _: &str, _: &RawJson) -> ContractResult<RawJson> {
            unsupported()
        }

        fn simulate(
            &self,
            _: &str,
            _: &SimulationInput,
            _: &dyn Fn() -> bool,
        ) -> ContractResult<RawJson> {
            unsupported()
        }
    }

    /// Answers as many calls with these statuses; returns their first lines and bodies.
    async fn leader(listener: TcpListener, statuses: &[&str]) -> Vec<String> {
        let mut calls = Vec::new();
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            loop {
                stream.read_buf(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request).into_owned();
                let is_whole = text.starts_with("GET") && text.ends_with("\r\n\r\n");
                if is_whole || text.ends_with('}') {
                    let line = text.lines().next().unwrap().to_owned();
                    calls.push(line + " " + text.split("\r\n\r\n").nth(1).unwrap());
                    break;
                }
            }
            let body = "{\"format\":1}";
            let reply = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
        calls
    }

    async fn follower() -> (
        TcpListener,
        Arc<RecordingRollouts>,
        Follower<RecordingRollouts>,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let recording = Arc::<RecordingRollouts>::default();
        let follower = Follower::new(&url, Arc::clone(&recording)).unwrap();
        (listener, recording, follower)
    }

    #[tokio::test]
    async fn state_of_the_leader_is_applied_and_counts_are_sent() {
        let (listener, recording, mut follower) = follower().await;
        let name = follower.replica.clone();
        let statuses = ["200 OK", "409 Conflict", "200 OK"];
        let (calls, ()) = tokio::join!(leader(listener, &statuses), follower.initial_exchange());
        let posted =
            |id: &str| format!("POST /api/rollouts/{id}/replicas/{name} HTTP/1.1 {{\"n\":1}}");
        let expected = [
            "GET /api/rollouts/leader HTTP/1.1 ".to_owned(),
            posted("a"),
            posted("b%2Fc"),
        ];
        assert_eq!(calls, expected, "a refusal does not stop the others");
        assert_eq!(*recording.0.lock().unwrap(), ["{\"format\":1}"]);
        assert!(follower.is_leader_unreachable);
    }

    #[tokio::test]
    async fn an_unreachable_leader_changes_nothing_and_may_return() {
        let (listener, recording, mut follower) = follower().await;
        let (_, ()) = tokio::join!(
            leader(listener, &["503 Service Unavailable"]),
            follower.initial_exchange()
        );
        assert!(follower.is_leader_unreachable);
        assert!(follower.exchange().await.is_err(), "no server listens");
        assert_eq!(recording.0.lock().unwrap().len(), 0);
    }

    #[test]
    fn every_process_has_a_name_of_its_own() {
        let (one, other) = (replica(), replica());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
    }
}
