//! The page at `/docs/`: Swagger UI from this binary, showing `/openapi.json`.
//!
//! Decision: the page and its start script are our own, because the ones of Swagger UI would ask a
//! validator on the internet, and write each number of a tensor on a line of its own; a content security policy keeps the browser from loading anything
//! that is not from this server.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use contract::{Code, Error, Result};
use http::{HeaderName, HeaderValue, header};
use utoipa_swagger_ui::Config;

use crate::rest::{Call, Reply};

const INDEX: &str = include_str!("page/index.html");

/// The files of our own, by name, with their media types.
const FILES: [(&str, &str, &str); 2] = [
    (
        "start.js",
        "text/javascript; charset=utf-8",
        include_str!("page/start.js"),
    ),
    (
        "page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
];

/// The placeholder of the server version in `INDEX`.
const VERSION_PLACEHOLDER: &str = "{version}";

/// Swagger UI writes style attributes and shows pictures from `data:` and `blob:` addresses.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; \
                      style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the page. It names its files with the server version, so that they can be cached
/// forever.
pub(super) fn index(server_version: &str) -> Reply {
    let version: String = form_urlencoded::byte_serialize(server_version.as_bytes()).collect();
    reply(
        "text/html; charset=utf-8",
        INDEX.replace(VERSION_PLACEHOLDER, &version),
        "no-cache",
    )
}

/// Returns a script, a style sheet or a picture of the page.
pub(super) fn file(call: &Call) -> Result<Reply> {
    const CACHE_FOREVER: &str = "public, max-age=31536000, immutable";
    let name = call.path_parameter("file").unwrap_or_default();
    let own = FILES.iter().find(|(own, ..)| *own == name);
    if let Some((_, content_type, text)) = own {
        return Ok(reply(content_type, *text, CACHE_FOREVER));
    }
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default()))
        .map_err(|error| Error::internal(format!("documentation file `{name}`: {error}")))?;
    // Their page would load their start script, which is not for this server.
    let Some(file) = file.filter(|_| !matches!(name, "index.html" | "swagger-initializer.js"))
    else {
        return Err(Error::new(
            Code::RouteNotFound,
            format!("`/docs/{name}` is not found; the page is `/docs/`"),
        ));
    };
    let body = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Ok(reply(&file.content_type, body, CACHE_FOREVER))
}

fn reply(content_type: &str, body: impl Into<Bytes>, caching: &'static str) -> Reply {
    let content_type = HeaderValue::from_str(content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let header = |name: HeaderName, value| (name, HeaderValue::from_static(value));
    let mut reply = Reply::new(content_type, body);
    reply.headers = vec![
        header(header::CACHE_CONTROL, caching),
        header(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        header(header::REFERRER_POLICY, "no-referrer"),
    ];
    reply
}
