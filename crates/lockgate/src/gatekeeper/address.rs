//! The address of a webhook, checked once.

use anyhow::{Context, Result, bail};
use hyper::Uri;

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Host and port.
    pub(super) authority: String,
    /// The path with its query.
    pub(super) path: String,
}

impl Address {
    /// An address such as `http://ci.example:8080/gate?of=ci`.
    ///
    /// # Errors
    /// A sentence that says what is expected. It does not repeat a password.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let expected = "expected an address such as `http://ci.example:8080/gate`";
        let uri: Uri = url
            .parse()
            .with_context(|| format!("{expected}, got `{url}`"))?;
        let Some(authority) = uri
            .authority()
            .filter(|authority| !authority.host().is_empty())
        else {
            bail!("{expected}, got `{url}`");
        };
        if authority.as_str().contains('@') {
            bail!("{expected}; a user name and a password are not sent");
        }
        let has_port = authority.as_str() != authority.host();
        let port = match (uri.scheme_str(), has_port) {
            (Some("http"), false) => Some(80),
            (Some("http"), true) => authority.port_u16(),
            _ => None,
        };
        let port = port.with_context(|| format!("{expected}, got `{url}`"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            authority: format!("{}:{port}", authority.host()),
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_and_a_path() {
        let rows = [
            ("http://ci:8080/gate?a=b", Some("ci:8080 /gate?a=b")),
            ("http://ci.example", Some("ci.example:80 /")),
            ("http://[::1]:9/x", Some("[::1]:9 /x")),
            ("https://ci/gate", None),
            ("ftp://ci/gate", None),
            ("ci/gate", None),
            ("/gate", None),
            ("http://", None),
            ("http://:80/", None),
            ("http://ci:port/", None),
            ("", None),
        ];
        let found = |url: &str| {
            let address = Address::parse(url).ok()?;
            Some(format!("{} {}", address.authority, address.path))
        };
        let wrong: Vec<_> = rows
            .into_iter()
            .filter(|(url, expected)| found(url).as_deref() != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let refused = Address::parse("http://me:s3cret@ci/gate").unwrap_err();
        let refused = format!("{refused:#}");
        assert!(refused.contains("are not sent"), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}
