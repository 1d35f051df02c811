//! The address of Redis, whose password nothing shows.
//!
//! Decision: the text is parsed once, and `Display` and `Debug` write `***` for the password, so
//! that no log, error or listing of settings has to remember to.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use redis::{Client, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The schemes of an address: plain TCP, and TLS.
const SCHEMES: [&str; 2] = ["redis://", "rediss://"];

/// The error for an address, or a file of certificates, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The text is no address of Redis.
    #[error("expected an address such as `redis://redis.example:6379/0` or `rediss://...`: {0}")]
    Invalid(String),
    /// The file cannot be read, or has no certificates.
    #[error("cannot read certificates from `{}`: {reason}", file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
}

/// A checked address of Redis.
#[derive(Clone)]
pub struct RedisAddress {
    redacted: String,
    info: ConnectionInfo,
}

impl RedisAddress {
    /// Parses an address.
    ///
    /// # Errors
    /// When it is not `redis://` or `rediss://` with a host.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            let reason = "it starts with neither `redis://` nor `rediss://`";
            return Err(AddressError::Invalid(reason.to_owned()));
        }
        let info = text.into_connection_info();
        let info = info.map_err(|error| AddressError::Invalid(error.to_string()))?;
        Ok(Self {
            redacted: redacted(text),
            info,
        })
    }

    /// Creates a client. With a file, TLS trusts the authorities in it instead of those of the
    /// system.
    pub(crate) fn client(&self, authorities: Option<&Path>) -> Result<Client, AddressError> {
        let invalid = |error: redis::RedisError| AddressError::Invalid(error.to_string());
        let Some(file) = authorities else {
            return Client::open(self.info.clone()).map_err(invalid);
        };
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: Some(certificates(file)?),
        };
        Client::build_with_tls(self.info.clone(), certificates).map_err(invalid)
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted)
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Replaces the password of an address: everything between the first colon after the scheme and the
/// last at sign.
fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return "***".to_owned();
    };
    let Some((user, host)) = rest.rsplit_once('@') else {
        return text.to_owned();
    };
    let name = user.split_once(':').map_or(user, |(name, _)| name);
    format!("{scheme}://{name}:***@{host}")
}

/// Reads a file of certificates, and checks that there are any.
fn certificates(file: &Path) -> Result<Vec<u8>, AddressError> {
    let unreadable = |reason: String| AddressError::Certificates {
        file: file.to_owned(),
        reason,
    };
    let text = fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    let mut certificates = CertificateDer::pem_slice_iter(&text);
    match certificates.next() {
        Some(Ok(_)) => Ok(text),
        Some(Err(error)) => Err(unreadable(error.to_string())),
        None => Err(unreadable("the file has no certificates".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        for (text, expected) in [
            ("redis://localhost", "redis://localhost"),
            ("redis://:secret@host:6379/2", "redis://:***@host:6379/2"),
            ("rediss://me:se:cr@et@host", "rediss://me:***@host"),
        ] {
            let address = RedisAddress {
                redacted: redacted(text),
                info: "redis://localhost".into_connection_info().unwrap(),
            };
            assert_eq!(address.to_string(), expected);
            assert_eq!(format!("{address:?}"), expected);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in [
            "",
            "host:6379",
            "http://me:secret@host",
            "redis://me:secret@",
            "redis://a:b:c",
        ] {
            let error = RedisAddress::parse(text).unwrap_err().to_string();
            assert!(error.contains("redis://redis.example:6379/0"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let address = RedisAddress::parse("rediss://localhost").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = address.client(Some(file.path())).unwrap_err().to_string();
        assert!(error.contains("the file has no certificates"), "{error}");
        let error = address.client(Some(Path::new("/none"))).unwrap_err();
        assert!(error.to_string().contains("`/none`"), "{error}");
    }
}
