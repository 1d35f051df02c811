//! TLS of webhooks: whom this server believes.
//!
//! Decision: the roots are those of the system, and beside them those of a file that the user names,
//! because companies sign with authorities of their own. Both are read anew for each call: calls are
//! minutes apart, and a certificate that was replaced needs no restart. The provider of cryptography
//! is named here and is no default of the process, so that a second one could do no harm.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The authorities that certificates of webhooks may be signed by.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsConnector {
    /// A file with certificates beside those of the system.
    file: Option<PathBuf>,
}

impl TlsConnector {
    /// Trust in the system, and in the authorities in a file.
    ///
    /// # Errors
    /// When the file has no certificate that can be read.
    pub(super) fn new(file: Option<PathBuf>) -> Result<Self> {
        let connector = Self { file };
        connector.add_file(&mut RootCertStore::empty())?;
        Ok(connector)
    }

    /// Speaks TLS with a server that can prove its name.
    ///
    /// # Errors
    /// When it cannot, or nobody is trusted at all.
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
        // One that cannot be read is missed by whoever needs it.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        self.add_file(&mut roots)?;
        if roots.is_empty() {
            bail!("this system has no authorities to trust; `webhook_ca` names a file of them");
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

/// Why there is no TLS, and what would help.
fn explain_tls_error(error: io::Error) -> anyhow::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let unknown = CertificateError::UnknownIssuer;
    match cause == Some(&rustls::Error::InvalidCertificate(unknown)) {
        true => anyhow::Error::new(error)
            .context("`webhook_ca` names a file of further authorities to trust"),
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
        false => bail!("there is none"),
    }
}
