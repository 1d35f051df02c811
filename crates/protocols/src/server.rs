//! Listeners, limits, time-outs and the drain: what all dialects share below their routes.
