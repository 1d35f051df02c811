//! One connection to Redis, opened again after an error.
//!
//! Rule: all calls share one connection; a call that fails closes it, and the next one opens another.
//! So a connection that is half open is never used twice, and a call waits for at most one attempt
//! to connect and one answer.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisResult, ScriptInvocation,
};
use tokio::sync::Mutex;

/// Time for opening a connection, and for each answer: Redis answers within milliseconds, and a
/// caller that samples counts each second must not fall far behind.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that is opened when it is needed.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    open: Mutex<Option<MultiplexedConnection>>,
}

impl Connection {
    /// Creates a connection that is not open yet.
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            open: Mutex::default(),
        }
    }

    /// Runs a script.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> RedisResult<T> {
        let mut connection = self.connect().await?;
        let answer = script.invoke_async(&mut connection).await;
        self.close_after(answer).await
    }

    /// Runs commands as one transaction.
    pub(crate) async fn query<T: FromRedisValue>(&self, commands: &mut Pipeline) -> RedisResult<T> {
        let mut connection = self.connect().await?;
        let answer = commands.atomic().query_async(&mut connection).await;
        self.close_after(answer).await
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let mut open = self.open.lock().await;
        if let Some(connection) = &*open {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let connection = connecting.await?;
        Ok(open.insert(connection).clone())
    }

    async fn close_after<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        if answer.is_err() {
            *self.open.lock().await = None;
        }
        answer
    }
}
