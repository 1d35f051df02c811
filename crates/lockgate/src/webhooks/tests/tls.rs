//! Receivers that speak TLS, with certificates made for the test.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate authority that is not trusted yet, with its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Starts a server with a certificate for `name` that takes one request; returns its address,
    /// and the request, if it arrived.
    async fn receiver(&self, name: &str) -> (String, tokio::task::JoinHandle<Option<String>>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/gate", listener.local_addr().unwrap());
        let received = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.ok()?;
            Some(receive(stream, "200 OK").await)
        });
        (url, received)
    }
}

#[tokio::test]
async fn a_certificate_of_an_authority_in_the_file_is_trusted() {
    let authority = Authority::new("one");
    let webhooks = WebhookClient::new(Some(authority.file())).unwrap();
    let (url, received) = authority.receiver("127.0.0.1").await;
    let document = RawJson::new("{\"id\":\"a\"}");
    let answer = webhooks.query_gate(&url, &document, TIMEOUT).await.decision;
    assert_eq!(answer, GateDecision::Proceed);
    let request = received.await.unwrap().unwrap();
    assert!(request.starts_with("POST /gate HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn the_client_of_commands_talks_to_an_https_server() {
    let authority = Authority::new("one");
    let (url, received) = authority.receiver("127.0.0.1").await;
    let url = url.trim_end_matches("/gate");
    let tls = TlsConnector::new("webhook_ca", Some(authority.file())).unwrap();
    let client = client::Client::new(url).unwrap().with_tls(tls);
    let answer = client.send_json("/api/x", "{\"id\":\"a\"}".to_owned());
    assert_eq!(answer.await.unwrap(), serde_json::json!({}));
    let request = received.await.unwrap().unwrap();
    assert!(request.starts_with("POST /api/x HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn the_client_trusts_only_the_authorities_of_the_system() {
    let (url, received) = Authority::new("one").receiver("127.0.0.1").await;
    let client = client::Client::new(url.trim_end_matches("/gate")).unwrap();
    let refused = client.get("/api").await.unwrap_err();
    let refused = format!("{:#}", anyhow::Error::from(refused));
    assert!(refused.starts_with("TLS handshake with"), "{refused}");
    assert_eq!(received.await.unwrap(), None);
}

#[tokio::test]
async fn nothing_is_sent_to_a_receiver_without_a_valid_certificate() {
    let (trusted, stranger) = (Authority::new("one"), Authority::new("other"));
    let document = RawJson::new("{\"id\":\"a\"}");
    for (name, authority, expected) in [
        ("127.0.0.1", &stranger, "authorities in `webhook_ca`"),
        ("127.0.0.2", &trusted, "not valid for name"),
    ] {
        let webhooks = WebhookClient::new(Some(trusted.file())).unwrap();
        let (url, received) = authority.receiver(name).await;
        let DeliveryOutcome::Failed(why) = webhooks.notify(&url, &document, TIMEOUT).await else {
            panic!("{name}: it was delivered");
        };
        assert!(why.contains(expected), "{name}: {why}");
        assert_eq!(received.await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_trusted_without_a_restart() {
    let (before, after) = (Authority::new("one"), Authority::new("other"));
    let webhooks = WebhookClient::new(Some(before.file())).unwrap();
    std::fs::copy(after.file(), before.file()).unwrap();
    let (url, _received) = after.receiver("127.0.0.1").await;
    let document = RawJson::new("{\"id\":\"a\"}");
    assert_eq!(
        webhooks.notify(&url, &document, TIMEOUT).await,
        DeliveryOutcome::Delivered
    );
}

#[test]
fn a_file_without_a_certificate_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let refused = |file: PathBuf| format!("{:#}", WebhookClient::new(Some(file)).unwrap_err());
    let expected = format!(
        "`webhook_ca`: expected certificates as PEM in `{}`",
        file.display()
    );
    assert!(refused(file.clone()).starts_with(&expected));
    for text in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        std::fs::write(&file, text).unwrap();
        assert!(refused(file.clone()).starts_with(&expected), "{text}");
    }
}
