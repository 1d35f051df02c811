//! The error type that all crates share.
//!
//! `Code` is a closed list: the place nearest the cause picks the code, and no caller parses a
//! message. Clients read `message`; only the log shows `diagnostic`.
//!
//! Rule: a message repeats at most 200 characters of each value in backticks, and is bounded as a
//! whole, because values come from callers, and gRPC clients refuse large headers.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::admission_level::AdmissionLevel;
use crate::served_by::ServedBy;

/// The characters of a value in backticks that a message repeats.
const MAX_VALUE_CHARS: usize = 200;

/// The bytes of a message. Percent-encoded, as over gRPC, they take up to three times as many, and
/// gRPC clients take headers of 8 KiB.
const MAX_MESSAGE_BYTES: usize = 2048;

/// `Result` with the shared error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

crate::named_enum! {
    /// Kind of failure, as a stable word that clients may match on.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Code {
        /// The request is malformed or does not fit the signature of the model.
        InvalidRequest = "invalid_request",
        /// The request is understood, but this server does not support it.
        Unsupported = "unsupported",
        /// The media type or the content encoding of the body is not supported.
        UnsupportedMediaType = "unsupported_media_type",
        /// The path names no route.
        RouteNotFound = "route_not_found",
        /// The route exists, but not for this method.
        MethodNotAllowed = "method_not_allowed",
        /// No model of that name is in the repository.
        ModelNotFound = "model_not_found",
        /// The model is known, but the version is not, or no version of the model serves.
        VersionNotFound = "version_not_found",
        /// No rollout of that name is known.
        RolloutNotFound = "rollout_not_found",
        /// The request conflicts with the current state.
        Conflict = "conflict",
        /// No answer to a request of that id is remembered, or no unit of that name was seen.
        RequestNotFound = "request_not_found",
        /// The version is being loaded or unloaded.
        ModelNotReady = "model_not_ready",
        /// The body, compressed or decompressed, exceeds a limit.
        PayloadTooLarge = "payload_too_large",
        /// The client took too long to send its request.
        RequestTimeout = "request_timeout",
        /// The caller is not authenticated.
        Unauthenticated = "unauthenticated",
        /// The caller is known and not allowed to do this.
        PermissionDenied = "permission_denied",
        /// The caller has used up its share.
        RateLimited = "rate_limited",
        /// The queue of the model is full.
        QueueFull = "queue_full",
        /// The memory for request bodies, or for replies, is in use.
        BufferFull = "buffer_full",
        /// The request would miss its deadline, so it was refused at once.
        Overloaded = "overloaded",
        /// The server is starting or draining.
        Unavailable = "unavailable",
        /// The deadline passed before the model ran.
        DeadlineExceeded = "deadline_exceeded",
        /// The caller disconnected.
        Cancelled = "cancelled",
        /// The engine reported a failure while running or loading the model.
        EngineFailed = "engine_failed",
        /// The engine cannot go on: a dead worker, a poisoned session.
        EngineLost = "engine_lost",
        /// A defect of Lockgate itself.
        Internal = "internal",
    }
    /// Returns the stable spelling, as in `"code": "invalid_request"`.
    fn as_str
}

impl Code {
    /// Returns whether the client, not the server, has to change something.
    #[must_use]
    pub const fn is_client_mistake(self) -> bool {
        match self {
            Self::InvalidRequest
            | Self::Unsupported
            | Self::UnsupportedMediaType
            | Self::RouteNotFound
            | Self::MethodNotAllowed
            | Self::ModelNotFound
            | Self::VersionNotFound
            | Self::RolloutNotFound
            | Self::Conflict
            | Self::RequestNotFound
            | Self::PayloadTooLarge
            | Self::RequestTimeout
            | Self::Unauthenticated
            | Self::PermissionDenied
            | Self::RateLimited
            | Self::Cancelled => true,
            Self::ModelNotReady
            | Self::QueueFull
            | Self::BufferFull
            | Self::Overloaded
            | Self::Unavailable
            | Self::DeadlineExceeded
            | Self::EngineFailed
            | Self::EngineLost
            | Self::Internal => false,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The most characters of a diagnostic that a caller reads. The sentences of runtimes with node,
/// tensor and index are shorter; some are followed by a stack.
const MAX_EXPOSED_CHARS: usize = 600;

/// One failure: a code, a message for the caller, and a diagnostic for the log.
///
/// It is one pointer wide, so that `Result<T, Error>` stays small on the request path.
#[derive(Clone, Debug)]
pub struct Error(Box<ErrorInner>);

#[derive(Clone, Debug)]
struct ErrorInner {
    code: Code,
    message: Cow<'static, str>,
    diagnostic: Option<String>,
    retry_after: Option<Duration>,
    admission_level: Option<AdmissionLevel>,
    served_by: Option<ServedBy>,
}

impl Error {
    /// Creates an error with the message that the caller reads: lower case, no full stop, values in
    /// backticks, and what would be right.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(ErrorInner {
            code,
            message: bounded(message.into()),
            diagnostic: None,
            retry_after: None,
            admission_level: None,
            served_by: None,
        }))
    }

    /// Creates an `invalid_request` error.
    #[must_use]
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// Creates an error for a defect of Lockgate: the caller reads a fixed message, the log shows
    /// `diagnostic`.
    #[must_use]
    pub fn internal(diagnostic: impl Into<String>) -> Self {
        Self::new(
            Code::Internal,
            "the server failed to answer this request; its log says why",
        )
        .with_diagnostic(diagnostic)
    }

    /// Adds a diagnostic, which the log shows and the caller does not see.
    #[must_use]
    pub fn with_diagnostic(mut self, diagnostic: impl Into<String>) -> Self {
        self.0.diagnostic = Some(diagnostic.into());
        self
    }

    /// Adds the time after which a retry makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds the admission level that refused the request.
    #[must_use]
    pub fn with_admission_level(mut self, level: AdmissionLevel) -> Self {
        self.0.admission_level = Some(level);
        self
    }

    /// Adds the version that failed, and its arm.
    #[must_use]
    pub fn with_served_by(mut self, served_by: ServedBy) -> Self {
        self.0.served_by = Some(served_by);
        self
    }

    /// Puts `context` and a colon before the message, as in `request 3: input ...`.
    #[must_use]
    pub fn in_context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = bounded(Cow::Owned(format!("{context}: {}", self.0.message)));
        self
    }

    /// Moves the diagnostic to the message, for callers who may read it: one line, cut off where it
    /// is very long. It stays as well where the message has only a part of it.
    #[must_use]
    pub fn with_exposed_diagnostic(mut self) -> Self {
        if let Some(diagnostic) = self.0.diagnostic.take() {
            let words: Vec<_> = diagnostic.split_whitespace().collect();
            let line = words.join(" ");
            let exposed: String = line.chars().take(MAX_EXPOSED_CHARS).collect();
            self.0.message = Cow::Owned(format!("{}: {exposed}", self.0.message));
            self.0.diagnostic = (exposed.len() < line.len()).then_some(diagnostic);
        }
        self
    }

    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the message for the caller.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the diagnostic, which only the log may show.
    #[must_use]
    pub fn diagnostic(&self) -> Option<&str> {
        self.0.diagnostic.as_deref()
    }

    /// Returns the time after which a retry makes sense, if it is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the lowest priority that the model admitted when it refused this request for its
    /// load.
    #[must_use]
    pub fn admission_level(&self) -> Option<AdmissionLevel> {
        self.0.admission_level
    }

    /// Returns the version that failed, once the request had been routed.
    #[must_use]
    pub fn served_by(&self) -> Option<&ServedBy> {
        self.0.served_by.as_ref()
    }
}

/// Cuts the long values in backticks of a message, and the message.
fn bounded(message: Cow<'static, str>) -> Cow<'static, str> {
    if message.len() <= MAX_VALUE_CHARS {
        return message;
    }
    let mut bounded = String::with_capacity(message.len().min(MAX_MESSAGE_BYTES));
    let mut parts = message.split('`').peekable();
    let mut is_value = false;
    while let Some(part) = parts.next() {
        let is_closed = parts.peek().is_some();
        match part.char_indices().nth(MAX_VALUE_CHARS) {
            Some((end, _)) if is_value && is_closed => {
                bounded.push_str(part.get(..end).unwrap_or_default());
                bounded.push_str("...");
            }
            Some(_) | None => bounded.push_str(part),
        }
        if is_closed {
            bounded.push('`');
        }
        is_value = !is_value;
    }
    if bounded.len() > MAX_MESSAGE_BYTES {
        bounded.truncate(bounded.floor_char_boundary(MAX_MESSAGE_BYTES));
        bounded.push_str("...");
    }
    Cow::Owned(bounded)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_once_and_spelled_differently() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
    }

    #[test]
    fn context_comes_before_the_sentence() {
        let error = Error::invalid("input `x` is missing").in_context("request 3");
        assert_eq!(error.message(), "request 3: input `x` is missing");
        assert_eq!(error.code(), Code::InvalidRequest);
    }

    #[test]
    fn a_message_repeats_the_start_of_a_long_value() {
        let long = "ü".repeat(100_000);
        let error = Error::invalid(format!("input `{long}` is unknown; the model has `x`"))
            .in_context(format_args!("model `{long}`"));
        let start = "ü".repeat(200);
        assert_eq!(
            error.message(),
            format!("model `{start}...`: input `{start}...` is unknown; the model has `x`")
        );
        let exact = format!("input `{start}` is unknown");
        assert_eq!(Error::invalid(exact.clone()).message(), exact);
    }

    #[test]
    fn a_message_is_bounded_whatever_a_value_contains() {
        for value in ["a`b".repeat(9_999), "\u{1f600}".repeat(9_999)] {
            let error = Error::invalid(format!("{value} is unknown"));
            assert!(error.message().len() <= 2048 + 3, "{value}");
            assert!(error.message().ends_with("..."));
        }
    }

    #[test]
    fn an_internal_error_hides_its_diagnostic_from_the_caller() {
        let error = Error::internal("index 7 of 3");
        assert!(!error.to_string().contains("index 7"));
        assert_eq!(error.diagnostic(), Some("index 7 of 3"));
    }

    #[test]
    fn an_exposed_diagnostic_is_one_line_of_bounded_length() {
        let error = Error::new(Code::EngineFailed, "the model failed");
        assert_eq!(
            error.clone().with_exposed_diagnostic().message(),
            "the model failed"
        );
        let error = error.with_diagnostic("index 7\n  of 3\n");
        let exposed = error.with_exposed_diagnostic();
        assert_eq!(exposed.message(), "the model failed: index 7 of 3");
        assert_eq!(exposed.diagnostic(), None);
        let long = Error::new(Code::EngineFailed, "").with_diagnostic("é".repeat(9_000));
        let exposed = long.with_exposed_diagnostic();
        let n_chars = exposed.message().chars().count();
        assert_eq!(n_chars, MAX_EXPOSED_CHARS + 2);
        assert!(exposed.diagnostic().is_some());
    }

    #[test]
    fn a_code_is_a_word_that_fits_json_and_labels() {
        let is_word = |code: &&Code| {
            let word = code.as_str();
            let is_allowed = |c: char| c.is_ascii_lowercase() || c == '_';
            word.chars().all(is_allowed) && !word.starts_with('_') && !word.ends_with('_')
        };
        let odd: Vec<_> = Code::ALL.iter().filter(|code| !is_word(code)).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn the_spelling_of_a_code_is_that_of_its_variant() {
        for code in Code::ALL {
            let words = code.as_str().split('_').map(|word| {
                let (first, rest) = word.split_at(1);
                first.to_ascii_uppercase() + rest
            });
            assert_eq!(words.collect::<String>(), format!("{code:?}"));
            assert_eq!(code.to_string(), code.as_str());
        }
    }

    #[test]
    fn server_errors_are_never_client_mistakes() {
        let ours = [
            Code::ModelNotReady,
            Code::QueueFull,
            Code::Overloaded,
            Code::BufferFull,
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::EngineFailed,
            Code::EngineLost,
            Code::Internal,
        ];
        for code in Code::ALL {
            assert_eq!(code.is_client_mistake(), !ours.contains(&code), "{code}");
        }
    }

    #[test]
    fn context_keeps_everything_but_the_sentence() {
        let error = Error::new(Code::QueueFull, "the queue is full")
            .with_diagnostic("17 rows")
            .with_retry_after(Duration::from_secs(2))
            .with_admission_level(AdmissionLevel::Closed)
            .in_context("request 3")
            .in_context("batch");
        assert_eq!(error.to_string(), "batch: request 3: the queue is full");
        assert_eq!(error.code(), Code::QueueFull);
        assert_eq!(error.diagnostic(), Some("17 rows"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
        assert_eq!(error.admission_level(), Some(AdmissionLevel::Closed));
    }

    #[test]
    fn new_error_has_no_optional_details() {
        let error = Error::invalid("input `x` is missing");
        assert_eq!((error.diagnostic(), error.retry_after()), (None, None));
        assert_eq!(error.admission_level(), None);
    }

    #[test]
    fn a_result_is_one_pointer_wide() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
