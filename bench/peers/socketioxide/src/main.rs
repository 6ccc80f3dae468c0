//! The application of `bench/application.js` on socketioxide.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::SocketIo;
use std::convert::Infallible;
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    allow_many_files()?;
    let ping_interval = std::env::var("PING_INTERVAL")?.parse()?;
    let (service, io) = SocketIo::builder()
        .ping_interval(Duration::from_millis(ping_interval))
        .ping_timeout(Duration::from_secs(60))
        .build_with_inner_svc(service_fn(on_request));
    io.ns("/", on_connection);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(connection.with_upgrades());
    }
}

/// The application's own requests.
async fn on_request(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

// An emit fails where the client is gone or slow; nobody would do anything about it.

async fn on_connection(socket: SocketRef, io: SocketIo) {
    socket.on("echo", async |socket: SocketRef, Data(text): Data<String>| {
        socket.emit("echo", &text).ok();
    });
    socket.on("echo-binary", async |socket: SocketRef, Data(bytes): Data<Bytes>| {
        socket.emit("echo-binary", &bytes).ok();
    });
    socket.on("ack", async |Data(text): Data<String>, reply: AckSender| {
        reply.send(&text).ok();
    });
    socket.on("broadcast", {
        let io = io.clone();
        async move |Data(text): Data<String>| {
            io.emit("news", &text).await.ok();
        }
    });
    socket.on("broadcast-except", {
        let io = io.clone();
        async move |Data(text): Data<String>| {
            io.except("muted").emit("news", &text).await.ok();
        }
    });
    socket.on("join", async |socket: SocketRef, Data(room): Data<String>, reply: AckSender| {
        socket.join(room);
        reply.send(&()).ok();
    });
    socket.on("to-room", async move |Data((room, text)): Data<(String, String)>| {
        io.to(room).emit("news", &text).await.ok();
    });
    socket.on(
        "say",
        async |socket: SocketRef, Data((room, text)): Data<(String, String)>, reply: AckSender| {
            socket.to(room).emit("said", &text).await.ok();
            reply.send(&()).ok();
        },
    );
}

fn allow_many_files() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
