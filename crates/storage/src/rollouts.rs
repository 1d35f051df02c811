//! Shared rollouts in Redis.
//!
//! Decision: what must agree is one Lua script (`rollouts/scripts/`), which Redis runs as a
//! transaction. Everything has a bound or an end: pending counts a length, sets of units a size and
//! an expiry, sequence numbers, requests and answers an expiry. Rejected: `MULTI` with `WATCH`, which
//! needs a loop of attempts around each write.

mod keys;

use std::path::Path;
use std::time::Duration;

use contract::{
    ActionRequest, BoxFuture, Code, Decision, Error, NewRollout, PendingCount, PendingCounts, Push,
    Result, SharedRecord, SharedRollout, SharedRollouts,
};
use redis::{RedisError, Script, ScriptInvocation, pipe};

use crate::connection::Connection;
use crate::{AddressError, RedisAddress};

/// Most pending counts: a second of distinct users at some thousand requests each second, for as
/// long as a decision may take.
const MAX_PENDING: usize = 200_000;

/// Most pending counts of one answer.
const MAX_TAKEN: usize = 20_000;

/// Most units of a set, 8 MiB to 64 MiB in Redis; units beyond it are not counted.
const MAX_UNITS: usize = 1 << 20;

/// Most transitions that are kept.
const MAX_TRANSITIONS: usize = 1000;

/// Time for which a sequence number is remembered: longer than a server that lives is cut off.
const KEEP_SEQUENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Time for which an ended rollout is kept after the next one of its model has started.
const KEEP_ENDED: Duration = Duration::from_secs(30 * 24 * 3600);

/// Time for which a request and its answer wait to be taken.
const KEEP_REQUEST: Duration = Duration::from_secs(60);

/// Rollouts in Redis.
#[derive(Debug)]
pub struct RedisRollouts {
    address: RedisAddress,
    connection: Connection,
    scripts: Scripts,
}

#[derive(Debug)]
struct Scripts {
    create: Script,
    list: Script,
    lease: Script,
    release: Script,
    push: Script,
    pending: Script,
    commit: Script,
}

impl RedisRollouts {
    /// Creates a client, which connects with its first call. With a file, TLS trusts the authorities
    /// in it instead of those of the system.
    ///
    /// # Errors
    /// When the file has no readable certificates.
    pub fn new(address: RedisAddress, authorities: Option<&Path>) -> Result<Self, AddressError> {
        Ok(Self {
            connection: Connection::new(address.client(authorities)?),
            address,
            scripts: Scripts {
                create: Script::new(include_str!("rollouts/scripts/create.lua")),
                list: Script::new(include_str!("rollouts/scripts/list.lua")),
                lease: Script::new(include_str!("rollouts/scripts/lease.lua")),
                release: Script::new(include_str!("rollouts/scripts/release.lua")),
                push: Script::new(include_str!("rollouts/scripts/push.lua")),
                pending: Script::new(include_str!("rollouts/scripts/pending.lua")),
                commit: Script::new(include_str!("rollouts/scripts/commit.lua")),
            },
        })
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T> {
        let answer = self.connection.run(script).await;
        answer.map_err(|error| self.unavailable(&error))
    }

    async fn query<T: redis::FromRedisValue>(&self, commands: &mut redis::Pipeline) -> Result<T> {
        let answer = self.connection.query(commands).await;
        answer.map_err(|error| self.unavailable(&error))
    }

    fn unavailable(&self, error: &RedisError) -> Error {
        let message = format!("shared state in Redis at `{}` is unreachable", self.address);
        Error::new(Code::Unavailable, message).with_diagnostic(error.to_string())
    }

    async fn create_rollout(&self, rollout: NewRollout<'_>) -> Result<()> {
        let NewRollout { model, id, record } = rollout;
        let mut script = self.scripts.create.prepare_invoke();
        script.key(keys::models()).key(keys::fields(id));
        script
            .key(keys::pending(id))
            .key(keys::transitions(id))
            .key(keys::sets(id));
        script.arg(model.as_str()).arg(id).arg(record);
        script
            .arg(keys::fields(""))
            .arg(keys::transitions(""))
            .arg(KEEP_ENDED.as_secs());
        match self.run::<Option<String>>(&script).await? {
            None => Ok(()),
            Some(running) => Err(Error::new(
                Code::Conflict,
                format!(
                    "rollout `{running}` controls the traffic of model `{model}`; wait until it \
                     ends, or abort it"
                ),
            )),
        }
    }

    async fn add(&self, id: &str, push: Push<'_>) -> Result<()> {
        let mut script = self.scripts.push.prepare_invoke();
        script
            .key(keys::fields(id))
            .key(keys::sequence(id, push.replica));
        script.key(keys::pending(id)).key(keys::sets(id));
        script.arg(push.sequence).arg(push.block).arg(MAX_PENDING);
        script.arg(KEEP_SEQUENCE.as_secs()).arg(keys::units(id, ""));
        script.arg(MAX_UNITS).arg(push.keep_units.as_secs());
        for unit in push.units {
            script
                .arg(&unit.set)
                .arg(unit.fingerprint)
                .arg(&unit.observation);
        }
        match self.run::<String>(&script).await?.as_str() {
            "full" => Err(Error::new(
                Code::QueueFull,
                format!(
                    "rollout `{id}` has {MAX_PENDING} pending counts; no server decides about it"
                ),
            )),
            _ => Ok(()),
        }
    }

    async fn pending_counts(&self, id: &str) -> Result<PendingCounts> {
        let mut script = self.scripts.pending.prepare_invoke();
        script
            .key(keys::fields(id))
            .key(keys::pending(id))
            .arg(MAX_TAKEN);
        let (n_used, entries): (u64, Vec<String>) = self.run(&script).await?;
        Ok(PendingCounts {
            end: n_used + entries.len() as u64,
            entries: entries.iter().map(|entry| pending_count(entry)).collect(),
        })
    }

    async fn store(&self, id: &str, decision: Decision<'_>) -> Result<()> {
        let mut script = self.scripts.commit.prepare_invoke();
        script
            .key(keys::fields(id))
            .key(keys::lease(id))
            .key(keys::pending(id));
        script.key(keys::transitions(id)).key(keys::sets(id));
        script
            .arg(decision.holder)
            .arg(decision.revision)
            .arg(decision.record);
        script
            .arg(decision.counted)
            .arg(u8::from(decision.has_ended));
        script.arg(MAX_TRANSITIONS).arg(keys::units(id, ""));
        for transition in decision.transitions {
            script.arg(transition);
        }
        match self.run::<String>(&script).await?.as_str() {
            "stored" => Ok(()),
            _ => Err(Error::new(
                Code::Conflict,
                format!("another server decides about rollout `{id}`"),
            )),
        }
    }
}

/// Reads an entry, which starts with the letter of its kind.
fn pending_count(entry: &str) -> PendingCount {
    match entry.strip_prefix('b') {
        Some(block) => PendingCount::Block(block.to_owned()),
        None => PendingCount::Unit(entry.trim_start_matches('u').to_owned()),
    }
}

/// Returns a request as one entry of a list. Ids of requests have no line break.
fn request_entry(request: &ActionRequest) -> String {
    format!("{}\n{}", request.id, request.action)
}

fn read_request(entry: &str) -> Option<ActionRequest> {
    let (id, action) = entry.split_once('\n')?;
    Some(ActionRequest {
        id: id.to_owned(),
        action: action.to_owned(),
    })
}

/// Returns a time as a number of seconds for `EXPIRE`.
fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

impl SharedRollouts for RedisRollouts {
    fn create<'a>(&'a self, rollout: NewRollout<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.create_rollout(rollout))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<SharedRollout>>> {
        Box::pin(async {
            let mut script = self.scripts.list.prepare_invoke();
            script.key(keys::models()).arg(keys::fields(""));
            let rollouts: Vec<(String, u64)> = self.run(&script).await?;
            let rollouts = rollouts.into_iter();
            Ok(rollouts
                .map(|(id, revision)| SharedRollout { id, revision })
                .collect())
        })
    }

    fn record<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<SharedRecord>>> {
        Box::pin(async move {
            let mut commands = pipe();
            commands.cmd("HMGET").arg(keys::fields(id));
            commands.arg(&["revision", "record"]);
            let ((revision, text),): ((Option<u64>, Option<String>),) =
                self.query(&mut commands).await?;
            let stored = revision.zip(text);
            Ok(stored.map(|(revision, text)| SharedRecord { revision, text }))
        })
    }

    fn transitions<'a>(&'a self, id: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(async move {
            if limit == 0 {
                return Ok(Vec::new());
            }
            let first = isize::try_from(limit).unwrap_or(isize::MAX);
            let mut commands = pipe();
            commands.lrange(keys::transitions(id), -first, -1);
            let (mut transitions,): (Vec<String>,) = self.query(&mut commands).await?;
            transitions.reverse();
            Ok(transitions)
        })
    }

    fn lease<'a>(
        &'a self,
        id: &'a str,
        holder: &'a str,
        time: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let mut script = self.scripts.lease.prepare_invoke();
            self.run(script.key(keys::lease(id)).arg(holder).arg(millis))
                .await
        })
    }

    fn release<'a>(&'a self, id: &'a str, holder: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut script = self.scripts.release.prepare_invoke();
            self.run(script.key(keys::lease(id)).arg(holder)).await
        })
    }

    fn push<'a>(&'a self, id: &'a str, push: Push<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.add(id, push))
    }

    fn pending<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<PendingCounts>> {
        Box::pin(self.pending_counts(id))
    }

    fn commit<'a>(&'a self, id: &'a str, decision: Decision<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.store(id, decision))
    }

    fn request_action<'a>(
        &'a self,
        id: &'a str,
        request: &'a ActionRequest,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let key = keys::actions(id);
            let mut commands = pipe();
            commands.rpush(&key, request_entry(request)).ignore();
            commands.expire(&key, seconds(KEEP_REQUEST)).ignore();
            self.query(&mut commands).await
        })
    }

    fn withdraw_action<'a>(
        &'a self,
        id: &'a str,
        request: &'a ActionRequest,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let mut commands = pipe();
            commands.lrem(keys::actions(id), 1, request_entry(request));
            let (n_removed,): (u64,) = self.query(&mut commands).await?;
            Ok(n_removed > 0)
        })
    }

    fn take_actions<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Vec<ActionRequest>>> {
        Box::pin(async move {
            let key = keys::actions(id);
            let mut commands = pipe();
            commands.lrange(&key, 0, -1).del(&key).ignore();
            let (entries,): (Vec<String>,) = self.query(&mut commands).await?;
            Ok(entries
                .iter()
                .filter_map(|entry| read_request(entry))
                .collect())
        })
    }

    fn answer_action<'a>(&'a self, request: &'a str, answer: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut commands = pipe();
            let time = KEEP_REQUEST.as_secs();
            commands
                .set_ex(keys::answer(request), answer, time)
                .ignore();
            self.query(&mut commands).await
        })
    }

    fn take_answer<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(async move {
            let mut commands = pipe();
            commands.get_del(keys::answer(request));
            let (answer,): (Option<String>,) = self.query(&mut commands).await?;
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests;
