//! The cryptography of TLS: ring's, as far as a server needs it that asks for no certificates. What rustls would take by
//! default can check them as well, and would be half as large again.

use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, SupportedKxGroup, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{Error, SupportedCipherSuite};

/// ring.
#[derive(Debug)]
pub struct Ring;

impl SecureRandom for Ring {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemRandom::new().fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Ring {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        any_supported_type(&key)
    }
}

/// What a server with these cipher suites and groups works with.
pub fn of(
    cipher_suites: Vec<SupportedCipherSuite>,
    kx_groups: Vec<&'static dyn SupportedKxGroup>,
) -> CryptoProvider {
    let signature_verification_algorithms = WebPkiSupportedAlgorithms { all: &[], mapping: &[] };
    CryptoProvider {
        cipher_suites,
        kx_groups,
        signature_verification_algorithms,
        secure_random: &Ring,
        key_provider: &Ring,
    }
}
