//! Persistence of the desired state and the history of every model.
//!
//! Decision: a desired state and the history entry that explains it go into one write, so that
//! after a crash there are both or neither.

use std::sync::Arc;

use contract::{Error, HistoryEntry, ModelName, Result, Store, Write};

use super::desired::{DesiredState, entry_from_text, entry_to_text};

/// Collection of the desired states, by model.
const DESIRED_STATES: &str = "desired_states";

/// Journals of the changes, by model.
const HISTORY: &str = "history";

/// Store of the desired states and the history.
#[derive(Clone, Debug)]
pub(crate) struct DesiredStateStore(Arc<dyn Store>);

impl DesiredStateStore {
    /// Creates a desired-state store in a store.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Returns the desired state of every model. Blocks.
    ///
    /// # Errors
    /// `internal` when the store cannot be read, or holds a record that this version cannot read.
    pub(crate) fn desired(&self) -> Result<Vec<(ModelName, DesiredState)>> {
        let records = self.0.records(DESIRED_STATES)?.into_iter();
        records
            .map(|(model, text)| Ok((ModelName::new(&model)?, DesiredState::from_record(&text)?)))
            .collect()
    }

    /// Returns the last changes of a model, the newest first.
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

    /// Persists the desired state of a model, with the history entry of the change.
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

/// Runs work with a store on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|error| Error::internal(format!("failed to access the store: {error}")))?
}
