//! The phases of a listener, from serving to closing.

use tokio::sync::watch;

/// The phase of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Still accepting, asking clients to reconnect elsewhere.
    Draining,
    /// Answering received requests, accepting nothing.
    Closing,
}

/// The phase of the listener of a call, in the extensions of its request.
#[derive(Clone, Debug)]
pub(crate) struct ListenerPhase(pub(crate) watch::Receiver<Phase>);

impl ListenerPhase {
    /// Returns once the listener closes; also when its handle is gone.
    pub(crate) async fn closing(&mut self) {
        // An error means that the handle was dropped, which closes as well.
        let _closed_either_way = self.0.wait_for(|phase| *phase == Phase::Closing).await;
    }
}
