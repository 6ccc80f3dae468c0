//! Answers to the requests of a client that polls, byte for byte as Node's HTTP server writes them.

use super::coding::Coding;

/// What an answer has in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// Packets, for a GET.
    Payload(&'a str),
    /// The same, compressed, of which the chunks are to follow.
    Encoded(Coding),
    /// The confirmation of a POST.
    Ok,
}

/// What becomes of the connection behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It waits for this many seconds for the next request.
    KeepAlive(u64),
    /// It is closed.
    Close,
}

/// An answer. `first`: headers that middlewares have set. `last`: what else there is to say. Lines with their ends, both.
/// `now`: seconds since the beginning of 1970.
pub fn answer(first: &str, body: Body<'_>, last: &str, now: u64, then: Then) -> Vec<u8> {
    let (kind, coding, body) = match body {
        Body::Payload(payload) => ("text/plain; charset=UTF-8", None, payload),
        Body::Encoded(coding) => ("text/plain; charset=UTF-8", Some(coding), ""),
        // text/plain would make some browsers offer a download
        Body::Ok => ("text/html", None, "ok"),
    };
    let mut out = String::with_capacity(256 + first.len() + last.len() + body.len());
    out.extend(["HTTP/1.1 200 OK\r\n", first, "Content-Type: ", kind]);
    match coding {
        Some(coding) => out.extend(["\r\nContent-Encoding: ", coding.name()]),
        None => out.extend(["\r\nContent-Length: ", &body.len().to_string()]),
    }
    out.extend(["\r\ncache-control: no-store\r\n", last]);
    write_last_headers(now, then, &mut out);
    if coding.is_some() {
        out.push_str("\r\nTransfer-Encoding: chunked");
    }
    out.extend(["\r\n\r\n", body]);
    out.into_bytes()
}

/// An answer without a body. `head`: its status line and headers, with their ends.
pub fn bare_answer(head: &str, now: u64, then: Then) -> Vec<u8> {
    let mut out = String::with_capacity(128 + head.len());
    out.push_str(head);
    write_last_headers(now, then, &mut out);
    out.push_str("\r\n\r\n");
    out.into_bytes()
}

/// An answer behind which the connection is closed, as its headers say: Node has not been told how long its body is. `head`: its
/// status line and headers, with their ends.
pub fn refusal(head: &str, body: &str, now: u64) -> Vec<u8> {
    let mut out = String::with_capacity(128 + head.len() + body.len());
    out.extend([head, "Date: "]);
    write_date(now, &mut out);
    out.push_str("\r\nTransfer-Encoding: chunked\r\n\r\n");
    out.extend([&format!("{:x}\r\n", body.len()), body, "\r\n0\r\n\r\n"]);
    out.into_bytes()
}

/// What Node adds to headers, but for the end of the last line.
fn write_last_headers(now: u64, then: Then, out: &mut String) {
    out.push_str("Date: ");
    write_date(now, out);
    match then {
        Then::KeepAlive(seconds) => {
            out.extend(["\r\nConnection: keep-alive\r\nKeep-Alive: timeout=", &seconds.to_string()]);
        }
        Then::Close => out.push_str("\r\nConnection: close"),
    }
}

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A date as RFC 9110 section 5.6.7 wants it.
fn write_date(now: u64, out: &mut String) {
    let (days, seconds) = (now / 86_400, now % 86_400);
    let (mut year, mut day) = (1970, days);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let two = |out: &mut String, value: u64| {
        out.push((b'0' + (value / 10 % 10) as u8) as char);
        out.push((b'0' + (value % 10) as u8) as char);
    };
    out.push_str(DAYS[(days % 7) as usize]);
    out.push_str(", ");
    two(out, day + 1);
    out.extend([" ", MONTHS[month], " "]);
    two(out, year / 100);
    two(out, year % 100);
    for (before, value) in [(' ', seconds / 3600), (':', seconds / 60 % 60), (':', seconds % 60)] {
        out.push(before);
        two(out, value);
    }
    out.push_str(" GMT");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (now, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            let mut text = String::new();
            write_date(now, &mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn an_answer_is_what_node_makes_of_it() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(answer("Vary: Origin\r\n", Body::Payload("2é"), "Set-Cookie: a=b\r\n", 0, Then::KeepAlive(5))),
            "HTTP/1.1 200 OK\r\nVary: Origin\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 3\r\n\
             cache-control: no-store\r\nSet-Cookie: a=b\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n2é"
        );
        assert_eq!(
            text(answer("", Body::Encoded(Coding::Deflate), "X: y\r\n", 0, Then::KeepAlive(5))),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Encoding: deflate\r\n\
             cache-control: no-store\r\nX: y\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        assert_eq!(
            text(answer("", Body::Ok, "", 0, Then::Close)),
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\ncache-control: no-store\r\n\
             Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: close\r\n\r\nok"
        );
        assert_eq!(
            text(refusal("HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\n", "no more at present", 0)),
            "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Transfer-Encoding: chunked\r\n\r\n12\r\nno more at present\r\n0\r\n\r\n"
        );
    }
}
