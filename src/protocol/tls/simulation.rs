//! For tests: the terms of a server, and clients whose bytes a test carries.

use std::io::{Read, Write};
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{EcdsaKeyPair, ECDSA_P256_SHA256_FIXED_SIGNING};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};

use super::hello::{self, Hello, Reading};
use super::terms::{Settings, Terms};

/// The terms of a server with a new key, as `change` has them.
pub fn terms(change: impl FnOnce(&mut Settings<'_>)) -> Result<Terms, String> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let mut settings = Settings {
        key: key.as_ref(),
        chain: vec![b"nobody reads this"],
        versions: (true, true),
        ciphers: vec![0x1302, 0x1303, 0x1301, 0xc02f, 0xc02b, 0xc030, 0xc02c],
        prefers_hybrid: true,
    };
    change(&mut settings);
    Terms::new(&settings)
}

/// Whether a client trusts whomever it meets, or nobody.
#[derive(Debug)]
struct Trust(bool);

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// A client.
pub struct Client(pub ClientConnection);

impl Client {
    /// One that speaks version 1.3, or 1.2 only.
    pub fn new(is_1_3: bool, trusts: bool) -> Client {
        let config = ClientConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[if is_1_3 { &TLS13 } else { &TLS12 }])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trust(trusts)))
            .with_no_client_auth();
        let name = ServerName::try_from("chat.example").unwrap();
        Client(ClientConnection::new(Arc::new(config), name).unwrap())
    }

    /// The bytes that it has to send.
    pub fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// What it offers, which it has to send first, and the bytes of that.
    pub fn hello(&mut self) -> (Hello, Vec<u8>) {
        let bytes = self.bytes();
        let Reading::Hello(hello) = hello::read(&bytes) else { panic!("a hello") };
        (*hello, bytes)
    }

    /// Has it receive bytes. Returns what they say.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).unwrap();
            if self.0.process_new_packets().is_err() {
                break;
            }
            let _ = self.0.reader().read_to_end(&mut plain);
        }
        plain
    }

    /// Has it say something. Returns the bytes that it has to send.
    pub fn say(&mut self, plain: &[u8]) -> Vec<u8> {
        self.0.set_buffer_limit(None);
        self.0.writer().write_all(plain).unwrap();
        self.bytes()
    }
}
