//! The address of a server, checked once.

use hyper::Uri;
use rustls::pki_types::ServerName;

use crate::{Error, Result};

/// Parsed address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host, and the port if given.
    pub(crate) authority: String,
    /// Host and port.
    pub(crate) socket: String,
    /// The path with its query.
    pub(crate) path: String,
    /// The name that the certificate must have; `None` without TLS.
    pub(crate) tls_name: Option<ServerName<'static>>,
}

impl Address {
    /// Parses an address such as `https://ci.example/gate?of=ci`. The example is a part of the
    /// error.
    ///
    /// # Errors
    /// A sentence with what is expected. It does not repeat a password.
    pub fn parse(url: &str, example: &str) -> Result<Self> {
        let expected = format!("expected an address such as `{example}`");
        let wrong = || Error::Address(format!("{expected}, got `{url}`"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let named = uri.authority();
        let authority = named.filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            let message = format!("{expected}; a user name and a password are not supported");
            return Err(Error::Address(message));
        }
        let host = authority.host();
        let (default_port, tls_name) = match uri.scheme_str() {
            Some("http") => (80, None),
            Some("https") => {
                let name = host
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .to_owned();
                (443, Some(ServerName::try_from(name).map_err(|_| wrong())?))
            }
            _ => return Err(wrong()),
        };
        let port = match authority.as_str() == host {
            true => default_port,
            false => authority.port_u16().ok_or_else(wrong)?,
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

    const EXAMPLE: &str = "https://ci.example/gate";

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
            let address = Address::parse(url, EXAMPLE).ok()?;
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
        let refused = Address::parse("http://me:s3cret@ci/gate", EXAMPLE).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("are not supported"), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}
