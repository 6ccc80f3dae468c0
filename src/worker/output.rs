//! What goes to clients: packets of the engine, messages of the application, broadcasts. How the bytes leave is in
//! `writes.rs`.

use bytes::Bytes;

use super::command::{Flags, Parcel};
use super::outbox::{Outbox, Pool, SHARE_FROM};
use super::websocket::Queued;
use super::work::Work;
use super::writes::MUCH;
use super::Worker;
use crate::protocol::engine_io::packet::Type;
use crate::protocol::engine_io::{payload, v3, Protocol};
use crate::protocol::error::Ending;
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::polling::{self, Payload, Waiter};
use crate::protocol::session::State;
use crate::protocol::websocket::deflate::{Deflate, Parameters};
use crate::protocol::websocket::frame;

/// From this many bytes on, what has gathered for a WebSocket of the backlog is written at once.
pub(super) const GATHERED: usize = 64 << 10;

/// A message in the forms that transports want, each made once.
#[derive(Default)]
pub(super) struct Encoded {
    compress: bool,
    /// Large buffers are pieces of their own, so that they are not copied.
    frames: [Option<Vec<Bytes>>; Protocol::FORMS],
    /// The frames compressed on their own, for each set of parameters that came up.
    compressed: Vec<(Parameters, Protocol, [Bytes; 1])>,
    packets: Vec<polling::Packet>,
}

impl Encoded {
    /// For a message with these flags, which has to be the same whenever a form of it is asked for.
    pub(super) fn new(flags: Flags) -> Encoded {
        Encoded { compress: flags.compress(), ..Encoded::default() }
    }

    /// The message as WebSocket frames, in pieces. `None`: they are compressed for each client anew.
    fn frames(
        &mut self,
        parcel: &Parcel<'_>,
        protocol: Protocol,
        deflate: Option<&Deflate>,
        work: &mut Work,
    ) -> Option<&[Bytes]> {
        match deflate.filter(|_| self.compress) {
            Some(deflate) if deflate.parameters.server_no_context_takeover => {
                Some(self.compressed_frames(parcel, protocol, deflate, work))
            }
            Some(_) => None,
            None => Some(self.plain_frames(parcel, protocol)),
        }
    }

    fn plain_frames(&mut self, parcel: &Parcel<'_>, protocol: Protocol) -> &[Bytes] {
        self.frames[protocol.form()].get_or_insert_with(|| {
            let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
            queue_frames(parcel, protocol, &mut outbox, &mut pool);
            if outbox.len() < SHARE_FROM {
                vec![Bytes::from(outbox.take(&mut pool))]
            } else {
                outbox.into_pieces()
            }
        })
    }

    /// The message as frames that are compressed on their own, for clients for whom the server keeps no context.
    fn compressed_frames(
        &mut self,
        parcel: &Parcel<'_>,
        protocol: Protocol,
        deflate: &Deflate,
        work: &mut Work,
    ) -> &[Bytes] {
        let parameters = deflate.parameters;
        let known = self.compressed.iter().position(|entry| entry.0 == parameters && entry.1 == protocol);
        let place = known.unwrap_or_else(|| {
            work.compress(parcel.len());
            let mut frames = Vec::new();
            write_compressed(parcel, protocol, &mut deflate.apart(), &mut frames);
            self.compressed.push((parameters, protocol, [Bytes::from(frames)]));
            self.compressed.len() - 1
        });
        &self.compressed[place].2
    }

    /// The message as packets of a polling payload.
    pub(super) fn packets(&mut self, parcel: &Parcel<'_>) -> &[polling::Packet] {
        if self.packets.is_empty() {
            let text = parcel
                .text
                .map(|text| polling::Packet::Text(Type::Message, Bytes::copy_from_slice(text.as_bytes())));
            let buffers = parcel.buffers.iter().map(|buffer| polling::Packet::Binary(buffer.clone()));
            self.packets = text.into_iter().chain(buffers).collect();
        }
        &self.packets
    }
}

/// Queues a message as frames. Large buffers are queued by reference: they are copies already, of what the application
/// may change.
fn queue_frames(parcel: &Parcel<'_>, protocol: Protocol, outbox: &mut Outbox, pool: &mut Pool) {
    let prefix: Option<&[u8]> = match protocol {
        Protocol::V4 { base64: false } | Protocol::Raw => Some(&[]),
        Protocol::V3 { base64: false } => Some(&v3::BINARY_MESSAGE),
        Protocol::V4 { base64: true } | Protocol::V3 { base64: true } => None,
    };
    if let Some(text) = parcel.text {
        outbox.append(pool, |out| frame::write_text(protocol.text_prefix(), text.as_bytes(), out));
    }
    for buffer in parcel.buffers {
        match prefix {
            Some(prefix) if buffer.len() >= SHARE_FROM => {
                outbox.append(pool, |out| frame::write_binary_head(prefix, buffer.len(), out));
                outbox.append_shared(buffer.clone());
            }
            _ => outbox.append(pool, |out| write_buffer(buffer, protocol, out)),
        }
    }
}

/// Queues frames that others get as well: by reference, unless they are so short that it is not worth it.
pub(super) fn queue_pieces(pieces: &[Bytes], outbox: &mut Outbox, pool: &mut Pool) {
    match pieces {
        [only] if only.len() < SHARE_FROM => outbox.append(pool, |out| out.extend_from_slice(only)),
        several => several.iter().for_each(|piece| outbox.append_shared(piece.clone())),
    }
}

/// Writes a message as frames, compressed where that applies.
fn write_compressed(parcel: &Parcel<'_>, protocol: Protocol, deflate: &mut Deflate, out: &mut Vec<u8>) {
    if let Some(text) = parcel.text {
        write_message(true, [protocol.text_prefix(), text.as_bytes()], deflate, out);
    }
    for buffer in parcel.buffers {
        match protocol {
            Protocol::V4 { base64: false } | Protocol::Raw => {
                write_message(false, [&[], buffer], deflate, out);
            }
            Protocol::V4 { base64: true } => {
                write_message(true, [&[], payload::base64_packet(buffer).as_bytes()], deflate, out);
            }
            Protocol::V3 { base64: false } => {
                write_message(false, [&v3::BINARY_MESSAGE, buffer], deflate, out)
            }
            Protocol::V3 { base64: true } => {
                write_message(true, [&[], v3::encode_base64(buffer).as_bytes()], deflate, out);
            }
        }
    }
}

fn write_message(is_text: bool, pieces: [&[u8]; 2], deflate: &mut Deflate, out: &mut Vec<u8>) {
    if deflate.applies_to(pieces[0].len() + pieces[1].len()) {
        frame::write_compressed(is_text, &deflate.compress(pieces), out);
    } else if is_text {
        frame::write_text(pieces[0], pieces[1], out);
    } else {
        frame::write_binary(pieces[0], pieces[1], out);
    }
}

fn write_buffer(buffer: &[u8], protocol: Protocol, out: &mut Vec<u8>) {
    match protocol {
        Protocol::V4 { base64: false } | Protocol::Raw => frame::write_binary(&[], buffer, out),
        Protocol::V4 { base64: true } => {
            frame::write_text(&[], payload::base64_packet(buffer).as_bytes(), out);
        }
        Protocol::V3 { base64: false } => frame::write_binary(&v3::BINARY_MESSAGE, buffer, out),
        Protocol::V3 { base64: true } => frame::write_text(&[], v3::encode_base64(buffer).as_bytes(), out),
    }
}

impl Worker {
    /// Sends a packet of the engine itself.
    pub(super) fn send_packet(&mut self, id: ConnectionId, kind: Type, data: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        self.metrics.packets_sent.add(1);
        match (connection.session.state(), connection.polling.as_mut()) {
            (State::WebSocket { stream }, _) => {
                self.append(stream, |out| frame::write_text(&[kind as u8], data, out));
                // clients of revision 3 ask for as many as they like
                if self.waiting_for(stream) > self.options.max_outbound {
                    self.on_much_waiting(id, stream);
                }
            }
            (_, Some(polling)) => {
                polling.push(polling::Packet::Text(kind, Bytes::copy_from_slice(data)), true);
                self.answer_poll(id);
                self.check_polling(id);
            }
            _ => {}
        }
    }

    /// Sends a packet that has been made before: one that waited for a GET, or that follows the handshake.
    pub(super) fn send_outgoing(&mut self, id: ConnectionId, packet: polling::Packet) {
        let Some(connection) = self.connection(id) else { return };
        let protocol = connection.session.protocol();
        match (connection.session.state(), connection.polling.as_mut()) {
            (State::WebSocket { stream }, _) => self.append(stream, |out| match packet {
                polling::Packet::Text(kind, data) => frame::write_text(&[kind as u8], &data, out),
                polling::Packet::Binary(data) => write_buffer(&data, protocol, out),
            }),
            (_, Some(polling)) => {
                polling.push(packet, true);
                self.answer_poll(id);
            }
            _ => {}
        }
    }

    /// Queues bytes for a WebSocket.
    pub(super) fn append(&mut self, stream: StreamId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some((websocket, pool)) = self.websocket_and_pool(stream) {
            websocket.outbox.append(pool, write);
        }
        self.mark_dirty(stream);
    }

    /// A message for one client.
    pub(super) fn send(&mut self, id: ConnectionId, parcel: Parcel<'_>, flags: Flags) {
        self.note_message(id);
        let Some(connection) = self.connection(id) else { return };
        let (state, protocol) = (connection.session.state(), connection.session.protocol());
        // this may write what waits, with which a message that has yet to be queued does not leave
        let is_dropped = match state {
            State::WebSocket { stream } => flags.volatile() && (self.is_behind || !self.is_writable(stream)),
            _ => false,
        };
        if let (true, Some(connection)) = (flags.notify(), self.connection(id)) {
            connection.notify += 1;
        }
        let State::WebSocket { stream } = state else {
            return self.deliver(id, &parcel, &mut Encoded::new(flags), flags);
        };
        if is_dropped {
            self.metrics.volatile_dropped.add(1);
        } else if self.may_hold() && self.hold(id, &parcel, &mut Encoded::new(flags), flags) {
            return;
        } else {
            // the common case frames straight into the outbox
            self.put(stream, protocol, &parcel, flags.compress());
        }
        self.mark_dirty(stream);
        self.check_waiting(id, stream);
    }

    /// Something has been queued for the WebSocket of a client: it may be too much.
    pub(super) fn check_waiting(&mut self, id: ConnectionId, stream: StreamId) {
        if self.waiting_for(stream) > self.options.max_outbound.min(GATHERED) {
            self.on_much_waiting(id, stream);
        }
    }

    /// Makes frames of a message in the outbox of a WebSocket, if that takes messages.
    pub(super) fn put(
        &mut self,
        stream: StreamId,
        protocol: Protocol,
        parcel: &Parcel<'_>,
        compress: bool,
    ) -> bool {
        let Some((websocket, pool)) = self.websocket_and_pool(stream) else { return false };
        if !websocket.takes_messages() {
            return false;
        }
        websocket.note_packets(parcel.packets());
        let before = websocket.outbox.len();
        let is_compressed = match websocket.reader.deflate.as_mut().filter(|_| compress) {
            None => {
                queue_frames(parcel, protocol, &mut websocket.outbox, pool);
                false
            }
            Some(deflate) => {
                websocket.outbox.append(pool, |out| write_compressed(parcel, protocol, deflate, out));
                true
            }
        };
        let queued = websocket.outbox.len() - before;
        self.metrics.packets_sent.add(parcel.packets());
        self.work.queue(queued);
        if is_compressed {
            self.work.compress(parcel.len());
        }
        true
    }

    /// Queues an encoded message for one client.
    pub(super) fn deliver(
        &mut self,
        id: ConnectionId,
        parcel: &Parcel<'_>,
        encoded: &mut Encoded,
        flags: Flags,
    ) {
        let limit = self.options.max_outbound.min(GATHERED);
        let is_behind = self.is_behind;
        self.note_message(id);
        let Some(connection) = self.connection(id) else { return };
        if !connection.session.is_open() {
            return;
        }
        if flags.volatile() && (is_behind || self.held_bytes(id) > 0) {
            return self.metrics.volatile_dropped.add(1);
        }
        // what is volatile does not wait
        if !flags.volatile() && self.may_hold() && self.hold(id, parcel, encoded, flags) {
            return;
        }
        let Some(connection) = self.connection(id) else { return };
        let (state, protocol) = (connection.session.state(), connection.session.protocol());
        if let State::WebSocket { stream } = state {
            if flags.volatile() && !self.is_writable(stream) {
                return self.metrics.volatile_dropped.add(1);
            }
            #[cfg(unix)]
            let is_alone = self.is_last && !self.outgoing.is_gathering();
            let Some(websocket) = self.websockets.get_mut(stream) else { return };
            if !websocket.takes_messages() {
                return;
            }
            self.metrics.packets_sent.add(parcel.packets());
            let (pool, work) = (&mut self.outgoing.pool, &mut self.work);
            websocket.note_packets(parcel.packets());
            let before = websocket.outbox.len();
            match encoded.frames(parcel, protocol, websocket.reader.deflate.as_deref(), work) {
                #[cfg(unix)]
                Some(pieces) if is_alone && websocket.is_at_rest() => {
                    if self.write_past(stream, pieces) {
                        return;
                    }
                }
                Some(pieces) => queue_pieces(pieces, &mut websocket.outbox, pool),
                None => {
                    work.compress(parcel.len());
                    if let Some(deflate) = websocket.reader.deflate.as_mut() {
                        websocket.outbox.append(pool, |out| write_compressed(parcel, protocol, deflate, out));
                    }
                }
            }
            let waiting = self.waiting_for(stream);
            self.work.queue(waiting - before);
            self.mark_dirty(stream);
            if waiting > limit {
                self.on_much_waiting(id, stream);
            }
        } else if let Some(polling) = connection.polling.as_mut() {
            if flags.volatile() && !polling.is_writable() {
                return self.metrics.volatile_dropped.add(1);
            }
            self.metrics.packets_sent.add(parcel.packets());
            let compress = encoded.compress;
            self.work.queue(parcel.len());
            for packet in encoded.packets(parcel) {
                let Some(polling) = self.polling(id) else { return };
                polling.push(packet.clone(), compress);
                // a GET that waits is answered at once: what leaves together does not depend on what else the turn brings
                self.answer_poll(id);
            }
            self.check_polling(id);
        }
    }

    pub(super) fn waiting_for(&self, stream: StreamId) -> usize {
        self.websockets.get(stream).map_or(0, |websocket| websocket.outbox.len())
    }

    /// Much waits for a WebSocket: either it has not been tried to write it yet, or the client does not read.
    #[cold]
    fn on_much_waiting(&mut self, id: ConnectionId, stream: StreamId) {
        let limit = self.options.max_outbound;
        let Some(websocket) = self.websocket(stream) else { return };
        if websocket.outbox.len() > limit || matches!(websocket.queued, Queued::Backlog { .. }) {
            self.flush(stream);
        }
        let waiting = self.waiting_for(stream);
        if waiting > limit {
            self.events.slow_consumer(id, waiting);
            self.sever(stream, Ending::SlowConsumer);
        }
    }

    /// The same for a client that polls.
    fn check_polling(&mut self, id: ConnectionId) {
        let waiting = self.note_polling(id);
        if waiting >= MUCH {
            self.signals.ebb.notify_one();
        }
        if waiting - self.held_bytes(id) > self.options.max_outbound {
            self.events.slow_consumer(id, waiting);
            self.end_session(id, Ending::SlowConsumer);
        }
    }

    /// Lets JavaScript see what waits for a client that polls. Returns the bytes.
    pub(super) fn note_polling(&mut self, id: ConnectionId) -> usize {
        let waiting = self.polling(id).map_or(0, |polling| polling.bytes()) + self.held_bytes(id);
        // what waits for a GET is told by name
        self.set_waiting(id, waiting, 0);
        waiting
    }

    /// Answers the GET that waits, if there is something to answer it with.
    pub(super) fn answer_poll(&mut self, id: ConnectionId) {
        if self.polling(id).is_some_and(|polling| polling.waiter.is_some()) {
            self.release_all(id);
            if self.polling(id).is_some_and(|polling| !polling.has_packets()) {
                // nothing waits, or is left of what has waited
                self.note_polling(id);
                self.note_if_sent(id);
            }
        }
        let Some(connection) = self.connection(id) else { return };
        let protocol = connection.session.protocol();
        #[cfg(unix)]
        let is_over = connection.session.state() == State::Closed;
        let Some(polling) = connection.polling.as_mut().filter(|polling| polling.has_packets()) else {
            return;
        };
        let Some(waiter) = polling.waiter else { return };
        #[cfg(unix)]
        if let Waiter::Stream(stream) = waiter {
            let (size, compress) = polling.payload_size();
            // the GET comes again, from Node
            if !is_over && !self.can_answer(stream, size, compress) {
                return self.release(stream);
            }
        }
        let Some(polling) = self.polling(id) else { return };
        polling.waiter = None;
        let bytes = polling.bytes();
        let (payload, compress) = polling.take_payload(protocol);
        #[cfg(unix)]
        let cors = polling.traveller.as_ref().map(|traveller| traveller.cors.clone()).unwrap_or_default();
        self.work.write(bytes);
        self.count_sent(Some(id), bytes);
        self.note_polling(id);
        match (payload, waiter) {
            (Payload::Text(payload), Waiter::JavaScript) => self.events.poll_answer(id, &payload, compress),
            (Payload::Binary(payload), _) => self.events.poll_answer_binary(id, payload, compress),
            #[cfg(unix)]
            (Payload::Text(payload), Waiter::Stream(stream)) => {
                self.answer_on_road(stream, &cors, "", payload, compress);
            }
        }
        self.note_if_sent(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOLS: [Protocol; Protocol::FORMS] = [
        Protocol::V4 { base64: false },
        Protocol::V4 { base64: true },
        Protocol::V3 { base64: false },
        Protocol::V3 { base64: true },
        Protocol::Raw,
    ];

    fn write_frames(parcel: &Parcel<'_>, protocol: Protocol, out: &mut Vec<u8>) {
        if let Some(text) = parcel.text {
            frame::write_text(protocol.text_prefix(), text.as_bytes(), out);
        }
        for buffer in parcel.buffers {
            write_buffer(buffer, protocol, out);
        }
    }

    #[test]
    fn large_buffers_are_queued_as_the_same_frames() {
        let sizes = [SHARE_FROM, 10, SHARE_FROM - 1, 0, 70_000, SHARE_FROM + 1];
        let buffers: Vec<Bytes> = sizes.iter().map(|&size| Bytes::from(vec![size as u8; size])).collect();
        for protocol in PROTOCOLS {
            for text in [None, Some("56-[...]")] {
                let parcel = Parcel { text, buffers: &buffers };
                let mut expected = Vec::new();
                write_frames(&parcel, protocol, &mut expected);
                let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
                queue_frames(&parcel, protocol, &mut outbox, &mut pool);
                assert_eq!(outbox.len(), expected.len());
                assert!(outbox.take(&mut pool) == expected, "{protocol:?} {text:?}");
            }
        }
    }

    #[test]
    fn large_buffers_are_not_copied() {
        let buffer = Bytes::from(vec![1; SHARE_FROM]);
        let parcel = Parcel { text: None, buffers: std::slice::from_ref(&buffer) };
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        queue_frames(&parcel, Protocol::V4 { base64: false }, &mut outbox, &mut pool);
        assert!(!buffer.is_unique());
        outbox.advance(outbox.len(), &mut pool);
        assert!(buffer.is_unique());
    }

    #[test]
    fn the_frames_of_a_broadcast_are_made_once() {
        let text = "x".repeat(SHARE_FROM);
        let buffers = [Bytes::from(vec![1; SHARE_FROM]), Bytes::from_static(b"2")];
        for protocol in PROTOCOLS {
            let parcel = Parcel { text: Some(&text), buffers: &buffers };
            let mut encoded = Encoded::default();
            let mut pieces = || encoded.plain_frames(&parcel, protocol).to_vec();
            let first = pieces();
            let starts = |pieces: &[Bytes]| pieces.iter().map(|piece| piece.as_ptr()).collect::<Vec<_>>();
            assert_eq!(starts(&first), starts(&pieces()));
            let mut expected = Vec::new();
            write_frames(&parcel, protocol, &mut expected);
            assert!(first.concat() == expected, "{protocol:?}");
        }
    }

    #[test]
    fn a_buffer_that_a_packet_has_many_times_is_not_copied() {
        let buffer = Bytes::from(vec![1; SHARE_FROM]);
        let buffers = vec![buffer.clone(); 70_000];
        let parcel = Parcel { text: Some("5"), buffers: &buffers };
        let mut encoded = Encoded::default();
        let pieces = encoded.plain_frames(&parcel, PROTOCOLS[0]);
        let copied: usize =
            pieces.iter().filter(|it| it.as_ptr() != buffer.as_ptr()).map(|it| it.len()).sum();
        assert!(copied < 10 * buffers.len() && pieces.len() == 2 * buffers.len());
    }
}
