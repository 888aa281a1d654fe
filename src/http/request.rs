//! Reads HTTP/1.1 requests out of bytes. Refuses everything that two readers could understand
//! differently: bare line feeds, two lengths, length beside chunks, unknown codings, path tricks.
//! Uses no sockets and no time.

use std::net::SocketAddr;

/// More header lines than this are answered 431.
const MAX_HEADERS: usize = 64;
/// The longest chunk-size line in bytes, extensions included.
const MAX_CHUNK_LINE: usize = 256;
/// The most bytes of all trailer lines of a chunked body together.
const MAX_TRAILER: usize = 4096;

/// A complete request.
#[derive(Clone, Debug)]
pub struct Request {
    /// As the client sent it: `GET`, `POST`, …
    pub method: String,
    /// Percent-decoded, starts with `/`; holds no `.` or `..` segment and no control character.
    pub path: String,
    /// Decoded pairs of the query, in their order.
    pub query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    /// Already decoded if the client sent chunks.
    pub body: Vec<u8>,
    pub peer: SocketAddr,
}

impl Request {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name).next()
    }

    /// The last header of this name, which the nearest proxy wrote.
    pub fn last_header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name).last()
    }

    /// The first query value of this name.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Why a request is refused before any handler gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest {
    pub status: u16,
    pub why: &'static str,
}

pub(crate) fn refuse<T>(status: u16, why: &'static str) -> Result<T, BadRequest> {
    Err(BadRequest { status, why })
}

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
}

/// Everything before the body.
#[derive(Clone, Debug)]
pub struct Head {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The client allows another request on this connection.
    pub keep_alive: bool,
}

impl Head {
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn is_head_method(&self) -> bool {
        self.method == "HEAD"
    }

    pub fn with_body(self, body: Vec<u8>, peer: SocketAddr) -> Request {
        let Head { method, path, query, headers, .. } = self;
        Request { method, path, query, headers, body, peer }
    }
}

/// Reads the head out of `bytes`, which end with its empty line. The caller checks the length of
/// the body.
pub fn parse_head(bytes: &[u8]) -> Result<Head, BadRequest> {
    let bare_line_feed =
        (0..bytes.len()).any(|i| bytes[i] == b'\n' && (i == 0 || bytes[i - 1] != b'\r'));
    if bare_line_feed {
        return refuse(400, "a line must end with CR LF");
    }
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut lines);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(used)) if used == bytes.len() => {}
        Ok(_) => return refuse(400, "the head is not complete"),
        Err(httparse::Error::TooManyHeaders) => return refuse(431, "too many headers"),
        Err(httparse::Error::Version) => return refuse(505, "only HTTP/1.1 is spoken here"),
        Err(_) => return refuse(400, "the head cannot be read"),
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return refuse(400, "the head is not complete");
    };
    let mut headers = Vec::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let Ok(value) = std::str::from_utf8(line.value) else {
            return refuse(400, "a header is not UTF-8");
        };
        headers.push((line.name.to_ascii_lowercase(), value.trim().to_string()));
    }
    if version == 1 && find(&headers, "host").count() != 1 {
        return refuse(400, "exactly one Host header is needed");
    }
    let (path, query) = parse_target(target)?;
    let framing = framing(&headers, version == 1)?;
    let expects_continue = match find(&headers, "expect").next() {
        None => false,
        Some(value) if value.eq_ignore_ascii_case("100-continue") => true,
        Some(_) => return refuse(417, "this expectation is not met"),
    };
    let closes = find(&headers, "connection")
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case("close"));
    Ok(Head {
        method: method.to_string(),
        path,
        query,
        headers,
        framing,
        expects_continue,
        keep_alive: version == 1 && !closes,
    })
}

/// The length of the body. Any ambiguity is refused, because a proxy may have read it differently.
fn framing(headers: &[(String, String)], http_1_1: bool) -> Result<Framing, BadRequest> {
    let lengths: Vec<&str> = find(headers, "content-length").collect();
    let codings: Vec<&str> = find(headers, "transfer-encoding").collect();
    if !codings.is_empty() {
        if !lengths.is_empty() {
            return refuse(400, "Content-Length and Transfer-Encoding exclude each other");
        }
        if !http_1_1 || codings.len() != 1 {
            return refuse(400, "Transfer-Encoding is not unique");
        }
        if !codings[0].eq_ignore_ascii_case("chunked") {
            return refuse(501, "only the transfer coding chunked is known");
        }
        return Ok(Framing::Chunked);
    }
    let Some(first) = lengths.first() else {
        return Ok(Framing::Length(0));
    };
    let digits = !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit());
    if lengths.len() != 1 || !digits || first.len() > 18 {
        return refuse(400, "Content-Length is not one number");
    }
    match first.parse::<usize>() {
        Ok(length) => Ok(Framing::Length(length)),
        Err(_) => refuse(413, "the body is too large"),
    }
}

/// Values of a header; names are stored in lower case.
fn find<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

type Target = (String, Vec<(String, String)>);

/// Splits and decodes the request target. In the absolute form the host is ignored.
fn parse_target(target: &str) -> Result<Target, BadRequest> {
    let local = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            rest.find('/').map_or("/", |start| &rest[start..])
        }
        _ => target,
    };
    if !local.starts_with('/') || local.contains('#') || !local.is_ascii() {
        return refuse(400, "the target is not a path");
    }
    let (raw_path, raw_query) = local.split_once('?').unwrap_or((local, ""));
    if raw_path.to_ascii_lowercase().contains("%2f") {
        return refuse(400, "an encoded slash is ambiguous");
    }
    let path = percent_decode(raw_path, false)?;
    if path.split(['/', '\\']).any(|segment| segment == "." || segment == "..") {
        return refuse(400, "the path leaves its folder");
    }
    let mut query = Vec::new();
    for pair in raw_query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        query.push((percent_decode(name, true)?, percent_decode(value, true)?));
    }
    Ok((path, query))
}

/// Decodes `%41`, and `+` as a space in a form. Refuses broken escapes, bytes that are not UTF-8
/// and, outside a form, control characters. The `percent-encoding` crate would accept broken
/// escapes.
pub fn percent_decode(text: &str, form: bool) -> Result<String, BadRequest> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let digit = |i: usize| tail.get(i).and_then(|b| (*b as char).to_digit(16));
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    return refuse(400, "a percent escape is broken");
                };
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            b'+' if form => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    // Form fields may hold line breaks (from a text area); a path may not.
    match String::from_utf8(bytes) {
        Ok(text) if form || !text.chars().any(char::is_control) => Ok(text),
        Ok(_) => refuse(400, "the path holds a control character"),
        Err(_) => refuse(400, "the target is not UTF-8"),
    }
}

/// Decodes a chunked body piece by piece and keeps no more than `limit` bytes of it.
#[derive(Debug)]
pub struct ChunkReader {
    state: ChunkState,
    limit: usize,
    trailer: usize,
    body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ChunkState {
    Size,
    Data(usize),
    AfterData,
    Trailer,
    Done,
}

impl ChunkReader {
    pub fn new(limit: usize) -> ChunkReader {
        ChunkReader { state: ChunkState::Size, limit, trailer: 0, body: Vec::new() }
    }

    /// Removes the bytes that it can decode from the front of `input`. `true` when the body is
    /// complete; the rest of `input` then belongs to the next request.
    pub fn take(&mut self, input: &mut Vec<u8>) -> Result<bool, BadRequest> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let step = match self.state {
                ChunkState::Size => self.size_line(rest)?,
                ChunkState::Data(left) => self.data(rest, left),
                ChunkState::AfterData if rest.len() < 2 => None,
                ChunkState::AfterData if rest.starts_with(b"\r\n") => {
                    self.state = ChunkState::Size;
                    Some(2)
                }
                ChunkState::AfterData => return refuse(400, "a chunk is longer than it says"),
                ChunkState::Trailer => self.trailer_line(rest)?,
                ChunkState::Done => None,
            };
            match step {
                Some(taken) => used += taken,
                None => break,
            }
        }
        input.drain(..used);
        Ok(self.state == ChunkState::Done)
    }

    /// The bytes of the body received so far.
    pub fn held(&self) -> usize {
        self.body.len()
    }

    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    fn size_line(&mut self, rest: &[u8]) -> Result<Option<usize>, BadRequest> {
        let Some(end) = line_end(rest, MAX_CHUNK_LINE)? else { return Ok(None) };
        let line = &rest[..end];
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let extension = line[digits..].trim_ascii_start();
        if digits == 0 || digits > 8 || !(extension.is_empty() || extension[0] == b';') {
            return refuse(400, "a chunk size is not a number");
        }
        let text = std::str::from_utf8(&line[..digits]).unwrap_or_default();
        let Ok(size) = usize::from_str_radix(text, 16) else {
            return refuse(400, "a chunk size is not a number");
        };
        if self.body.len() + size > self.limit {
            return refuse(413, "the body is too large");
        }
        self.state = if size == 0 { ChunkState::Trailer } else { ChunkState::Data(size) };
        Ok(Some(end + 2))
    }

    fn data(&mut self, rest: &[u8], left: usize) -> Option<usize> {
        if rest.is_empty() {
            return None;
        }
        let taken = left.min(rest.len());
        self.body.extend_from_slice(&rest[..taken]);
        self.state = match left - taken {
            0 => ChunkState::AfterData,
            more => ChunkState::Data(more),
        };
        Some(taken)
    }

    fn trailer_line(&mut self, rest: &[u8]) -> Result<Option<usize>, BadRequest> {
        let Some(end) = line_end(rest, MAX_TRAILER - self.trailer)? else { return Ok(None) };
        self.trailer += end;
        if end == 0 {
            self.state = ChunkState::Done;
        }
        Ok(Some(end + 2))
    }
}

/// The end of the line; `None` while it has not come.
fn line_end(rest: &[u8], limit: usize) -> Result<Option<usize>, BadRequest> {
    let end = rest.iter().position(|b| *b == b'\n');
    match end {
        Some(0) => refuse(400, "a line must end with CR LF"),
        Some(at) if rest[at - 1] != b'\r' => refuse(400, "a line must end with CR LF"),
        Some(at) if at - 1 > limit => refuse(400, "a line of the chunked body is too long"),
        Some(at) => Ok(Some(at - 1)),
        None if rest.len() > limit + 1 => refuse(400, "a line of the chunked body is too long"),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let head = [b"GET /".as_slice(), &bytes, b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
            let _ = parse_head(&head);
            let _ = parse_head(&bytes);
            let _ = ChunkReader::new(100).take(&mut bytes.clone());
        }

        #[test]
        fn an_accepted_path_stays_in_its_folder(path in "/[a-z./%\\\\2eEfF]{0,12}") {
            let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            if let Ok(head) = parse_head(head.as_bytes()) {
                prop_assert!(!head.path.split(['/', '\\']).any(|part| part == ".."));
            }
        }

        #[test]
        fn a_chunked_body_reads_the_same_however_it_is_cut(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..6),
            cut in 1usize..15,
        ) {
            let mut wire = Vec::new();
            for piece in &pieces {
                wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                wire.extend_from_slice(piece);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\nNEXT");
            let mut reader = ChunkReader::new(1000);
            let mut input = Vec::new();
            let mut done = false;
            for part in wire.chunks(cut) {
                input.extend_from_slice(part);
                done = done || reader.take(&mut input).expect("well formed");
            }
            prop_assert!(done);
            prop_assert_eq!(reader.into_body(), pieces.concat());
            prop_assert_eq!(input, b"NEXT");
        }
    }
}
