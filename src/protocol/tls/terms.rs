//! On what terms TLS is terminated here: those on which Node would do it, for clients with whom it comes to the same.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring::{sign, Ticketer, ALL_CIPHER_SUITES, ALL_KX_GROUPS};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite, Tls12CipherSuite,
};

use super::hello::Hello;
use super::hybrid::X25519_ML_KEM_768;
use super::provider;

const VERSION_1_2: u16 = 0x0303;
const VERSION_1_3: u16 = 0x0304;

/// X25519MLKEM768.
const HYBRID: u16 = 0x11ec;

/// The groups that OpenSSL takes unless it is told otherwise, best first: X25519, P-256, X448, P-521, P-384, and those of
/// finite fields.
const OF_OPENSSL: [u16; 10] = [29, 23, 30, 25, 24, 256, 257, 258, 259, 260];

/// The sets of groups that OpenSSL likes alike from 3.5 on, best first: X25519MLKEM768; X25519, P-256; X448, P-384, P-521.
const LIKED_ALIKE: [&[u16]; 3] = [&[HYBRID], &[29, 23], &[30, 24, 25]];

/// What servers are asked for here (RFC 7301 section 6).
const HTTP: &[u8] = b"http/1.1";

/// Signature schemes of RSA in the order of OpenSSL's preference.
const RSA_SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

/// A key that signs by the scheme which OpenSSL would choose; other kinds than RSA have one only.
#[derive(Debug)]
struct Key(Arc<dyn SigningKey>);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        if self.algorithm() != SignatureAlgorithm::RSA {
            return self.0.choose_scheme(offered);
        }
        let scheme = RSA_SCHEMES.into_iter().find(|it| offered.contains(it))?;
        self.0.choose_scheme(&[scheme])
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

/// What the application has told its server.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The private key, in PKCS #8.
    pub key: &'a [u8],
    /// The certificate, and those of who has issued it, up to one that clients know; X.509.
    pub chain: Vec<&'a [u8]>,
    /// Versions of the protocol that it speaks, of 1.2 and 1.3.
    pub versions: (bool, bool),
    /// Its cipher suites, best first.
    pub ciphers: Vec<u16>,
    /// Whether, where a client has sent a key for X25519MLKEM768, it would rather have that than any other.
    pub prefers_hybrid: bool,
}

/// The terms of a server.
pub struct Terms {
    config: Arc<ServerConfig>,
    key: Arc<dyn SigningKey>,
    /// Those suites of each version than which Node would choose no other.
    ciphers_1_2: Vec<u16>,
    ciphers_1_3: Vec<u16>,
    groups: Vec<u16>,
    prefers_hybrid: bool,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("1.2", &self.ciphers_1_2)
            .field("1.3", &self.ciphers_1_3)
            .finish_non_exhaustive()
    }
}

impl Terms {
    /// The terms that a server's settings lead to.
    ///
    /// # Errors
    /// What keeps TLS from being terminated here, in words.
    pub fn new(settings: &Settings<'_>) -> Result<Terms, String> {
        let words = |error: &dyn fmt::Display| error.to_string();
        let key = PrivateKeyDer::try_from(settings.key).map_err(|it| words(&it))?;
        let signing_key = Arc::new(Key(sign::any_supported_type(&key).map_err(|it| words(&it))?));
        let suite =
            |number: &u16| ALL_CIPHER_SUITES.iter().find(|it| it.suite() == CipherSuite::from(*number));
        // a suite that is not to be had here ends what is known of Node's choice
        let of_version = |version| {
            let candidates = settings.ciphers.iter().filter(move |it| is_of(**it, version));
            let usable = candidates
                .map_while(suite)
                .copied()
                .filter(|it| it.tls13().is_some() || suits(it, signing_key.algorithm()));
            usable.collect::<Vec<SupportedCipherSuite>>()
        };
        let ciphers_1_2 = if settings.versions.0 { of_version(VERSION_1_2) } else { Vec::new() };
        let ciphers_1_3 = if settings.versions.1 { of_version(VERSION_1_3) } else { Vec::new() };
        let numbers =
            |suites: &[SupportedCipherSuite]| suites.iter().map(|it| u16::from(it.suite())).collect();
        let versions = match (ciphers_1_2.is_empty(), ciphers_1_3.is_empty()) {
            (false, false) => vec![&TLS13, &TLS12],
            (true, false) => vec![&TLS13],
            (false, true) => vec![&TLS12],
            (true, true) => return Err("there is no cipher suite for it here".into()),
        };
        let (numbers_1_2, numbers_1_3) = (numbers(&ciphers_1_2), numbers(&ciphers_1_3));
        let hybrid = settings.prefers_hybrid.then_some(X25519_ML_KEM_768);
        let kx_groups: Vec<_> = hybrid.into_iter().chain(ALL_KX_GROUPS.iter().copied()).collect();
        let groups = kx_groups.iter().map(|it| u16::from(it.name())).collect();
        let provider = provider::of([ciphers_1_3, ciphers_1_2].concat(), kx_groups);
        let chain = settings.chain.iter().map(|it| CertificateDer::from(it.to_vec())).collect();
        // that the two belong together, Node has seen to
        let certified = CertifiedKey::new(chain, signing_key.clone());
        let mut config = ServerConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&versions)
            .map_err(|it| words(&it))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.ignore_client_order = true;
        config.alpn_protocols = vec![HTTP.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(|it| words(&it))?;
        Ok(Terms {
            config: Arc::new(config),
            key: signing_key,
            ciphers_1_2: numbers_1_2,
            ciphers_1_3: numbers_1_3,
            groups,
            prefers_hybrid: settings.prefers_hybrid,
        })
    }

    /// What a session needs of them.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Whether a client can be spoken to here, and gets what it would get of Node.
    ///
    /// # Errors
    /// Why it is Node's, in words.
    pub fn admit(&self, hello: &Hello) -> Result<(), &'static str> {
        let (ciphers, is_1_3) = if hello.versions.contains(&VERSION_1_3) && !self.ciphers_1_3.is_empty() {
            (&self.ciphers_1_3, true)
        } else if hello.versions.contains(&VERSION_1_2) && !self.ciphers_1_2.is_empty() {
            (&self.ciphers_1_2, false)
        } else {
            return Err("of the version of its protocol");
        };
        if !ciphers.iter().any(|it| hello.ciphers.contains(it)) {
            return Err("of its cipher suites");
        }
        if !self.agrees_on_group(hello, is_1_3) {
            return Err("of its groups");
        }
        let schemes = hello.schemes.iter().filter(|it| !is_1_3 || !is_old(**it));
        let schemes: Vec<_> = schemes.map(|&it| SignatureScheme::from(it)).collect();
        if self.key.choose_scheme(&schemes).is_none() {
            return Err("of its signature schemes");
        }
        match &hello.protocols {
            Some(protocols) if !protocols.iter().any(|it| it == HTTP) => {
                Err("of the protocol that it wants to speak")
            }
            _ => Ok(()),
        }
    }
}

impl Terms {
    /// Whether the keys are exchanged as they would be with Node.
    fn agrees_on_group(&self, hello: &Hello, is_1_3: bool) -> bool {
        let is_ours = |group: &&u16| self.groups.contains(group) && (is_1_3 || **group != HYBRID);
        // rustls takes what the client likes best
        let Some(choice) = hello.groups.iter().find(is_ours) else { return false };
        if is_1_3 && self.prefers_hybrid {
            return liked_best(hello) == Some(*choice);
        }
        let share = hello.shares.iter().find(|it| OF_OPENSSL.contains(it)).filter(|_| is_1_3);
        // OpenSSL takes the first of a client's keys that it knows, or else what the server likes best
        let theirs = share.or_else(|| OF_OPENSSL.iter().find(|it| hello.groups.contains(it)));
        theirs == Some(choice)
    }
}

/// The group that OpenSSL chooses from 3.5 on: one of the best set of which the client has any, and of which it has sent a key,
/// if it has sent any. None: that is not known, or it would ask for another key.
fn liked_best(hello: &Hello) -> Option<u16> {
    let liked = LIKED_ALIKE.iter().find(|set| set.iter().any(|group| hello.groups.contains(group)))?;
    if !hello.shares.iter().any(|group| OF_OPENSSL.contains(group) || *group == HYBRID) {
        return liked.iter().find(|group| hello.groups.contains(group)).copied();
    }
    let by_server = liked.iter().find(|group| hello.shares.contains(group));
    let by_client = hello.shares.iter().find(|group| liked.contains(group));
    by_server.filter(|_| by_server == by_client).copied()
}

/// Whether a suite is one of a version of the protocol.
fn is_of(number: u16, version: u16) -> bool {
    (number & 0xff00 == 0x1300) == (version == VERSION_1_3)
}

/// Whether a suite takes keys of a kind.
fn suits(suite: &SupportedCipherSuite, algorithm: SignatureAlgorithm) -> bool {
    let SupportedCipherSuite::Tls12(Tls12CipherSuite { sign, .. }) = suite else { return true };
    sign.iter().any(|scheme| {
        let kind = match scheme {
            SignatureScheme::ED25519 => SignatureAlgorithm::ED25519,
            SignatureScheme::RSA_PSS_SHA256 | SignatureScheme::RSA_PKCS1_SHA256 => SignatureAlgorithm::RSA,
            SignatureScheme::ECDSA_NISTP256_SHA256 => SignatureAlgorithm::ECDSA,
            _ => return false,
        };
        kind == algorithm
    })
}

/// Whether a signature scheme is none of version 1.3 (RFC 8446 section 4.2.3): PKCS #1, SHA-1, DSA.
fn is_old(scheme: u16) -> bool {
    matches!(scheme & 0xff, 1 | 2) && scheme >> 8 <= 6 || scheme >> 8 < 4
}

#[cfg(test)]
mod tests {
    use super::super::hello::tests::usual;
    use super::super::simulation::terms;
    use super::*;

    #[test]
    fn clients_that_get_the_same_here_are_admitted() {
        let terms = terms(|_| {}).unwrap();
        for change in [
            (|_| {}) as fn(&mut Hello),
            |it| it.protocols = None,
            |it| it.versions = vec![0x0303],
            |it| it.versions = vec![0x0a0a, 0x0304, 0x0303],
            |it| it.ciphers = vec![0xffff, 0x1301],
            |it| it.shares = vec![0x1a1a, 29],
            |it| it.shares = vec![],
            |it| (it.groups, it.shares) = (vec![24, 25], vec![24]),
            |it| (it.groups, it.shares) = (vec![23, 29], vec![23]),
            |it| (it.groups, it.shares) = (vec![0x11ec, 29], vec![0x11ec, 29]),
            |it| it.schemes = vec![0x0804, 0x0403],
        ] {
            let mut hello = usual();
            change(&mut hello);
            assert_eq!(terms.admit(&hello), Ok(()), "{hello:?}");
        }
    }

    #[test]
    fn what_openssl_does_not_know_is_passed_over() {
        let terms = terms(|it| it.prefers_hybrid = false).unwrap();
        for change in [(|it| it.shares = vec![0x11ec, 29]) as fn(&mut Hello), |it| {
            (it.groups, it.shares) = (vec![0x11ec, 29], vec![0x11ec, 29])
        }] {
            let mut hello = usual();
            change(&mut hello);
            assert_eq!(terms.admit(&hello), Ok(()), "{hello:?}");
        }
    }

    #[test]
    fn before_3_5_openssl_takes_the_first_key_that_it_knows() {
        let terms = terms(|it| it.prefers_hybrid = false).unwrap();
        for (is_admitted, groups, shares) in [
            (true, vec![24, 29], vec![24]),
            (true, vec![29, 23, 30], vec![29, 30]),
            (false, vec![29, 23, 30], vec![30, 29]),
            (false, vec![29, 23, 30], vec![0x1a1a, 30, 29]),
            (false, vec![24, 25], vec![]),
        ] {
            let hello = Hello { groups, shares, ..usual() };
            assert_eq!(terms.admit(&hello).is_ok(), is_admitted, "{hello:?}");
        }
    }

    #[test]
    fn others_are_not() {
        let terms = terms(|_| {}).unwrap();
        for (why, change) in [
            ("of the version of its protocol", (|it| it.versions = vec![0x0302]) as fn(&mut Hello)),
            ("of its cipher suites", |it| it.ciphers = vec![0xc02b]),
            ("of its cipher suites", |it| (it.versions, it.ciphers) = (vec![0x0303], vec![0x1301])),
            // for RSA
            ("of its cipher suites", |it| (it.versions, it.ciphers) = (vec![0x0303], vec![0xc02f])),
            ("of its groups", |it| (it.groups, it.shares) = (vec![30], vec![])),
            // OpenSSL asks once more for a key of a group that it likes better
            ("of its groups", |it| (it.groups, it.shares) = (vec![24, 29], vec![24])),
            ("of its groups", |it| (it.groups, it.shares) = (vec![24, 23], vec![24])),
            // which of two it likes alike
            ("of its groups", |it| (it.groups, it.shares) = (vec![23, 29], vec![23, 29])),
            // rustls would ask once more
            ("of its groups", |it| it.shares = vec![24]),
            ("of its groups", |it| it.groups = vec![0x11ec, 29, 23]),
            ("of its groups", |it| (it.versions, it.groups) = (vec![0x0303], vec![24, 29])),
            ("of its signature schemes", |it| it.schemes = vec![0x0804, 0x0603]),
            ("of its signature schemes", |it| it.schemes = vec![]),
            ("of the protocol that it wants to speak", |it| it.protocols = Some(vec![b"h2".to_vec()])),
        ] {
            let mut hello = usual();
            change(&mut hello);
            assert_eq!(terms.admit(&hello), Err(why), "{hello:?}");
        }
    }

    #[test]
    fn a_suite_that_is_not_to_be_had_ends_what_is_known() {
        let terms = terms(|it| it.ciphers = vec![0x1301, 0xc02c, 0xffff, 0xc02b, 0x1302]).unwrap();
        assert_eq!(terms.ciphers_1_2, [0xc02c]);
        assert_eq!(terms.ciphers_1_3, [0x1301, 0x1302]);
    }

    #[test]
    fn settings_that_lead_to_nothing_are_refused() {
        for change in [
            (|it| it.versions = (false, false)) as fn(&mut Settings<'_>),
            |it| it.ciphers = vec![],
            |it| (it.versions, it.ciphers) = ((true, false), vec![0x1301]),
            |it| it.key = b"no key",
        ] {
            assert!(terms(change).is_err());
        }
    }
}
