//! The archive: wishes and history of every model, in a store.
//!
//! Decision: wishes and the line of the history that explains them go into one write, so that after
//! a crash there is both or neither.

use std::sync::Arc;

use contract::{Error, HistoryEntry, ModelName, Result, Store, Write};

use super::desired::{DesiredState, entry_from_text, entry_to_text};

/// The records of wishes, by model.
const DESIRED_STATES: &str = "wishes";

/// The journals of changes, by model.
const HISTORY: &str = "history";

/// Where wishes and history are kept.
#[derive(Clone, Debug)]
pub(crate) struct DesiredStateStore(Arc<dyn Store>);

impl DesiredStateStore {
    /// An archive in a store.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// The wishes about every model. Blocks.
    ///
    /// # Errors
    /// `internal` when the store cannot be read, or holds what this version cannot read.
    pub(crate) fn desired(&self) -> Result<Vec<(ModelName, DesiredState)>> {
        let records = self.0.records(DESIRED_STATES)?.into_iter();
        records
            .map(|(model, text)| Ok((ModelName::new(&model)?, DesiredState::from_record(&text)?)))
            .collect()
    }

    /// The last changes of a model, the newest first.
    ///
    /// # Errors
    /// `internal` when the store cannot be read.
    pub(crate) async fn history(
        &self,
        model: &ModelName,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>> {
        let (store, key) = (Arc::clone(&self.0), model.to_string());
        let entries = move || store.entries(HISTORY, &key, limit);
        let entries = blocking(entries).await?;
        entries.iter().map(|text| entry_from_text(text)).collect()
    }

    /// Keeps the wishes about a model, and why they are what they are.
    ///
    /// # Errors
    /// `internal` when the store cannot be written.
    pub(crate) async fn persist(
        &self,
        model: &ModelName,
        desired: &DesiredState,
        entry: &HistoryEntry,
    ) -> Result<()> {
        let writes = [
            Write::Put {
                collection: DESIRED_STATES,
                key: model.to_string(),
                value: desired.to_record()?,
            },
            Write::Append {
                journal: HISTORY,
                key: model.to_string(),
                entry: entry_to_text(entry)?,
            },
        ];
        let store = Arc::clone(&self.0);
        blocking(move || store.write(&writes)).await
    }
}

/// Does work with a store where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|error| Error::internal(format!("the store: {error}")))?
}
