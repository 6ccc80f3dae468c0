//! Content codings: which one an answer gets, and the body that it makes (RFC 9110 sections 8.4 and 12.5.3, RFC 9112
//! section 7.1).

use std::cmp::Reverse;
use std::io::Write;

use flate2::{Compress, Compression, FlushCompress, Status};

/// Bytes of a body that are compressed at a time.
const PIECE: usize = 16 << 10;

/// Bytes that one step of compression makes room for.
const ROOM: usize = 4 << 10;

/// The base-2 logarithm of the window.
const WINDOW_BITS: u8 = 15;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    /// In the format of zlib.
    Deflate,
}

impl Coding {
    /// Its name in headers.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
        }
    }
}

/// What a client takes in place of plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Nothing that we could make.
    Plain,
    /// This one, rather than the other.
    Coding(Coding),
    /// What it says has a form about which there can be two opinions.
    Unclear,
}

/// What the value of an Accept-Encoding says, by the rules that stock goes by: a coding that is named is not subject to `*`,
/// the one with the greater weight is taken, and of two that weigh the same the one that is named, then the first.
pub fn accepted(value: &[u8]) -> Accepted {
    let (mut gzip, mut deflate) = (Claim::default(), Claim::default());
    for (place, member) in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).enumerate() {
        if member.is_empty() {
            continue;
        }
        let Some((name, weight)) = parse(member) else { return Accepted::Unclear };
        for (claim, own) in [(&mut gzip, Coding::Gzip), (&mut deflate, Coding::Deflate)] {
            let is_named = name.eq_ignore_ascii_case(own.name().as_bytes());
            if is_named || name == b"*" {
                *claim = (*claim).max(Claim { is_named, weight, place });
            }
        }
    }
    let rank = |claim: Claim| (claim.weight, claim.is_named, Reverse(claim.place));
    match (gzip.weight, deflate.weight) {
        (0, 0) => Accepted::Plain,
        _ if rank(gzip) >= rank(deflate) => Accepted::Coding(Coding::Gzip),
        _ => Accepted::Coding(Coding::Deflate),
    }
}

/// What a member of the list says of a coding; the greatest holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    is_named: bool,
    /// In thousandths.
    weight: u16,
    place: usize,
}

/// The name and the weight in a member of the list.
fn parse(member: &[u8]) -> Option<(&[u8], u16)> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let (name, weight) = match member.iter().position(|&byte| byte == b';') {
        Some(end) => (&member[..end], parse_weight(member[end + 1..].trim_ascii())?),
        None => (member, 1000),
    };
    let name = name.trim_ascii_end();
    (!name.is_empty() && name.iter().all(is_token)).then_some((name, weight))
}

/// RFC 9110 section 12.4.2: 0 to 1, with up to three digits behind the point.
fn parse_weight(text: &[u8]) -> Option<u16> {
    let (whole, digits) = match text.strip_prefix(b"q=")? {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut weight = u16::from(whole - b'0') * 1000;
    for (digit, unit) in digits.iter().zip([100, 10, 1]) {
        weight += u16::from(digit.is_ascii_digit().then(|| digit - b'0')?) * unit;
    }
    (weight <= 1000).then_some(weight)
}

/// A body on its way: it is compressed a piece at a time, and goes out in chunks.
#[derive(Debug)]
pub struct Encoder {
    compressor: Compress,
    body: String,
    taken: usize,
    is_done: bool,
}

impl Encoder {
    /// `level`: 0 to 9.
    pub fn new(coding: Coding, level: u32, body: String) -> Encoder {
        let level = Compression::new(level);
        let compressor = match coding {
            Coding::Gzip => Compress::new_gzip(level, WINDOW_BITS),
            Coding::Deflate => Compress::new(level, true),
        };
        Encoder { compressor, body, taken: 0, is_done: false }
    }

    /// Whether all of it has been written.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Appends what comes next of the body, if that is anything yet. Returns how many bytes have been compressed for it.
    pub fn write_piece(&mut self, out: &mut Vec<u8>) -> usize {
        let rest = &self.body.as_bytes()[self.taken..];
        let piece = &rest[..rest.len().min(PIECE)];
        let is_last = piece.len() == rest.len();
        let flush = if is_last { FlushCompress::Finish } else { FlushCompress::None };
        let mut chunk = Vec::new();
        let start = self.compressor.total_in();
        loop {
            chunk.reserve(ROOM);
            let consumed = (self.compressor.total_in() - start) as usize;
            // compression fails only for parameters that the library would have refused at once
            let status = self.compressor.compress_vec(&piece[consumed..], &mut chunk, flush);
            let has_room = chunk.len() < chunk.capacity();
            if has_room || !matches!(status, Ok(Status::Ok | Status::BufError)) {
                break;
            }
        }
        self.taken += piece.len();
        self.is_done = is_last;
        if !chunk.is_empty() {
            let _ = write!(out, "{:x}\r\n", chunk.len());
            out.extend_from_slice(&chunk);
            out.extend_from_slice(b"\r\n");
        }
        if is_last {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        piece.len()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{GzDecoder, ZlibDecoder};

    use super::Coding::{Deflate, Gzip};
    use super::*;

    #[test]
    fn the_coding_is_the_one_that_the_client_likes_best() {
        for (value, coding) in [
            ("gzip, deflate, br, zstd", Gzip),
            ("gzip, deflate", Gzip),
            ("gzip", Gzip),
            ("GZip", Gzip),
            ("deflate", Deflate),
            ("deflate, gzip", Deflate),
            ("deflate,gzip;q=1.0", Deflate),
            ("br, , gzip", Gzip),
            ("gzip;q=1.0,deflate;q=0.6,identity;q=0.3", Gzip),
            ("gzip;q=0.5, deflate;q=0.51", Deflate),
            ("gzip ; q=0.001", Gzip),
            ("gzip;q=0, deflate", Deflate),
            ("identity;q=1, *;q=0.5", Gzip),
            ("identity, gzip;q=0.1", Gzip),
            ("*", Gzip),
            ("*, deflate", Deflate),
            ("*;q=0.5, deflate;q=0.4", Gzip),
            ("*;q=0, deflate", Deflate),
            ("gzip;q=0, *", Deflate),
            // the last that names it
            ("gzip;q=0.9, gzip;q=0.2, deflate;q=0.5", Gzip),
            ("deflate, gzip, deflate", Gzip),
        ] {
            assert_eq!(accepted(value.as_bytes()), Accepted::Coding(coding), "{value:?}");
        }
        for value in
            ["", " ", ",", "identity", "br, zstd", "x-gzip", "gzip;q=0", "*;q=0.000", "gzip;q=0, deflate;q=0"]
        {
            assert_eq!(accepted(value.as_bytes()), Accepted::Plain, "{value:?}");
        }
    }

    #[test]
    fn there_can_be_two_opinions_about_anything_else() {
        for value in [
            "gzip deflate",
            "gzip;",
            "gzip;q",
            "gzip;q=",
            "gzip;Q=1",
            "gzip;q =1",
            "gzip;q= 1",
            "gzip;q=.5",
            "gzip;q=1.001",
            "gzip;q=2",
            "gzip;q=-1",
            "gzip;q=0.1234",
            "gzip;q=0.1x",
            "gzip;q=1e0",
            "gzip;a=b;q=0",
            "gzip;q=1;a=b",
            ";q=1",
            "\"gzip\"",
            "br;level=4",
            "gzip, b/r",
        ] {
            assert_eq!(accepted(value.as_bytes()), Accepted::Unclear, "{value:?}");
        }
    }

    /// What chunks contain.
    fn joined(mut chunks: &[u8]) -> Vec<u8> {
        let mut joined = Vec::new();
        loop {
            let end = chunks.windows(2).position(|it| it == b"\r\n").unwrap();
            let length = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
            let (chunk, rest) = chunks[end + 2..].split_at(length);
            joined.extend_from_slice(chunk);
            chunks = rest.strip_prefix(b"\r\n").unwrap();
            if length == 0 {
                assert!(chunks.is_empty());
                return joined;
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_body_is_what_was_compressed() {
        // text that is hard to compress
        let mut state = 1_u32;
        let mut letter = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b' ' + (state >> 24) as u8 % 95)
        };
        for length in [1, 100, PIECE - 1, PIECE, PIECE + 1, 200_000] {
            let random: String = std::iter::repeat_with(&mut letter).take(length).collect();
            for body in [random, "é".repeat(length)] {
                for (coding, level) in [(Gzip, 6), (Gzip, 0), (Deflate, 9), (Deflate, 1)] {
                    let mut encoder = Encoder::new(coding, level, body.clone());
                    let mut chunks = Vec::new();
                    let mut pieces = 0;
                    while !encoder.is_done() {
                        assert!(encoder.write_piece(&mut chunks) <= PIECE);
                        pieces += 1;
                    }
                    assert_eq!(pieces, body.len().div_ceil(PIECE));
                    let bytes = joined(&chunks);
                    let mut text = String::new();
                    match coding {
                        Gzip => GzDecoder::new(&bytes[..]).read_to_string(&mut text),
                        Deflate => ZlibDecoder::new(&bytes[..]).read_to_string(&mut text),
                    }
                    .unwrap();
                    assert!(text == body, "{coding:?} {level} {length}");
                }
            }
        }
    }
}
