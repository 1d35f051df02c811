//! From an accepted request to an engine call: routing, admission, batching, instances, repository.
