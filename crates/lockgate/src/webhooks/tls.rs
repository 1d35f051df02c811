//! TLS of webhooks, and the certificate authorities that this server trusts.
//!
//! Decision: the roots are those of the system and those of a file that the user names, because
//! companies sign with their own authorities. Both are read again for each call: calls are minutes
//! apart, and a replaced certificate needs no restart. The cryptography provider is set here, not
//! as the default of the process, so that a second provider cannot conflict with it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Connector that trusts the authorities of the system and of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsConnector {
    /// A file with certificates in addition to those of the system.
    file: Option<PathBuf>,
}

impl TlsConnector {
    /// Creates a connector, and checks the file.
    ///
    /// # Errors
    /// When the file has no readable certificate.
    pub(super) fn new(file: Option<PathBuf>) -> Result<Self> {
        let connector = Self { file };
        connector.add_file(&mut RootCertStore::empty())?;
        Ok(connector)
    }

    /// Starts TLS with a server and verifies its certificate.
    ///
    /// # Errors
    /// When the certificate is not trusted, or no authority is.
    pub(super) async fn connect(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>> {
        let connector = self.clone();
        let client = tokio::task::spawn_blocking(move || connector.client()).await;
        let connector =
            tokio_rustls::TlsConnector::from(Arc::new(client.context("reading certificates")??));
        connector
            .connect(name, stream)
            .await
            .map_err(explain_tls_error)
    }

    fn client(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        // Unreadable certificates are skipped; a call that needs one of them fails.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        self.add_file(&mut roots)?;
        if roots.is_empty() {
            bail!("this system has no certificate authorities; name a file in `webhook_ca`");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(client.with_no_client_auth())
    }

    fn add_file(&self, roots: &mut RootCertStore) -> Result<()> {
        match &self.file {
            Some(file) => read(file, roots).with_context(|| {
                let file = file.display();
                format!("`webhook_ca`: expected certificates as PEM in `{file}`")
            }),
            None => Ok(()),
        }
    }
}

/// Explains a failed handshake, with a hint for unknown authorities.
fn explain_tls_error(error: io::Error) -> anyhow::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let unknown = CertificateError::UnknownIssuer;
    match cause == Some(&rustls::Error::InvalidCertificate(unknown)) {
        true => anyhow::Error::new(error)
            .context("name a file with further trusted authorities in `webhook_ca`"),
        false => error.into(),
    }
}

fn read(file: &Path, roots: &mut RootCertStore) -> Result<()> {
    let n_before = roots.len();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    match roots.len() > n_before {
        true => Ok(()),
        false => bail!("the file has no certificates"),
    }
}
