//! TLS, and the certificate authorities that this server trusts.
//!
//! Decision: the roots are those of the system and those of a file that the user names, because
//! companies sign with their own authorities. Both are read again for each call, so that a replaced
//! certificate needs no restart. The cryptography provider is set here, not
//! as the default of the process, so that a second provider cannot conflict with it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::error::Cause;
use crate::{Error, Result};

/// Connector that trusts the authorities of the system and of a file.
#[derive(Clone, Debug, Default)]
pub struct TlsConnector {
    /// A setting, and the file it names with certificates in addition to those of the system.
    file: Option<(&'static str, PathBuf)>,
    /// The setting that may name such a file; `None` when there is none.
    setting: Option<&'static str>,
}

impl TlsConnector {
    /// Creates a connector with the file that a setting names, and checks the file.
    ///
    /// # Errors
    /// When the file has no readable certificate.
    pub fn new(setting: &'static str, file: Option<PathBuf>) -> Result<Self> {
        let connector = Self {
            file: file.map(|file| (setting, file)),
            setting: Some(setting),
        };
        connector.add_file(&mut RootCertStore::empty())?;
        Ok(connector)
    }

    /// Starts TLS with a server and verifies its certificate.
    ///
    /// # Errors
    /// When the certificate is not trusted, or no authority is.
    pub(crate) async fn connect(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> std::result::Result<TlsStream<TcpStream>, Cause> {
        let connector = self.clone();
        let config = tokio::task::spawn_blocking(move || connector.config()).await??;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let connected = connector.connect(name, stream).await;
        connected.map_err(|error| self.explain(error))
    }

    fn config(&self) -> std::result::Result<ClientConfig, Cause> {
        let mut roots = RootCertStore::empty();
        // Unreadable certificates are skipped; a call that needs one of them fails.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        self.add_file(&mut roots)?;
        if roots.is_empty() {
            let hint = match self.setting {
                Some(setting) => format!("name a file in `{setting}`"),
                None => "install those that signed the server's certificate".to_owned(),
            };
            return Err(Error::NoAuthorities(hint).into());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(config.with_no_client_auth())
    }

    fn add_file(&self, roots: &mut RootCertStore) -> Result<()> {
        let Some((setting, file)) = &self.file else {
            return Ok(());
        };
        read(file, roots).map_err(|source| Error::Certificates {
            setting,
            file: file.clone(),
            source,
        })
    }

    /// Explains a failed handshake, with a hint for unknown authorities.
    fn explain(&self, error: io::Error) -> Cause {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        if cause != Some(&unknown) {
            return error.into();
        }
        let hint = match self.setting {
            Some(setting) => {
                format!("name a file with further trusted authorities in `{setting}`")
            }
            None => "add the server's certificate authority to those of the system".to_owned(),
        };
        let explained = Error::UnknownAuthority {
            hint,
            source: error,
        };
        explained.into()
    }
}

fn read(file: &Path, roots: &mut RootCertStore) -> std::result::Result<(), Cause> {
    let n_before = roots.len();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    match roots.len() > n_before {
        true => Ok(()),
        false => Err("the file has no certificates".into()),
    }
}
