//! Closed-loop WebSocket load generator that speaks just enough Engine.IO v4 / Socket.IO v5
//! (or raw text WebSocket with --raw) to compare servers on the same work.
//! One thread, epoll. Prints one JSON line.
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

struct Args {
    port: u16,
    path: String,
    n: usize,
    scenario: String,
    size: usize,
    inflight: usize,
    secs: f64,
    pid: u32,
    raw: bool,
    idle: f64,
    rooms: usize,
    batch: usize,
    bin: bool,
}

fn args() -> Args {
    let mut a = Args {
        port: 3000,
        path: "/socket.io/".into(),
        n: 100,
        scenario: "echo".into(),
        size: 32,
        inflight: 1,
        secs: 3.0,
        pid: 0,
        raw: false,
        idle: 5.0,
        rooms: 10,
        batch: 500,
        bin: false,
    };
    let v: Vec<String> = std::env::args().skip(1).collect();
    let mut i = 0;
    while i < v.len() {
        let k = v[i].as_str();
        if k == "--raw" {
            a.raw = true;
            i += 1;
            continue;
        }
        if k == "--bin" {
            a.bin = true;
            i += 1;
            continue;
        }
        let x = &v[i + 1];
        match k {
            "--port" => a.port = x.parse().unwrap(),
            "--path" => a.path = x.clone(),
            "--n" => a.n = x.parse().unwrap(),
            "--scenario" => a.scenario = x.clone(),
            "--size" => a.size = x.parse().unwrap(),
            "--inflight" => a.inflight = x.parse().unwrap(),
            "--secs" => a.secs = x.parse().unwrap(),
            "--pid" => a.pid = x.parse().unwrap(),
            "--idle" => a.idle = x.parse().unwrap(),
            "--rooms" => a.rooms = x.parse().unwrap(),
            "--batch" => a.batch = x.parse().unwrap(),
            _ => panic!("unknown flag {k}"),
        }
        i += 2;
    }
    a
}

/// (process cpu s, main-thread cpu s, rss KiB) of the server
fn proc_stat(pid: u32) -> (f64, f64, u64) {
    if pid == 0 {
        return (0.0, 0.0, 0);
    }
    let cpu = |p: String| -> f64 {
        let s = std::fs::read_to_string(p).unwrap_or_default();
        let r = match s.rfind(')') {
            Some(k) => &s[k + 2..],
            None => return 0.0,
        };
        let f: Vec<&str> = r.split(' ').collect();
        (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
    };
    let rss = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .find(|l| l.starts_with("VmRSS"))
        .and_then(|l| l.split_whitespace().nth(1).map(|x| x.parse().unwrap()))
        .unwrap_or(0);
    (cpu(format!("/proc/{pid}/stat")), cpu(format!("/proc/{pid}/task/{pid}/stat")), rss)
}

struct Conn {
    s: TcpStream,
    hs: bool,
    ready: bool,
    rb: Vec<u8>,
    wb: Vec<u8>,
    sent: VecDeque<Instant>,
    want_w: bool,
    dead: bool,
}

fn frame(out: &mut Vec<u8>, p: &[u8], op: u8) {
    out.push(0x80 | op);
    let l = p.len();
    if l < 126 {
        out.push(0x80 | l as u8)
    } else if l < 65536 {
        out.push(0x80 | 126);
        out.extend((l as u16).to_be_bytes())
    } else {
        out.push(0x80 | 127);
        out.extend((l as u64).to_be_bytes())
    }
    let m = [0x12u8, 0x34, 0x56, 0x78];
    out.extend(m);
    let st = out.len();
    out.extend_from_slice(p);
    for (i, b) in out[st..].iter_mut().enumerate() {
        *b ^= m[i & 3]
    }
}

fn flush(c: &mut Conn, poll: &Poll, i: usize) {
    while !c.wb.is_empty() {
        match c.s.write(&c.wb) {
            Ok(0) => {
                c.dead = true;
                return;
            }
            Ok(k) => {
                c.wb.drain(..k);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if !c.want_w {
                    c.want_w = true;
                    poll.registry()
                        .reregister(&mut c.s, Token(i), Interest::READABLE | Interest::WRITABLE)
                        .unwrap();
                }
                return;
            }
            Err(_) => {
                c.dead = true;
                return;
            }
        }
    }
    if c.want_w {
        c.want_w = false;
        poll.registry().reregister(&mut c.s, Token(i), Interest::READABLE).unwrap();
    }
}

/// Reads what is there and appends whole messages (opcode, payload) to `msgs`.
fn pump(c: &mut Conn, tmp: &mut [u8], msgs: &mut Vec<(u8, Vec<u8>)>) {
    loop {
        match c.s.read(tmp) {
            Ok(0) => {
                c.dead = true;
                break;
            }
            Ok(k) => {
                c.rb.extend_from_slice(&tmp[..k]);
                if k < tmp.len() {
                    break;
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(_) => {
                c.dead = true;
                break;
            }
        }
    }
    let mut p = 0;
    if !c.hs {
        match c.rb.windows(4).position(|w| w == b"\r\n\r\n") {
            Some(k) => {
                if !c.rb.starts_with(b"HTTP/1.1 101") {
                    eprintln!("bad handshake: {}", String::from_utf8_lossy(&c.rb[..k]));
                    c.dead = true;
                    return;
                }
                c.hs = true;
                p = k + 4;
                msgs.push((0xff, vec![]));
            }
            None => return,
        }
    }
    loop {
        let b = &c.rb[p..];
        if b.len() < 2 {
            break;
        }
        let (l, h) = match b[1] & 127 {
            126 => {
                if b.len() < 4 {
                    break;
                }
                (u16::from_be_bytes([b[2], b[3]]) as usize, 4)
            }
            127 => {
                if b.len() < 10 {
                    break;
                }
                (u64::from_be_bytes(b[2..10].try_into().unwrap()) as usize, 10)
            }
            x => (x as usize, 2),
        };
        if b.len() < h + l {
            break;
        }
        msgs.push((b[0] & 15, b[h..h + l].to_vec()));
        p += h + l;
    }
    c.rb.drain(..p);
    if c.rb.is_empty() && c.rb.capacity() > 65536 {
        c.rb = Vec::new();
    }
}

fn main() {
    let a = args();
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4096);
    let mut tmp = vec![0u8; 1 << 16];
    let mut conns: Vec<Conn> = Vec::with_capacity(a.n);
    let (cpu0, main0, rss0) = proc_stat(a.pid);
    let t0 = Instant::now();
    let mut ready = 0usize;
    let mut msgs: Vec<(u8, Vec<u8>)> = vec![];
    let mk = |i: usize| -> TcpStream {
        // Each run has loopback addresses of its own, few connections on each: ports of earlier runs stay taken for a
        // minute, and the kernel searches long for a free one once many are.
        let ip = std::net::Ipv4Addr::new(127, 1 + (std::process::id() % 250) as u8, (i / 2000) as u8, 1);
        let s = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        s.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
        s.set_nonblocking(true).unwrap();
        s.set_tcp_nodelay(true).unwrap();
        let _ = s.connect(&SocketAddr::from(([127, 0, 0, 1], a.port)).into());
        TcpStream::from_std(s.into())
    };
    let payload = "x".repeat(a.size);
    let mut last_progress = Instant::now();
    let mut last_ready = 0;
    // connect phase, at most --batch handshakes in flight
    while ready < a.n {
        while conns.len() < a.n && conns.len() - ready < a.batch {
            let i = conns.len();
            let mut s = mk(i);
            poll.registry().register(&mut s, Token(i), Interest::READABLE | Interest::WRITABLE).unwrap();
            let q = if a.raw { a.path.clone() } else { format!("{}?EIO=4&transport=websocket", a.path) };
            let wb = format!("GET {q} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", a.port).into_bytes();
            conns.push(Conn {
                s,
                hs: false,
                ready: false,
                rb: vec![],
                wb,
                sent: VecDeque::new(),
                want_w: true,
                dead: false,
            });
        }
        poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
        for e in events.iter() {
            let i = e.token().0;
            if e.is_writable() && conns[i].s.peer_addr().is_ok() {
                flush(&mut conns[i], &poll, i);
            }
            if e.is_readable() {
                pump(&mut conns[i], &mut tmp, &mut msgs);
                for (_op, m) in msgs.drain(..).collect::<Vec<_>>() {
                    let c = &mut conns[i];
                    if a.raw {
                        if _op == 0xff {
                            c.ready = true;
                            ready += 1;
                        }
                        continue;
                    }
                    match m.first() {
                        Some(b'0') => {
                            frame(&mut c.wb, b"40", 1);
                            flush(c, &poll, i);
                        }
                        Some(b'2') => {
                            frame(&mut c.wb, b"3", 1);
                            flush(c, &poll, i);
                        }
                        Some(b'4') if m.get(1) == Some(&b'0') => {
                            if !c.ready {
                                c.ready = true;
                                ready += 1;
                            }
                        }
                        _ => {}
                    }
                }
            }
            if conns[i].dead {
                eprintln!("connection {i} died in connect phase");
                std::process::exit(1);
            }
        }
        if ready > last_ready {
            last_ready = ready;
            last_progress = Instant::now();
        }
        if last_progress.elapsed() > Duration::from_secs(20) {
            eprintln!("stuck at {ready}/{}", a.n);
            std::process::exit(1);
        }
    }
    let connect_s = t0.elapsed().as_secs_f64();
    let (cpu1, main1, rss1) = proc_stat(a.pid);
    let n = a.n;
    let ev = |name: &str, extra: &str| -> Vec<u8> {
        if a.raw {
            payload.clone().into_bytes()
        } else {
            format!("42[\"{name}\"{extra},\"{payload}\"]").into_bytes()
        }
    };

    if a.scenario == "idle" {
        // answer pings only
        let end = Instant::now() + Duration::from_secs_f64(a.idle);
        let mut pings = 0u64;
        while Instant::now() < end {
            poll.poll(&mut events, Some(Duration::from_millis(50))).unwrap();
            for e in events.iter() {
                let i = e.token().0;
                if e.is_writable() {
                    flush(&mut conns[i], &poll, i);
                }
                if e.is_readable() {
                    pump(&mut conns[i], &mut tmp, &mut msgs);
                    for (op, m) in msgs.drain(..).collect::<Vec<_>>() {
                        let c = &mut conns[i];
                        if op == 9 {
                            frame(&mut c.wb, &m, 10);
                            flush(c, &poll, i);
                            pings += 1;
                        } else if !a.raw && m == b"2" {
                            frame(&mut c.wb, b"3", 1);
                            flush(c, &poll, i);
                            pings += 1;
                        }
                    }
                }
            }
        }
        let (cpu2, main2, rss2) = proc_stat(a.pid);
        let dead = conns.iter().filter(|c| c.dead).count();
        println!("{{\"scenario\":\"idle\",\"n\":{n},\"connect_per_s\":{:.0},\"connect_cpu_us\":{:.1},\"connect_main_us\":{:.1},\"rss_per_conn_kib\":{:.2},\"rss0_mib\":{:.1},\"rss_end_mib\":{:.1},\"idle_s\":{:.1},\"idle_cpu_s\":{:.2},\"idle_main_s\":{:.2},\"pings\":{pings},\"cpu_us_per_ping\":{:.2},\"dead\":{dead}}}",
            n as f64 / connect_s, (cpu1 - cpu0) / n as f64 * 1e6, (main1 - main0) / n as f64 * 1e6, (rss2 as f64 - rss0 as f64) / n as f64, rss0 as f64 / 1024.0, rss2 as f64 / 1024.0, a.idle, cpu2 - cpu1, main2 - main1, if pings > 0 { (cpu2 - cpu1) / pings as f64 * 1e6 } else { 0.0 });
        return;
    }

    let room_mode = a.scenario == "rooms";
    if room_mode {
        for i in 0..n {
            let c = &mut conns[i];
            let m = format!("42[\"join\",\"r{}\"]", i % a.rooms);
            frame(&mut c.wb, m.as_bytes(), 1);
            flush(c, &poll, i);
        }
        std::thread::sleep(Duration::from_millis(800));
    }
    let bc = a.scenario == "broadcast" || room_mode;
    let mut ops = 0u64; // echoes, or deliveries
    let mut lat: Vec<u32> = Vec::with_capacity(1 << 20);
    let mut bcs = 0u64;
    let mut got = 0usize; // deliveries of what is outstanding (broadcast)
    let mut bsent: VecDeque<Instant> = VecDeque::new();
    let mut next_room = 0usize;
    let per_bc = if room_mode { n / a.rooms } else { n };
    let start = |c: &mut Conn, room: &mut usize| {
        let m = if room_mode {
            let r = *room;
            *room = (*room + 1) % a.rooms;
            ev("rb", &format!(",\"r{r}\""))
        } else if bc {
            ev("bc", "")
        } else if a.scenario == "ack" {
            format!("42{}[\"ack\",\"{payload}\"]", 7).into_bytes()
        } else {
            ev("echo", "")
        };
        frame(&mut c.wb, &m, 1);
    };
    let warm = 0.3f64;
    let mut measuring = false;
    let mut tm = Instant::now();
    let (mut c_a, mut m_a, mut r_a) = (0.0, 0.0, 0u64);
    if bc {
        for _ in 0..a.inflight {
            let c = &mut conns[0];
            start(c, &mut next_room);
            bsent.push_back(Instant::now());
        }
        flush(&mut conns[0], &poll, 0);
    } else {
        for i in 0..n {
            for _ in 0..a.inflight {
                let c = &mut conns[i];
                start(c, &mut next_room);
                c.sent.push_back(Instant::now());
            }
            flush(&mut conns[i], &poll, i);
        }
    }
    let ts = Instant::now();
    let mut last_ops = Instant::now();
    loop {
        let el = ts.elapsed().as_secs_f64();
        if !measuring && el > warm {
            measuring = true;
            tm = Instant::now();
            let s = proc_stat(a.pid);
            c_a = s.0;
            m_a = s.1;
            r_a = s.2;
            ops = 0;
            lat.clear();
            bcs = 0;
        }
        if measuring && tm.elapsed().as_secs_f64() > a.secs {
            break;
        }
        if last_ops.elapsed() > Duration::from_secs(15) {
            eprintln!("stalled after {ops} ops");
            std::process::exit(1);
        }
        poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
        for e in events.iter() {
            let i = e.token().0;
            if e.is_writable() {
                flush(&mut conns[i], &poll, i);
            }
            if !e.is_readable() {
                continue;
            }
            pump(&mut conns[i], &mut tmp, &mut msgs);
            let mut kick = 0;
            for (op, m) in msgs.drain(..) {
                if op == 9 {
                    continue;
                }
                if !a.raw {
                    if m == b"2" {
                        let c = &mut conns[i];
                        frame(&mut c.wb, b"3", 1);
                        continue;
                    }
                    if m.len() < 2 || m[0] != b'4' || (m[1] != b'2' && m[1] != b'3') {
                        continue;
                    }
                }
                ops += 1;
                if bc {
                    got += 1;
                    if got == per_bc {
                        got = 0;
                        bcs += 1;
                        if let Some(t) = bsent.pop_front() {
                            lat.push(t.elapsed().as_micros() as u32);
                        }
                        kick += 1;
                    }
                } else {
                    let c = &mut conns[i];
                    if let Some(t) = c.sent.pop_front() {
                        lat.push(t.elapsed().as_micros() as u32);
                    }
                    start(c, &mut next_room);
                    c.sent.push_back(Instant::now());
                }
            }
            for _ in 0..kick {
                let c = &mut conns[0];
                start(c, &mut next_room);
                bsent.push_back(Instant::now());
            }
            if kick > 0 {
                flush(&mut conns[0], &poll, 0);
            }
            if !conns[i].wb.is_empty() && !conns[i].want_w {
                flush(&mut conns[i], &poll, i);
            }
            if conns[i].dead {
                eprintln!("connection {i} died");
                std::process::exit(1);
            }
        }
        if ops > 0 {
            last_ops = Instant::now();
        }
    }
    let secs = tm.elapsed().as_secs_f64();
    let (c_b, m_b, r_b) = proc_stat(a.pid);
    lat.sort_unstable();
    let q = |f: f64| if lat.is_empty() { 0 } else { lat[((lat.len() - 1) as f64 * f) as usize] };
    println!("{{\"scenario\":\"{}\",\"n\":{n},\"size\":{},\"inflight\":{},\"ops_per_s\":{:.0},\"broadcasts\":{bcs},\"server_cpu_us_per_op\":{:.3},\"main_us_per_op\":{:.3},\"server_cores\":{:.2},\"p50_us\":{},\"p99_us\":{},\"rss_mib\":{:.1},\"rss_growth_mib\":{:.1},\"connect_per_s\":{:.0},\"rss_per_conn_kib\":{:.2}}}",
        a.scenario, a.size, a.inflight, ops as f64 / secs, (c_b - c_a) / ops.max(1) as f64 * 1e6, (m_b - m_a) / ops.max(1) as f64 * 1e6, (c_b - c_a) / secs, q(0.5), q(0.99), r_b as f64 / 1024.0, (r_b as f64 - r_a as f64) / 1024.0, n as f64 / connect_s, (rss1 as f64 - rss0 as f64) / n as f64);
}
