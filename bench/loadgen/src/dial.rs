//! How the connections are made.

use crate::Outcome;
use mio::net::TcpStream;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Begins to connect; the stream is writable once that has succeeded.
pub fn dial(port: u16, index: usize) -> Outcome<TcpStream> {
    socket(port, index).map_err(|error| format!("a client cannot connect: {error}"))
}

/// Each run has loopback addresses of its own with few connections on each: the kernel searches long
/// for a free port once many are taken. What is left at the end is reset, so that no port stays taken for a minute.
fn socket(port: u16, index: usize) -> std::io::Result<TcpStream> {
    let run = std::process::id() % (250 * 250);
    let source = Ipv4Addr::new(127, 1 + (run / 250) as u8, (run % 250) as u8, 1 + (index / 2000) as u8);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    match socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}
