//! What a client offers: the ClientHello (RFC 8446 section 4.1.2), which is looked at before anybody answers it.

/// The longest ClientHello that is looked at, with the heads of its records.
pub const LONGEST: usize = 16 << 10;

/// Type of the records that carry handshake messages (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// The first byte of the version that records have, whatever is spoken (RFC 8446 section 5.1).
const MAJOR_VERSION: u8 = 3;

/// Type of the message (RFC 8446 section 4).
const CLIENT_HELLO: u8 = 1;

/// The head of a record: type, version, length.
const RECORD_HEAD: usize = 5;

/// Numbers of extensions (RFC 8446 section 4.2).
mod extension {
    pub const SERVER_NAME: u16 = 0;
    pub const SUPPORTED_GROUPS: u16 = 10;
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    pub const ALPN: u16 = 16;
    pub const SUPPORTED_VERSIONS: u16 = 43;
    pub const KEY_SHARE: u16 = 51;
}

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// The beginning of what may be a ClientHello.
    Incomplete,
    /// Nothing that is looked at further.
    Other,
    /// A ClientHello, and nothing behind it that the client could not have sent with it.
    Hello(Box<Hello>),
}

/// What a client offers, each in the order of its preference.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Versions of the protocol.
    pub versions: Vec<u16>,
    /// Cipher suites.
    pub ciphers: Vec<u16>,
    /// Groups for the exchange of keys.
    pub groups: Vec<u16>,
    /// Those of which it has sent a key already.
    pub shares: Vec<u16>,
    /// Signature schemes.
    pub schemes: Vec<u16>,
    /// Application protocols; `None`: it has no opinion.
    pub protocols: Option<Vec<Vec<u8>>>,
    /// The host that it wants to reach, if it says so.
    pub server_name: Option<String>,
}

/// Takes bytes apart. Whatever is not as it should be is `None`: others say what is wrong with it.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|it| it[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|it| u16::from_be_bytes([it[0], it[1]]))
    }

    /// What a length of one byte stands in front of.
    fn short(&mut self) -> Option<Reader<'a>> {
        let length = self.u8()?;
        self.take(usize::from(length)).map(Reader)
    }

    /// What a length of two bytes stands in front of.
    fn long(&mut self) -> Option<Reader<'a>> {
        let length = self.u16()?;
        self.take(usize::from(length)).map(Reader)
    }

    fn numbers(mut self) -> Option<Vec<u16>> {
        let mut numbers = Vec::with_capacity(self.0.len() / 2);
        while !self.is_done() {
            numbers.push(self.u16()?);
        }
        Some(numbers)
    }

    fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

/// Looks at the first bytes of a connection.
pub fn read(bytes: &[u8]) -> Reading {
    let message = match message(bytes) {
        Ok(message) => message,
        Err(reading) => return reading,
    };
    match parse(&message) {
        Some(hello) => Reading::Hello(Box::new(hello)),
        None => Reading::Other,
    }
}

/// The body of the handshake message that a connection begins with, which may be spread over several records.
fn message(bytes: &[u8]) -> Result<Vec<u8>, Reading> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let is_ours = |at: usize, value: u8| rest.get(at).is_none_or(|&it| it == value);
        if !is_ours(0, HANDSHAKE) || !is_ours(1, MAJOR_VERSION) || bytes.len() > LONGEST {
            return Err(Reading::Other);
        }
        let Some(&[_, _, _, high, low]) = rest.get(..RECORD_HEAD) else { return Err(Reading::Incomplete) };
        let length = usize::from(high) << 8 | usize::from(low);
        if length == 0 || length > LONGEST {
            return Err(Reading::Other);
        }
        let record = &rest[RECORD_HEAD..];
        message.extend_from_slice(&record[..length.min(record.len())]);
        match message[..] {
            [kind, ..] if kind != CLIENT_HELLO => return Err(Reading::Other),
            [_, high, middle, low, ..] => {
                let length = 4 + (usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low));
                if length > LONGEST || message.len() > length {
                    return Err(Reading::Other);
                }
                if message.len() == length {
                    // early data, which is ignored, may follow
                    message.drain(..4);
                    return Ok(message);
                }
            }
            _ => {}
        }
        let Some(next) = record.get(length..) else { return Err(Reading::Incomplete) };
        rest = next;
    }
}

fn parse(message: &[u8]) -> Option<Hello> {
    let mut message = Reader(message);
    let legacy_version = message.u16()?;
    let _random = message.take(32)?;
    let _session = message.short()?;
    let mut hello = Hello { ciphers: message.long()?.numbers()?, ..Hello::default() };
    let _compression = message.short()?;
    if !message.is_done() {
        let mut extensions = message.long()?;
        while !extensions.is_done() {
            let kind = extensions.u16()?;
            read_extension(&mut hello, kind, extensions.long()?)?;
        }
    }
    if hello.versions.is_empty() {
        hello.versions.push(legacy_version);
    }
    message.is_done().then_some(hello)
}

fn read_extension(hello: &mut Hello, kind: u16, mut body: Reader<'_>) -> Option<()> {
    match kind {
        extension::SERVER_NAME => {
            let mut names = body.long()?;
            let is_host = names.u8()? == 0;
            let name = names.long()?.0;
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            // an odd name, or several, are somebody else's business
            let name = std::str::from_utf8(name).ok().filter(|name| name.bytes().all(|it| is_plain(&it)))?;
            let is_name = name.parse::<std::net::IpAddr>().is_err() && !name.ends_with('.');
            if !is_host || !names.is_done() || name.is_empty() || !is_name {
                return None;
            }
            hello.server_name = Some(name.to_owned());
        }
        extension::SUPPORTED_GROUPS => hello.groups = body.long()?.numbers()?,
        extension::SIGNATURE_ALGORITHMS => hello.schemes = body.long()?.numbers()?,
        extension::ALPN => {
            let mut list = body.long()?;
            let protocols = hello.protocols.get_or_insert_default();
            while !list.is_done() {
                protocols.push(list.short()?.0.to_vec());
            }
        }
        extension::SUPPORTED_VERSIONS => hello.versions = body.short()?.numbers()?,
        extension::KEY_SHARE => {
            let mut list = body.long()?;
            while !list.is_done() {
                hello.shares.push(list.u16()?);
                list.long()?;
            }
        }
        _ => {}
    }
    Some(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The bytes of a ClientHello, in records of so many bytes at the most.
    pub(in super::super) fn bytes(hello: &Hello, record: usize) -> Vec<u8> {
        fn long(body: &[u8]) -> Vec<u8> {
            [&(body.len() as u16).to_be_bytes()[..], body].concat()
        }
        fn short(body: &[u8]) -> Vec<u8> {
            [&[body.len() as u8][..], body].concat()
        }
        fn numbers(numbers: &[u16]) -> Vec<u8> {
            numbers.iter().flat_map(|it| it.to_be_bytes()).collect()
        }
        let mut extensions = Vec::new();
        let mut extend = |kind: u16, body: &[u8]| {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(long(body));
        };
        if let Some(name) = &hello.server_name {
            extend(0, &long(&[&[0][..], &long(name.as_bytes())].concat()));
        }
        extend(10, &long(&numbers(&hello.groups)));
        extend(13, &long(&numbers(&hello.schemes)));
        if let Some(protocols) = &hello.protocols {
            extend(16, &long(&protocols.iter().flat_map(|it| short(it)).collect::<Vec<_>>()));
        }
        extend(43, &short(&numbers(&hello.versions)));
        let shares = hello.shares.iter().flat_map(|it| [&it.to_be_bytes()[..], &long(&[7; 32])].concat());
        extend(51, &long(&shares.collect::<Vec<_>>()));
        // one that nobody knows (RFC 8701)
        extend(0x1a1a, &[0]);
        let body = [
            &[3, 3][..],
            &[9; 32],
            &short(&[5; 32]),
            &long(&numbers(&hello.ciphers)),
            &short(&[0]),
            &long(&extensions),
        ]
        .concat();
        let message = [&[1, 0][..], &long(&body)].concat();
        message.chunks(record).flat_map(|it| [&[22, 3, 1][..], &long(it)].concat()).collect()
    }

    pub(in super::super) fn usual() -> Hello {
        Hello {
            versions: vec![0x0304, 0x0303],
            ciphers: vec![0x1302, 0x1303, 0x1301, 0xc02b, 0xc02f, 0xc02c, 0xc030],
            groups: vec![29, 23, 30, 24],
            shares: vec![29],
            schemes: vec![0x0403, 0x0804, 0x0401],
            protocols: Some(vec![b"h2".to_vec(), b"http/1.1".to_vec()]),
            server_name: Some("chat.example".into()),
        }
    }

    #[test]
    fn a_hello_is_read_however_it_is_cut() {
        for record in [1 << 14, 100, 7, 1] {
            let bytes = bytes(&usual(), record);
            assert_eq!(read(&bytes), Reading::Hello(Box::new(usual())), "records of {record} bytes");
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), Reading::Incomplete, "{end} bytes of records of {record}");
            }
        }
    }

    #[test]
    fn what_is_no_hello_is_others() {
        let hello = bytes(&usual(), 1 << 14);
        for (what, bytes) in [
            ("a request", b"GET / HTTP/1.1\r\n".to_vec()),
            ("a record of another kind", vec![23, 3, 1, 0, 1]),
            ("an odd version", vec![22, 4]),
            ("another message", vec![22, 3, 1, 0, 4, 2]),
            ("an empty record", vec![22, 3, 1, 0, 0]),
            ("an endless record", vec![22, 3, 1, 0xff, 0xff]),
            ("an endless message", vec![22, 3, 1, 0, 5, 1, 1, 0, 0]),
            ("SSL 2.0", vec![0x80, 0x2e, 1, 3, 1]),
        ] {
            let reading = read(&bytes);
            assert!(matches!(reading, Reading::Other), "{what}: {reading:?}");
        }
        // each byte that says how much follows
        for (at, _) in hello.iter().enumerate().skip(9) {
            for value in [0, 0xff] {
                let mut odd = hello.clone();
                odd[at] = value;
                let _ = read(&odd);
            }
        }
        assert_eq!(read(&[]), Reading::Incomplete);
    }

    #[test]
    fn odd_names_are_others() {
        for name in ["127.0.0.1", "", "chat.example.", "ch@t", "caf\u{e9}"] {
            let hello = Hello { server_name: Some(name.into()), ..usual() };
            assert_eq!(read(&bytes(&hello, 1 << 14)), Reading::Other, "{name}");
        }
    }
}
