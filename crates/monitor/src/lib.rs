//! What happened: events become metrics.
