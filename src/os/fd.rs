//! A socket taken over from Node.
//!
//! Node keeps its descriptor until it has closed its handle, we own a duplicate: closing one of two descriptors of a
//! connection sends no FIN.

use std::io::{self, ErrorKind, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, Waker};

use socket2::{SockRef, Socket};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::Interest;

/// A connected stream socket, registered with the worker's runtime. The descriptor closes when this is dropped.
#[derive(Debug)]
pub struct FdStream {
    io: AsyncFd<Socket>,
    /// Writes to come that find the kernel out of buffers.
    #[cfg(test)]
    pub failing: std::cell::Cell<u32>,
}

/// Duplicates a descriptor that somebody else owns. The duplicate is close-on-exec and ours.
///
/// # Errors
/// `EBADF` for a negative number, `EMFILE` or `ENFILE` when there are too many open descriptors.
pub fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(9));
    }
    // SAFETY: the caller (a binding that runs on the JavaScript thread) passes the descriptor of a `net.Socket` whose
    // handle is open and stays open during this call, because only that thread closes handles. Node goes on owning
    // it and closes it once; the duplicate is owned by the returned value, which closes it once.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned()
}

/// Lets `look` look at a descriptor that somebody else owns.
fn with_borrowed<T>(fd: RawFd, look: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the caller (a binding that runs on the JavaScript thread) passes the descriptor of a handle that is open and
    // stays open during this call, because only that thread closes handles. Nothing is closed here.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    look(SockRef::from(&borrowed))
}

/// What has arrived at a socket that somebody else owns, as far as there is room; it stays there.
///
/// # Errors
/// `WouldBlock` when there is nothing, or what the kernel reports.
pub fn peek(fd: RawFd, buffer: &mut [MaybeUninit<u8>]) -> io::Result<&[u8]> {
    let length =
        with_borrowed(fd, |socket| socket.recv_with_flags(buffer, libc::MSG_PEEK | libc::MSG_DONTWAIT))?;
    // SAFETY: the kernel has written this many bytes into the buffer.
    Ok(unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast(), length) })
}

/// Takes the next `length` bytes from a socket that somebody else owns, which have been peeked at.
///
/// # Errors
/// `UnexpectedEof` when there are fewer, or what the kernel reports.
pub fn read(fd: RawFd, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    with_borrowed(fd, |socket| {
        let mut socket: &Socket = &socket;
        socket.read_exact(&mut bytes)
    })?;
    Ok(bytes)
}

/// Takes all that has arrived at a socket that somebody else owns. An error of the socket stays where it is.
///
/// # Errors
/// What the kernel reports.
pub fn read_all(fd: RawFd) -> io::Result<Vec<u8>> {
    let mut length: libc::c_int = 0;
    with_borrowed(fd, |socket| {
        // SAFETY: `length` lives during the call, which writes one number of this type.
        let result =
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, std::ptr::from_mut(&mut length)) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    })?;
    match usize::try_from(length) {
        Ok(length) if length > 0 => read(fd, length),
        _ => Ok(Vec::new()),
    }
}

/// Hands bytes to a socket that somebody else owns, as far as there is room.
///
/// # Errors
/// `WouldBlock` when there is none, or what the kernel reports.
pub fn write(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // socket2 sees to it that no signal comes of it
    with_borrowed(fd, |socket| socket.send_with_flags(bytes, libc::MSG_DONTWAIT))
}

/// Has connections of a listening TCP socket that somebody else owns wait in the kernel until they have said something,
/// for about a second, or be accepted at once. Elsewhere than on Linux, they are accepted at once.
///
/// # Errors
/// What the kernel reports.
pub fn defer_accept(fd: RawFd, defers: bool) -> io::Result<()> {
    with_borrowed(fd, |socket| {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let seconds = libc::c_int::from(defers);
            // SAFETY: `seconds` lives during the call, which reads as many bytes of it as it is told.
            let result = unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::IPPROTO_TCP,
                    libc::TCP_DEFER_ACCEPT,
                    std::ptr::from_ref(&seconds).cast(),
                    size_of::<libc::c_int>() as libc::socklen_t,
                )
            };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let _ = (socket, defers);
        Ok(())
    })
}

/// Descriptors that a burst of new connections may take, or half of all if there are few: a listening socket has 511
/// waiting at the most, unless the application wants more, and each has two until it is known what it begins with.
const BURST: u64 = 1024;

/// Whether a descriptor's number, always the lowest that is free, shows that the process may soon have as many as it is
/// allowed.
pub fn is_scarce(fd: &OwnedFd) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives during the call, which writes nothing else.
    let is_known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    #[allow(clippy::unnecessary_cast, reason = "on some systems it is signed")]
    let limit = limit.rlim_cur as u64;
    is_known && fd.as_raw_fd() as u64 >= limit - (limit / 2).min(BURST)
}

impl FdStream {
    /// Registers the socket with the current runtime. It must be in non-blocking mode, as Node's sockets are.
    ///
    /// # Errors
    /// What `epoll_ctl` reports.
    pub fn register(fd: OwnedFd) -> io::Result<FdStream> {
        // SAFETY: the socket is owned by the returned value from here on, which never replaces it and closes it, once,
        // after it has been deregistered; nobody else knows the descriptor's number.
        let io = unsafe { AsyncFd::register(Socket::from(fd)) }?;
        Ok(FdStream {
            io,
            #[cfg(test)]
            failing: Default::default(),
        })
    }

    /// Waits until there may be something to read, or the connection has failed: the guard tells.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, Socket>> {
        self.io.ready(Interest::READABLE | Interest::ERROR).await
    }

    /// The same for a task that polls, of which there may be only one at a time.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub fn poll_readable(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'_, Socket>>> {
        self.io.poll_read_ready(context)
    }

    /// Whether the peer has finished, or the connection has failed, whatever is still to be read. Not for a socket that a task waits
    /// to read from.
    pub fn is_hung_up(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match self.io.poll_read_ready(&mut context) {
            Poll::Ready(Ok(guard)) => guard.ready().is_read_closed(),
            _ => false,
        }
    }

    /// Waits until there may be room to write.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, Socket>> {
        self.io.writable().await
    }

    /// Reads what is there; 0 means that the peer has finished.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing, or what the kernel reports.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.io.get_ref();
        socket.read(buffer)
    }

    /// Reads what is there onto the end of `buffer`, which has room for `most` bytes; 0 means that the peer has finished.
    ///
    /// # Errors
    /// As for `read`.
    pub fn read_onto(&self, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        let room = buffer.spare_capacity_mut();
        let end = most.min(room.len());
        let length = self.io.get_ref().recv(&mut room[..end])?;
        let end = buffer.len() + length;
        // SAFETY: the kernel has written this many bytes behind those that there were.
        unsafe { buffer.set_len(end) };
        Ok(length)
    }

    /// Reads what is there and leaves it there; 0 means that the peer has finished.
    ///
    /// # Errors
    /// As for `read`.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the two types have the same layout, and a peek writes bytes into the buffer or nothing, so that all
        // of it is as initialised afterwards as it was before.
        let buffer = unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) };
        self.io.get_ref().peek(buffer)
    }

    /// Throws away the next `length` bytes, which have been peeked at.
    ///
    /// # Errors
    /// `UnexpectedEof` when there are fewer, or what the kernel reports.
    pub fn skip(&self, length: usize, buffer: &mut [u8]) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let end = left.min(buffer.len());
            match self.read(&mut buffer[..end]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(taken) => left -= taken,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The addresses of both ends, that of the peer first, if their texts are what Node makes of them.
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let socket = self.io.get_ref();
        let peer = socket.peer_addr().ok()?.as_socket()?;
        let local = socket.local_addr().ok()?.as_socket()?;
        // Node appends the interface's name
        let is_scoped = |address: &SocketAddr| match address.ip() {
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
            IpAddr::V4(_) => false,
        };
        (!is_scoped(&peer) && !is_scoped(&local)).then_some((peer, local))
    }

    /// Has the kernel send what is written at once.
    pub fn send_without_delay(&self) {
        // fails only if the peer is gone, which reading reports
        let _ = self.io.get_ref().set_tcp_nodelay(true);
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, or what the kernel reports.
    pub fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(test)]
        if let Some(left) = self.failing.get().checked_sub(1) {
            self.failing.set(left);
            return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        }
        match slices {
            [single] => self.io.get_ref().send(single),
            several => self.io.get_ref().send_vectored(several),
        }
    }

    /// Sends a FIN; reading goes on.
    pub fn finish(&self) {
        // fails only if the peer is gone, which reading reports
        let _ = self.io.get_ref().shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn closing_the_original_sends_no_fin() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let ours = TcpStream::from(duplicate(server.as_raw_fd()).unwrap());
        drop(server);
        (&ours).write_all(b"still here").unwrap();
        let mut buffer = [0; 10];
        client.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"still here");
        drop(ours);
        assert_eq!(client.read(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn what_is_looked_at_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        defer_accept(listener.as_raw_fd(), true).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"hello").unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut three = [MaybeUninit::uninit(); 3];
        assert_eq!(peek(server.as_raw_fd(), &mut three).unwrap(), b"hel");
        assert_eq!(read(server.as_raw_fd(), 2).unwrap(), b"he");
        assert_eq!(read_all(server.as_raw_fd()).unwrap(), b"llo");
        assert_eq!(read_all(server.as_raw_fd()).unwrap(), b"");
        assert_eq!(read(server.as_raw_fd(), 1).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(peek(server.as_raw_fd(), &mut three).unwrap_err().kind(), ErrorKind::WouldBlock);
        defer_accept(listener.as_raw_fd(), false).unwrap();
        assert_eq!(write(server.as_raw_fd(), b"back").unwrap(), 4);
        let mut back = [0; 4];
        client.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"back");
        assert!(write(-1, b"x").is_err() && peek(-1, &mut three).is_err() && defer_accept(-1, true).is_err());
    }

    #[test]
    fn what_came_before_a_failure_is_taken_without_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"hello").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        for expected in [&b"hello"[..], b""] {
            assert_eq!(read_all(server.as_raw_fd()).unwrap(), expected);
        }
        assert_eq!(server.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_is_read_onto_a_buffer_stands_behind_what_was_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let stream = FdStream::register(server.into()).unwrap();
        client.write_all(b"hello").unwrap();
        let mut buffer = Vec::with_capacity(8);
        buffer.extend_from_slice(b"so ");
        drop(stream.readable().await.unwrap());
        assert_eq!(stream.read_onto(&mut buffer, 2).unwrap(), 2);
        assert_eq!(buffer, b"so he");
        // no more than there is room for
        assert_eq!(stream.read_onto(&mut buffer, 1000).unwrap(), 3);
        assert_eq!(buffer, b"so hello");
        let mut buffer = Vec::with_capacity(8);
        assert_eq!(stream.read_onto(&mut buffer, 8).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(client);
        drop(stream.readable().await.unwrap());
        while matches!(stream.read_onto(&mut buffer, 8), Err(error) if error.kind() == ErrorKind::WouldBlock)
        {
        }
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_an_error() {
        assert!(duplicate(-1).is_err());
        assert!(duplicate(1 << 20).is_err());
    }
}
