//! A TLS session with a client, in the role of the server: encrypted bytes go in and out on the one side, plain ones on the
//! other. rustls keeps nothing that waits; what little does is kept here.

use std::fmt;
use std::mem;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus};
use rustls::{Error, HandshakeKind, PeerMisbehaved, ProtocolVersion};

use super::hello::Hello;
use super::terms::Terms;

/// Bytes that a record of so many plain ones takes more than these (RFC 8446 section 5.2), or less than that.
const RECORD: usize = 64;

/// Plain bytes of a record at the most (RFC 8446 section 5.1).
const LARGEST_RECORD: usize = 16 << 10;

/// The head of a record: type, version, length.
const RECORD_HEAD: usize = 5;

/// The version that records have, once one is agreed on (RFC 8446 section 5.1).
const RECORD_VERSION: [u8; 2] = [3, 3];

/// Type of the records that carry handshake messages (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// Why a session cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The client says so, with this description (RFC 8446 section 6).
    Alert(u8),
    /// What has come cannot be decrypted.
    Decrypt,
    /// The client does what it must not.
    Protocol,
    /// A record is of another version of the protocol, or none.
    Version,
    /// A record is of a kind that it cannot be of.
    Kind,
    /// Nothing comes of the client's key.
    Exchange,
}

/// What is known of a session that is established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The cipher suite.
    pub cipher: u16,
    /// Whether it is of version 1.3.
    pub is_1_3: bool,
    /// Whether it goes on with what an earlier one has agreed on.
    pub is_reused: bool,
    /// Whether client and server have agreed on the protocol inside.
    pub has_protocol: bool,
    /// The host that the client wants to reach, if it has said so.
    pub server_name: Option<Box<str>>,
}

/// A session.
pub struct Session {
    connection: Box<UnbufferedServerConnection>,
    /// The beginning of a record, or of several that belong together.
    rest: Vec<u8>,
    server_name: Option<Box<str>>,
    /// Whether the client has said that nothing more will come.
    is_ended: bool,
    has_failed: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("rest", &self.rest.len()).finish_non_exhaustive()
    }
}

impl Session {
    /// A session with a client that offers this. Its bytes are still to be received.
    pub fn new(terms: &Terms, hello: &Hello) -> Option<Session> {
        Some(Session {
            connection: Box::new(UnbufferedServerConnection::new(terms.config()).ok()?),
            rest: Vec::new(),
            server_name: hello.server_name.as_deref().map(Into::into),
            is_ended: false,
            has_failed: false,
        })
    }

    /// Whether plain bytes can go to and fro.
    pub fn is_established(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Whether the client has said that nothing more will come.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether it is of version 1.3, as soon as that is agreed on.
    pub fn is_1_3(&self) -> Option<bool> {
        self.connection.protocol_version().map(|it| it == ProtocolVersion::TLSv1_3)
    }

    /// What is known of it; `None`: it is not established.
    pub fn facts(&self) -> Option<Facts> {
        Some(Facts {
            cipher: self.connection.negotiated_cipher_suite()?.suite().into(),
            is_1_3: self.is_1_3()?,
            is_reused: self.connection.handshake_kind()? == HandshakeKind::Resumed,
            has_protocol: self.connection.alpn_protocol().is_some(),
            server_name: self.server_name.clone(),
        })
    }

    /// Bytes have come. Appends what they say to `plain`, and what is to be sent because of them to `out`.
    ///
    /// # Errors
    /// When the session is over because of them; `out` has what the client is to be told.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if self.is_ended || self.has_failed {
            return Ok(());
        }
        let mut rest = mem::take(&mut self.rest);
        let is_whole = rest.is_empty();
        let incoming = if is_whole {
            bytes
        } else {
            rest.extend_from_slice(bytes);
            &mut rest[..]
        };
        let mut at = 0;
        loop {
            let UnbufferedStatus { mut discard, state, .. } =
                self.connection.process_tls_records(&mut incoming[at..]);
            let is_idle = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(out, |room| data.encode(room));
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_ended = true;
                    true
                }
                Ok(_) => true,
                Err(error) => {
                    let failure = self.failure_of(&error, &incoming[at..]);
                    self.has_failed = true;
                    self.tell(out);
                    return Err(failure);
                }
            };
            at += discard;
            if is_idle {
                break;
            }
        }
        if at < incoming.len() && !self.is_ended {
            if is_whole {
                self.rest = incoming[at..].to_vec();
            } else {
                rest.drain(..at);
                rest.shrink_to(LARGEST_RECORD);
                self.rest = rest;
            }
        }
        Ok(())
    }

    /// Appends what is to be sent to say these bytes.
    ///
    /// # Errors
    /// When nothing can be said any more.
    pub fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        if plain.is_empty() {
            return Ok(());
        }
        let size = plain.len() + (plain.len() / LARGEST_RECORD + 1) * RECORD;
        self.write(out, |traffic, out| {
            let at = out.len();
            out.resize(at + size, 0);
            let written = traffic.encrypt(plain, &mut out[at..]).ok();
            out.truncate(at + written.unwrap_or(0));
            written.is_some()
        })
    }

    /// Appends what says that nothing more will be said.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        // who cannot be told will notice
        let _ = self.write(out, |traffic, out| {
            let at = out.len();
            out.resize(at + RECORD, 0);
            let written = traffic.queue_close_notify(&mut out[at..]).ok();
            out.truncate(at + written.unwrap_or(0));
            written.is_some()
        });
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Traffic<'_>, &mut Vec<u8>) -> bool,
    ) -> Result<(), Failure> {
        loop {
            // what is left of the last time has to be there
            let UnbufferedStatus { discard, state, .. } = self.connection.process_tls_records(&mut self.rest);
            match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => append(out, |room| data.encode(room)),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let is_written = write(&mut traffic, out);
                    self.rest.drain(..discard);
                    return if is_written { Ok(()) } else { Err(Failure::Protocol) };
                }
                Ok(_) | Err(_) => return Err(Failure::Protocol),
            }
            self.rest.drain(..discard);
        }
    }

    /// What an error is called; `incoming`: the records among which it is.
    fn failure_of(&self, error: &Error, incoming: &[u8]) -> Failure {
        let failure = match error {
            Error::AlertReceived(description) => return Failure::Alert((*description).into()),
            Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare) => return Failure::Exchange,
            Error::DecryptError => Failure::Decrypt,
            _ => Failure::Protocol,
        };
        let Some(is_1_3) = self.is_1_3() else { return failure };
        let mut rest = incoming;
        while let Some(&[kind, major, minor, high, low]) = rest.first_chunk::<RECORD_HEAD>() {
            if is_1_3 && kind == HANDSHAKE && failure == Failure::Decrypt {
                return Failure::Kind;
            }
            if [major, minor] != RECORD_VERSION {
                return Failure::Version;
            }
            let length = usize::from(high) << 8 | usize::from(low);
            rest = rest.get(RECORD_HEAD + length..).unwrap_or_default();
        }
        failure
    }

    /// Appends what the client is told of a failure.
    fn tell(&mut self, out: &mut Vec<u8>) {
        loop {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => append(out, |room| data.encode(room)),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(_) | Err(_) => return,
            }
        }
    }
}

type Traffic<'a> = rustls::unbuffered::WriteTraffic<'a, rustls::server::ServerConnectionData>;

/// Appends what is encoded, with as much room as that takes.
fn append(out: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    let at = out.len();
    if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = encode(&mut []) {
        out.resize(at + required_size, 0);
        let written = encode(&mut out[at..]).unwrap_or(0);
        out.truncate(at + written);
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulation::{terms, Client};
    use super::*;

    /// Both sides of a session, and what the server's has said of it.
    struct Pair {
        client: Client,
        server: Session,
        heard: Vec<u8>,
    }

    impl Pair {
        /// Shakes hands, with bytes that come a few at a time. Returns what that has failed with.
        fn shake(client: Client, cut: usize) -> (Pair, Result<(), Failure>) {
            let (terms, mut client) = (terms(|_| {}).unwrap(), client);
            let (hello, mut bytes) = client.hello();
            let server = Session::new(&terms, &hello).unwrap();
            let mut pair = Pair { client, server, heard: Vec::new() };
            loop {
                let answer = match pair.hear(&bytes, cut) {
                    Ok(answer) => answer,
                    Err(failure) => return (pair, Err(failure)),
                };
                assert_eq!(pair.client.receive(&answer), b"");
                bytes = pair.client.bytes();
                if bytes.is_empty() {
                    return (pair, Ok(()));
                }
            }
        }

        fn new(is_1_3: bool) -> Pair {
            let (pair, result) = Pair::shake(Client::new(is_1_3, true), usize::MAX);
            assert_eq!(result, Ok(()));
            pair
        }

        /// The server receives bytes, a few at a time.
        fn hear(&mut self, bytes: &[u8], cut: usize) -> Result<Vec<u8>, Failure> {
            let mut out = Vec::new();
            for piece in bytes.chunks(cut.min(bytes.len().max(1))) {
                self.server.receive(&mut piece.to_vec(), &mut self.heard, &mut out)?;
            }
            Ok(out)
        }
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|it| it as u8).collect()
    }

    #[test]
    fn what_is_said_arrives_however_it_is_cut() {
        for (is_1_3, cut) in
            [true, false].into_iter().flat_map(|it| [1, 7, 1000, 20_000].map(|cut| (it, cut)))
        {
            let (mut pair, result) = Pair::shake(Client::new(is_1_3, true), cut);
            assert_eq!(result, Ok(()));
            assert!(pair.server.is_established() && !pair.client.0.is_handshaking());
            let facts = pair.server.facts().unwrap();
            assert_eq!((facts.is_1_3, facts.is_reused, facts.has_protocol), (is_1_3, false, false));
            assert_eq!(facts.server_name.as_deref(), Some("chat.example"));

            let question = pair.client.say(&text(50_000));
            assert_eq!(pair.hear(&question, cut), Ok(vec![]));
            assert!(pair.heard == text(50_000), "version 1.3: {is_1_3}, pieces of {cut}");
            assert!(pair.server.rest.is_empty());

            let mut answer = Vec::new();
            pair.server.send(&text(100_000), &mut answer).unwrap();
            assert!(pair.client.receive(&answer) == text(100_000));
        }
    }

    #[test]
    fn each_side_says_that_it_is_done() {
        for is_1_3 in [true, false] {
            let mut pair = Pair::new(is_1_3);
            pair.client.0.send_close_notify();
            let bytes = pair.client.bytes();
            assert!(!pair.server.is_ended());
            pair.hear(&bytes, 1).unwrap();
            assert!(pair.server.is_ended());
            // what comes behind is nothing to it
            pair.hear(b"anything", 1).unwrap();
            assert_eq!(pair.heard, b"");

            let mut out = Vec::new();
            pair.server.send(b"goodbye", &mut out).unwrap();
            pair.server.finish(&mut out);
            assert_eq!(pair.client.receive(&out), b"goodbye");
            assert!(pair.client.0.process_new_packets().unwrap().peer_has_closed());
        }
    }

    #[test]
    fn what_came_before_a_spoilt_record_is_said() {
        for is_1_3 in [true, false] {
            let mut pair = Pair::new(is_1_3);
            let mut bytes = pair.client.say(b"first");
            let end = bytes.len();
            bytes.extend(pair.client.say(b"second"));
            bytes[end + RECORD_HEAD + 9] ^= 1;
            assert_eq!(pair.hear(&bytes, usize::MAX), Err(Failure::Decrypt));
            assert_eq!(pair.heard, b"first");
            let more = pair.client.say(b"third");
            assert_eq!(pair.hear(&more, usize::MAX), Ok(vec![]));
            assert_eq!(pair.heard, b"first");
        }
    }

    #[test]
    fn failures_have_their_names() {
        for is_1_3 in [true, false] {
            let (mut pair, result) = Pair::shake(Client::new(is_1_3, false), usize::MAX);
            assert_eq!(result, Err(Failure::Alert(48)), "version 1.3: {is_1_3}");
            assert!(pair.server.send(b"anybody?", &mut Vec::new()).is_err());
            assert!(pair.server.facts().is_none_or(|it| it.is_1_3 == is_1_3));

            for (bytes, failure) in [
                (&b"GET / HTTP/1.1\r\n\r\n"[..], Failure::Version),
                (&[22, 3, 3, 0, 4, 1, 0, 0, 0], if is_1_3 { Failure::Kind } else { Failure::Decrypt }),
            ] {
                let mut pair = Pair::new(is_1_3);
                assert_eq!(pair.hear(bytes, usize::MAX), Err(failure), "version 1.3: {is_1_3}, {bytes:?}");
            }
        }
    }
}
