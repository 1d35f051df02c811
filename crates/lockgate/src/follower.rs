//! Follows the leader of rollouts: asks it once a second, does what it tells, reports what counted.
//!
//! Decision: the follower asks and the leader never calls, so the leader knows no addresses and a
//! new server needs one setting. While the leader is silent nothing changes here; the first failure
//! and the return are logged.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use contract::{RawJson, Rollouts};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::client::{Client, path_segment};

/// From one exchange with the leader to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// A leader that takes longer is as good as silent.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One server that follows another.
#[derive(Debug)]
pub(crate) struct Follower<R> {
    leader: Client,
    rollouts: Arc<R>,
    /// A new one for every process, because its counts begin at nothing.
    replica: String,
    is_leader_unreachable: bool,
}

impl<R: Rollouts> Follower<R> {
    /// A follower of the server at an address.
    ///
    /// # Errors
    /// When the address is none.
    pub(crate) fn new(leader: &str, rollouts: Arc<R>) -> Result<Self> {
        Ok(Self {
            leader: Client::new(leader)?.with_timeout(TIMEOUT),
            rollouts,
            replica: replica(),
            is_leader_unreachable: false,
        })
    }

    /// Asks for the first time, so that a server that is new knows which version answers before
    /// anybody asks it; a leader that is silent keeps nobody from serving.
    pub(crate) async fn initial_exchange(&mut self) {
        // Silence is logged by the exchange, unless it is cut off here.
        let _late = timeout(TIMEOUT, self.exchange_and_log()).await;
    }

    /// Follows for as long as it is polled.
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
            (Ok(()), true) => tracing::info!("the leader of rollouts is back"),
            (Err(error), false) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "rollouts cannot be followed; their weights stay");
            }
        }
    }

    async fn exchange(&self) -> Result<()> {
        let followed = self.leader.get("/api/rollouts/following").await?;
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
            // Others are sent all the same.
            if let Err(error) = sent.await {
                all_sent = Err(error.context(format!("the counts of the rollout `{rollout}`")));
            }
        }
        all_sent
    }
}

/// 128 random bits: every state of the hasher has keys of its own.
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

    /// Notes what it is told, and has counted for two rollouts.
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

        fn simulate(&self, _: &str, _: &SimulationInput) -> ContractResult<RawJson> {
            unsupported()
        }
    }

    /// Answers so many calls with these statuses; gives their first lines and bodies.
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
            "GET /api/rollouts/following HTTP/1.1 ".to_owned(),
            posted("a"),
            posted("b%2Fc"),
        ];
        assert_eq!(calls, expected, "a refusal keeps nobody from the others");
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
        assert!(follower.exchange().await.is_err(), "nobody listens");
        assert_eq!(recording.0.lock().unwrap().len(), 0);
    }

    #[test]
    fn every_process_has_a_name_of_its_own() {
        let (one, other) = (replica(), replica());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
    }
}
