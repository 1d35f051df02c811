//! The address of a webhook, checked once.

use anyhow::{Context, Result, bail};
use hyper::Uri;
use rustls::pki_types::ServerName;

/// Parsed address of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// The host, and the port if given.
    pub(super) authority: String,
    /// Host and port.
    pub(super) socket: String,
    /// The path with its query.
    pub(super) path: String,
    /// The name that the certificate must have; `None` without TLS.
    pub(super) tls_name: Option<ServerName<'static>>,
}

impl Address {
    /// Parses an address such as `https://ci.example/gate?of=ci`.
    ///
    /// # Errors
    /// A sentence with what is expected. It does not repeat a password.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let expected = "expected an address such as `https://ci.example/gate`";
        let wrong = || format!("{expected}, got `{url}`");
        let uri: Uri = url.parse().with_context(wrong)?;
        let named = uri.authority();
        let authority = named.filter(|authority| !authority.host().is_empty());
        let authority = authority.with_context(wrong)?;
        if authority.as_str().contains('@') {
            bail!("{expected}; a user name and a password are not supported");
        }
        let host = authority.host();
        let (default_port, tls_name) = match uri.scheme_str() {
            Some("http") => (80, None),
            Some("https") => {
                let name = host
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .to_owned();
                (443, Some(ServerName::try_from(name).with_context(wrong)?))
            }
            _ => bail!(wrong()),
        };
        let port = match authority.as_str() == host {
            true => default_port,
            false => authority.port_u16().with_context(wrong)?,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            authority: authority.to_string(),
            socket: format!("{host}:{port}"),
            path: path.to_owned(),
            tls_name,
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
            ("https://ci.example/gate", Some("ci.example:443 /gate TLS")),
            ("https://127.0.0.1:9", Some("127.0.0.1:9 / TLS")),
            ("https://[::1]/x", Some("[::1]:443 /x TLS")),
            ("https://no_host!/x", None),
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
            let tls = address.tls_name.map_or("", |_| " TLS");
            Some(format!("{} {}{tls}", address.socket, address.path))
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
        assert!(refused.contains("are not supported"), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}
