//! Cross-origin resource sharing: the pages of listed origins may call this server from a browser.
//!
//! Rule: the preflight request of a listed origin is answered here, before the guard, because
//! browsers send it without credentials. Every reply to a listed origin, errors included, says that
//! its pages may read it. Browsers are not told to send credentials, so a page sends no cookies.
//! Other origins get replies without these headers, which their browsers keep from the page.

use std::sync::Arc;

use axum::body::Body;
use contract::{Error, Result};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};

/// The methods of all routes.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE");

/// The seconds for which a browser may remember a preflight: long enough for a session of requests,
/// short enough for a change of the setting.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Any header, or any origin.
const ANY: HeaderValue = HeaderValue::from_static("*");

/// The origins whose pages may read the replies.
#[derive(Clone, Debug)]
pub struct Cors(Arc<[HeaderValue]>);

impl Cors {
    /// Allows the pages of these origins, such as `https://app.example`, or of all with `*`.
    ///
    /// # Errors
    /// `invalid_request` for a text that is not an origin.
    pub fn new(origins: &[String]) -> Result<Self> {
        let origins: Result<Vec<_>> = origins.iter().map(|text| origin(text)).collect();
        Ok(Self(origins?.into()))
    }

    /// Returns the origin to name in the reply, when the origin of the request is listed.
    pub(super) fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let mut origins = self.0.iter();
        origins
            .find(|allowed| *allowed == ANY || *allowed == origin)
            .cloned()
    }

    /// Replies to the preflight request of a listed origin.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let headers = request.headers();
        if request.method() != Method::OPTIONS
            || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        {
            return None;
        }
        self.allowed_origin(headers)?;
        let requested = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let mut reply = Response::new(Body::empty());
        let fields = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                requested.cloned().unwrap_or(ANY),
            ),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ];
        reply.headers_mut().extend(fields);
        Some(reply)
    }

    /// Adds the headers of a reply to a request whose origin was found by [`Self::allowed_origin`].
    pub(super) fn add_headers(&self, allowed: Option<HeaderValue>, headers: &mut HeaderMap) {
        // A cache must not give the reply for one origin to another.
        if !self.0.contains(&ANY) {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANY);
        }
    }
}

/// Returns an origin as browsers write it: in lower case, and without the usual port.
fn origin(text: &str) -> Result<HeaderValue> {
    if text == "*" {
        return Ok(ANY);
    }
    let uri: Option<Uri> = text.parse().ok();
    let parts = uri.as_ref().and_then(|uri| {
        let is_bare = uri.path() == "/" && uri.query().is_none();
        let scheme = uri.scheme_str().filter(|_| is_bare)?;
        let usual_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = uri
            .host()
            .filter(|host| !host.is_empty() && !host.contains('*'))?;
        let has_user = uri.authority()?.as_str().contains('@');
        let port = uri.port_u16().filter(|port| *port != usual_port);
        (!has_user).then_some((scheme, host, port))
    });
    let written = parts.map(|(scheme, host, port)| match port {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    });
    written
        .and_then(|written| HeaderValue::try_from(written.to_ascii_lowercase()).ok())
        .ok_or_else(|| {
            Error::invalid(format!(
                "an origin is `*`, or scheme, host and port such as `https://app.example` or \
                 `http://localhost:3000`, got `{text}`"
            ))
        })
}

#[cfg(test)]
mod tests;
