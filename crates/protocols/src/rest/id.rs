//! The id of a request: the caller's, or one made here.
//!
//! Decision: ids made here are the random base of this process plus a counter, in 16 hex digits:
//! unique enough to find one request in the logs of many servers, for the price of one addition.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::RequestId;
use http::{HeaderMap, HeaderName};

/// The header of the id, in both directions.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids would only fill logs.
const MAX_BYTES: usize = 128;

static NEXT: LazyLock<AtomicU64> =
    LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish()));

/// Returns the id in `x-request-id`, when it is 1 to 128 visible ASCII characters, otherwise a new
/// one.
pub(crate) fn request_id(headers: &HeaderMap) -> RequestId {
    headers
        .get(REQUEST_ID)
        .filter(|value| (1..=MAX_BYTES).contains(&value.len()))
        .and_then(|value| str::from_utf8(value.as_bytes()).ok())
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(new_request_id, RequestId::new)
}

/// Returns an id that no other request of this process has.
pub(crate) fn new_request_id() -> RequestId {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut text = [0; 2 * size_of::<u64>()];
    for (byte, digits) in number
        .to_be_bytes()
        .into_iter()
        .zip(text.chunks_exact_mut(2))
    {
        digits.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
    }
    RequestId::new(str::from_utf8(&text).unwrap_or_default())
}

fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' - 10 + nibble,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn from_header(value: &[u8]) -> RequestId {
        let value = HeaderValue::from_bytes(value).unwrap();
        request_id(&HeaderMap::from_iter([(REQUEST_ID, value)]))
    }

    #[test]
    fn a_visible_id_of_the_caller_is_kept() {
        for id in ["a", "3f2-9/+{}", &"x".repeat(128)] {
            assert_eq!(from_header(id.as_bytes()).as_str(), id);
        }
    }

    #[test]
    fn anything_else_is_replaced() {
        for id in ["", "a b", "\u{e9}", &"x".repeat(129)] {
            let made = from_header(id.as_bytes());
            assert_ne!(made.as_str(), id);
            assert_eq!(made.as_str().len(), 16);
        }
    }

    #[test]
    fn made_ids_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| new_request_id()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
