//! The refusal of a call: an error with the header that explains it.

use contract::Error;
use http::{HeaderName, HeaderValue};

/// An error, and the header that the reply needs to explain it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: Error,
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error,
            header: None,
        }
    }
}
