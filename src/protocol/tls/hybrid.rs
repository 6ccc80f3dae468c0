//! X25519MLKEM768, an exchange of keys that stays secret if one of its two halves is broken
//! (draft-ietf-tls-ecdhe-mlkem section 4), in the role of the server.

use ml_kem::array::Array;
use ml_kem::{EncapsulationKey, MlKem768, B32};
use rustls::crypto::ring::kx_group::X25519;
use rustls::crypto::{ActiveKeyExchange, CompletedKeyExchange, SecureRandom, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

use super::provider::Ring;

/// Bytes of a client's key for ML-KEM-768 (FIPS 203 section 8).
const ENCAPSULATION_KEY: usize = 1184;

/// The group.
pub static X25519_ML_KEM_768: &dyn SupportedKxGroup = &Hybrid;

#[derive(Debug)]
struct Hybrid;

impl SupportedKxGroup for Hybrid {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        // a client's part, which nobody plays here
        Err(Error::General("a server does not begin an exchange of keys".into()))
    }

    /// Of the parts of a client, and of those of the answer, that of ML-KEM comes first.
    fn start_and_complete(&self, peer_pub_key: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let invalid = || Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
        let (key, point) = peer_pub_key.split_at_checked(ENCAPSULATION_KEY).ok_or_else(invalid)?;
        let key = Array::try_from(key).map_err(|_| invalid())?;
        let key = EncapsulationKey::<MlKem768>::new(&key).map_err(|_| invalid())?;
        let mut random = B32::default();
        Ring.fill(&mut random)?;
        let (ciphertext, secret) = key.encapsulate_deterministic(&random);
        let classical = X25519.start_and_complete(point)?;
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [&ciphertext[..], &classical.pub_key].concat(),
            secret: SharedSecret::from([&secret[..], classical.secret.secret_bytes()].concat()),
        })
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}
