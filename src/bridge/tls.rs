//! What JavaScript needs to have TLS terminated by the workers, and to go on with a session that is none of theirs.

use std::mem::MaybeUninit;
use std::sync::Arc;

use napi::bindgen_prelude::{Buffer, BufferSlice};
use napi::{Error, Result};
use napi_derive::napi;

use super::engine::milliseconds;
use crate::os::fd;
use crate::panics::panic_point;
use crate::protocol::tls::hello::{self, Reading};
use crate::protocol::tls::terms::{Settings, Terms};
use crate::worker::event::security_word;
use crate::worker::hello::Security;
use crate::worker::wire::Layer;

/// What the application has told its `https.Server`.
#[napi(object)]
pub struct TlsSettings {
    /// The private key: PKCS #8, DER.
    pub key: Buffer,
    /// The certificate, and those of who has issued it, alike.
    pub chain: Vec<Buffer>,
    /// Whether it speaks version 1.2 of the protocol.
    pub has12: bool,
    /// Whether it speaks version 1.3.
    pub has13: bool,
    /// Its cipher suites, best first, by their numbers.
    pub ciphers: Vec<u32>,
    /// Whether it prefers X25519MLKEM768 for the exchange of keys.
    pub prefers_hybrid: bool,
    /// Milliseconds that a handshake may take.
    pub handshake_timeout: f64,
}

/// On what terms workers terminate TLS for a server.
#[napi]
pub struct TlsTerms {
    security: Arc<Security>,
}

#[napi]
impl TlsTerms {
    /// Makes them of a server's settings.
    ///
    /// # Errors
    /// What keeps the workers from terminating TLS, in words.
    #[napi(constructor, catch_unwind)]
    pub fn new(settings: TlsSettings) -> Result<TlsTerms> {
        let terms = Terms::new(&Settings {
            key: &settings.key,
            chain: settings.chain.iter().map(|it| &it[..]).collect(),
            versions: (settings.has12, settings.has13),
            ciphers: settings.ciphers.iter().filter_map(|&it| u16::try_from(it).ok()).collect(),
            prefers_hybrid: settings.prefers_hybrid,
        })
        .map_err(Error::from_reason)?;
        let patience = milliseconds(settings.handshake_timeout);
        Ok(TlsTerms { security: Arc::new(Security { terms, patience }) })
    }

    pub(super) fn security(&self) -> Arc<Security> {
        self.security.clone()
    }

    /// Why the client at a descriptor is Node's, as far as its first bytes are there; nothing if it may be a worker's.
    #[napi(catch_unwind)]
    pub fn look_at(&self, descriptor: i32) -> Option<&'static str> {
        panic_point!("lookAtHello");
        let mut buffer = [MaybeUninit::uninit(); 4096];
        match fd::peek(descriptor, &mut buffer).map(hello::read) {
            Ok(Reading::Hello(hello)) => self.security.terms.admit(&hello).err(),
            Ok(Reading::Other) => Some("of what it begins with"),
            Ok(Reading::Incomplete) => None,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(_) => Some("it has failed"),
        }
    }
}

/// A TLS session that a worker has begun, and that JavaScript goes on with.
#[napi]
pub struct TlsSession {
    layer: Option<Box<Layer>>,
    out: Vec<u8>,
    plain: Vec<u8>,
}

/// Of what `receive` returns: what was said is to be had by `takePlain`.
pub const MORE: u32 = 1 << 31;

/// Of what `receive` returns: `takeAnswer` has something to be sent.
pub const ANSWER: u32 = 1 << 30;

/// Of what `receive` returns: nothing more will come.
pub const ENDED: u32 = 1 << 29;

impl TlsSession {
    pub(super) fn new(layer: Box<Layer>) -> TlsSession {
        TlsSession { layer: Some(layer), out: Vec::new(), plain: Vec::new() }
    }

    /// Takes it, for a worker to go on with. `None`: that is done.
    pub(super) fn take(&mut self) -> Option<Box<Layer>> {
        self.layer.take()
    }

    fn take_out(&mut self) -> Option<Buffer> {
        let out = std::mem::take(&mut self.out);
        (!out.is_empty()).then(|| out.into())
    }
}

#[napi]
impl TlsSession {
    /// What is known of it, in a word: see `security_word`.
    #[napi(getter)]
    pub fn word(&self) -> u32 {
        self.layer.as_ref().and_then(|it| it.facts()).map_or(0, |facts| security_word(&facts))
    }

    /// The host that the client wants to reach, or an empty text.
    #[napi(getter)]
    pub fn host(&self) -> String {
        let facts = self.layer.as_ref().and_then(|it| it.facts());
        facts.and_then(|it| it.server_name).map(String::from).unwrap_or_default()
    }

    /// Whether a worker could go on with it.
    #[napi(getter)]
    pub fn is_clear(&self) -> bool {
        self.out.is_empty() && self.plain.is_empty() && self.layer.as_ref().is_some_and(|it| it.is_clear())
    }

    /// Bytes have come. What they say, with what was there before, takes their place; returns how much that is, in the lowest
    /// bits, and what else is to be done: `MORE`, `ANSWER`, `ENDED`.
    ///
    /// # Errors
    /// When they cannot be understood.
    #[napi(catch_unwind)]
    pub fn receive(&mut self, mut bytes: BufferSlice<'_>) -> Result<u32> {
        panic_point!("sessionReceive");
        let layer = self.layer.as_mut().ok_or_else(|| Error::from_reason("the session is a worker's"))?;
        let plain = layer.receive(&mut bytes, &mut self.out);
        let plain = plain.ok_or_else(|| Error::from_reason("decryption failed or bad record mac"))?;
        let is_ended = layer.is_ended();
        let length = match bytes.get_mut(..plain.len()) {
            Some(place) => {
                place.copy_from_slice(&plain);
                plain.len() as u32
            }
            None => {
                self.plain = plain;
                MORE
            }
        };
        let answer = if self.out.is_empty() { 0 } else { ANSWER };
        Ok(length | answer | if is_ended { ENDED } else { 0 })
    }

    /// What `receive` had no place for: all that was said.
    #[napi(catch_unwind)]
    pub fn take_plain(&mut self) -> Buffer {
        std::mem::take(&mut self.plain).into()
    }

    /// What is to be sent because of what has come.
    #[napi(catch_unwind)]
    pub fn take_answer(&mut self) -> Option<Buffer> {
        self.take_out()
    }

    /// Encrypts bytes.
    ///
    /// # Errors
    /// When nothing can be said any more.
    #[napi(catch_unwind)]
    pub fn send(&mut self, bytes: BufferSlice<'_>) -> Result<Option<Buffer>> {
        panic_point!("sessionSend");
        self.encrypt(&bytes)?;
        Ok(self.take_out())
    }

    /// Encrypts bytes, and hands them to the kernel. Returns what there was no room for.
    ///
    /// # Errors
    /// As above, or what the kernel reports.
    #[napi(catch_unwind)]
    pub fn write(&mut self, descriptor: i32, bytes: BufferSlice<'_>) -> Result<Option<Buffer>> {
        panic_point!("sessionWrite");
        self.encrypt(&bytes)?;
        // what is left goes by Node's way, and so do errors
        if let Ok(count) = fd::write(descriptor, &self.out) {
            self.out.drain(..count);
        }
        Ok(self.take_out())
    }

    /// What says that nothing more will be said.
    #[napi(catch_unwind)]
    pub fn finish(&mut self) -> Option<Buffer> {
        panic_point!("sessionFinish");
        if let Some(layer) = &mut self.layer {
            layer.finish(&mut self.out);
        }
        self.take_out()
    }

    fn encrypt(&mut self, bytes: &[u8]) -> Result<()> {
        let is_sent = self.layer.as_mut().is_some_and(|layer| layer.send(bytes, &mut self.out));
        if is_sent {
            Ok(())
        } else {
            Err(Error::from_reason("the TLS session is over"))
        }
    }
}
