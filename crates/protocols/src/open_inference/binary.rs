//! The binary tensor extension: a body that is a JSON object with the tensors behind it.
//!
//! Decision: a tensor is a slice of the body and never a copy, so everything that could be wrong
//! with a slice is checked while it is cut.

use bytes::Bytes;
use contract::{Error, Result};
use http::{HeaderMap, HeaderName};

/// The header with the length of the JSON object.
pub(crate) const HEADER_LENGTH: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// The parts of a body.
#[derive(Debug)]
pub(crate) enum Parts {
    /// A JSON object, and the tensors behind it.
    Json(Bytes, Blobs),
    /// The elements of the only input of the model.
    Raw(Bytes),
}

/// Splits a body at the length that the headers give.
pub(crate) fn split(headers: &HeaderMap, body: Bytes) -> Result<Parts> {
    let mut lengths = headers.get_all(HEADER_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(Parts::Json(body, Blobs { rest: Bytes::new() }));
    };
    if lengths.next().is_some() {
        return Err(unparsable("it is there more than once"));
    }
    let text = length.to_str().unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unparsable("it must be a plain decimal number of bytes"));
    }
    let Ok(length) = text.parse::<usize>() else {
        return Err(unparsable("the number is too large"));
    };
    if length > body.len() {
        return Err(Error::invalid(format!(
            "inference header size should be in range (0, {}), the bytes of the body, got {length}",
            body.len()
        )));
    }
    Ok(match length {
        0 => Parts::Raw(body),
        _ => {
            let rest = body.slice(length..);
            Parts::Json(body.slice(..length), Blobs { rest })
        }
    })
}

fn unparsable(why: &str) -> Error {
    Error::invalid(format!(
        "Unable to parse Inference-Header-Content-Length: {why}"
    ))
}

/// The tensors behind the JSON object, to be taken in the order of the inputs.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    rest: Bytes,
}

impl Blobs {
    /// Returns the next `n_bytes`, the declared size of input `input`.
    pub(crate) fn take(&mut self, input: &str, n_bytes: usize) -> Result<Bytes> {
        if n_bytes > self.rest.len() {
            return Err(Error::invalid(format!(
                "unexpected size for input `{input}`: `binary_data_size` is {n_bytes}, but only {} \
                 bytes of the body are left",
                self.rest.len()
            )));
        }
        Ok(self.rest.split_to(n_bytes))
    }

    /// Checks that no bytes are left over.
    pub(crate) fn finish(self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            n_bytes => Err(Error::invalid(format!(
                "unexpected additional input data: {n_bytes} bytes are left over behind the last \
                 binary input"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn split_at(lengths: &[&str], body: &'static [u8]) -> Result<Parts> {
        let mut headers = HeaderMap::new();
        for length in lengths {
            headers.append(HEADER_LENGTH, HeaderValue::from_str(length).unwrap());
        }
        split(&headers, Bytes::from_static(body))
    }

    #[test]
    fn a_body_is_cut_where_the_header_says() {
        let cases: [(&[&str], &[u8], &[u8]); 3] = [
            (&[], b"{}ab", b""),
            (&["2"], b"{}", b"ab"),
            (&["0004"], b"{}ab", b""),
        ];
        for (lengths, json, rest) in cases {
            let parts = split_at(lengths, b"{}ab").unwrap();
            let Parts::Json(found, blobs) = parts else {
                panic!("{lengths:?}: {parts:?}");
            };
            assert_eq!((&found[..], &blobs.rest[..]), (json, rest), "{lengths:?}");
        }
        let raw = split_at(&["0"], b"{}ab").unwrap();
        assert!(matches!(raw, Parts::Raw(body) if body[..] == *b"{}ab"));
    }

    #[test]
    fn a_length_that_is_no_length_is_refused_with_the_known_words() {
        let parse = "Unable to parse Inference-Header-Content-Length";
        let cases: [(&[&str], &str); 9] = [
            (&["5"], "inference header size should be in range"),
            (&["99999999999999999999999"], parse),
            (&[""], parse),
            (&["-1"], parse),
            (&["+2"], parse),
            (&["2.0"], parse),
            (&[" 2"], parse),
            (&["0x2"], parse),
            (&["2", "2"], parse),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(lengths, words)| {
                let result = split_at(lengths, b"{}ab");
                !result.is_err_and(|error| error.message().contains(words))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn blobs_are_taken_in_order_and_must_add_up() {
        let mut blobs = Blobs {
            rest: Bytes::from_static(b"abcd"),
        };
        assert_eq!(blobs.take("x", 1).unwrap(), "a");
        assert_eq!(blobs.take("y", 0).unwrap(), "");
        let error = blobs.take("z", 4).unwrap_err();
        assert!(
            error.message().starts_with("unexpected size for input `z`"),
            "{error}"
        );
        assert_eq!(blobs.take("z", 2).unwrap(), "bc");
        let error = blobs.finish().unwrap_err();
        assert!(
            error
                .message()
                .starts_with("unexpected additional input data: 1 "),
            "{error}"
        );
    }
}
