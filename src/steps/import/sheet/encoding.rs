//! Finds out how a text is encoded, and reads it as UTF-8.
//!
//! The whole file decides, because the first letter with an accent may be in its last row.

use std::io::{Read, Result};

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How many bytes are read at once.
const CHUNK: usize = 1 << 16;
/// A byte that no UTF-8 text has. It stands for bytes that cannot be decoded, so that their cell is
/// refused.
const DAMAGED: u8 = 0xFF;
/// The most bytes of one character in UTF-8.
const CHARACTER_BYTES_MAX: usize = 4;

/// The encoding that a person names: `latin1`, `windows-1250`, `macintosh`, `shift_jis`, …
pub fn named(label: &str) -> std::result::Result<&'static Encoding, String> {
    Encoding::for_label(label.as_bytes()).ok_or_else(|| {
        format!("--encoding \"{label}\" is not an encoding: give utf-8, utf-16le, windows-1252, …")
    })
}

/// The encoding of a text. A text that is not UTF-8 is Windows-1252, which contains Latin-1, unless
/// most of its letters with accents are UTF-8: then it is damaged UTF-8.
pub fn of(text: &mut impl Read) -> Result<&'static Encoding> {
    let mut buffer = vec![0; CHUNK];
    let (mut letters, mut wrong) = (0_u64, 0_u64);
    let mut kept = fill(text, &mut buffer)?;
    if let Some(encoding) = utf_16(&buffer[..kept]) {
        return Ok(encoding);
    }
    loop {
        let mut rest = &buffer[..kept];
        let is_last = kept < CHUNK;
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, after) = rest.split_at(error.valid_up_to());
            letters += characters(valid);
            match error.error_len() {
                Some(length) => (wrong, rest) = (wrong + 1, &after[length..]),
                None if is_last => (wrong, rest) = (wrong + 1, &[]),
                // A character may continue in the next chunk.
                None => {
                    rest = after;
                    break;
                }
            }
        }
        if is_last {
            letters += characters(rest);
            let is_utf_8 = wrong == 0 || wrong < letters;
            return Ok(if is_utf_8 { UTF_8 } else { WINDOWS_1252 });
        }
        let left = if rest.len() < CHARACTER_BYTES_MAX && std::str::from_utf8(rest).is_err() {
            rest.len()
        } else {
            letters += characters(rest);
            0
        };
        buffer.copy_within(kept - left..kept, 0);
        kept = left + fill(text, &mut buffer[left..])?;
    }
}

/// The characters of valid UTF-8 that are not ASCII.
fn characters(text: &[u8]) -> u64 {
    if text.is_ascii() {
        return 0;
    }
    text.iter().filter(|byte| 0xC0 <= **byte).count() as u64
}

/// UTF-16 has a mark at its beginning. Without one, its ASCII characters have a zero in every other
/// byte.
fn utf_16(beginning: &[u8]) -> Option<&'static Encoding> {
    match beginning {
        [0xFF, 0xFE, ..] => return Some(UTF_16LE),
        [0xFE, 0xFF, ..] => return Some(UTF_16BE),
        _ => {}
    }
    let beginning = &beginning[..beginning.len().min(1 << 9)];
    let zeros = |first: usize| beginning.iter().skip(first).step_by(2).filter(|b| **b == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), beginning.len() / 2);
    let most = |zeros: usize, others: usize| half / 2 < zeros && others * 8 < zeros;
    match () {
        () if most(odd, even) => Some(UTF_16LE),
        () if most(even, odd) => Some(UTF_16BE),
        () => None,
    }
}

/// Fills the buffer, unless the text ends before.
fn fill(text: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match text.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// A text as UTF-8, without its mark at the beginning.
pub struct Decoded<R> {
    source: R,
    /// `None`: the text is UTF-8 already.
    decoder: Option<encoding_rs::Decoder>,
    raw: Vec<u8>,
    raw_at: usize,
    is_over: bool,
    ready: Vec<u8>,
    ready_at: usize,
}

impl<R: Read> Decoded<R> {
    pub fn new(mut source: R, encoding: &'static Encoding) -> Result<Decoded<R>> {
        let mut raw = vec![0; CHARACTER_BYTES_MAX];
        let read = fill(&mut source, &mut raw)?;
        raw.truncate(read);
        let mark = Encoding::for_bom(&raw).filter(|(known, _)| *known == encoding);
        raw.drain(..mark.map_or(0, |(_, length)| length));
        let is_utf_8 = encoding == UTF_8;
        let decoder = (!is_utf_8).then(|| encoding.new_decoder_without_bom_handling());
        let (ready, raw) = if is_utf_8 { (raw, Vec::new()) } else { (Vec::new(), raw) };
        Ok(Decoded { source, decoder, raw, raw_at: 0, is_over: false, ready, ready_at: 0 })
    }

    /// The reader that supplies the bytes.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// Decodes the next bytes.
    fn decode(&mut self) -> Result<()> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        if self.raw_at == self.raw.len() {
            self.raw.resize(CHUNK, 0);
            let read = self.source.read(&mut self.raw)?;
            self.raw.truncate(read);
            (self.raw_at, self.is_over) = (0, read == 0);
        }
        self.ready.clear();
        self.ready_at = 0;
        // UTF-16 and one-byte encodings need at most three bytes for each one.
        self.ready.resize(3 * CHUNK + CHARACTER_BYTES_MAX, 0);
        let room = self.ready.len() - 1;
        let (result, taken, put) = decoder.decode_to_utf8_without_replacement(
            &self.raw[self.raw_at..],
            &mut self.ready[..room],
            self.is_over,
        );
        self.raw_at += taken;
        self.ready.truncate(put);
        if matches!(result, DecoderResult::Malformed(_, _)) {
            self.ready.push(DAMAGED);
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        loop {
            let ready = &self.ready[self.ready_at..];
            if !ready.is_empty() {
                let put = ready.len().min(into.len());
                into[..put].copy_from_slice(&ready[..put]);
                self.ready_at += put;
                return Ok(put);
            }
            if self.decoder.is_none() {
                return self.source.read(into);
            }
            if self.is_over {
                return Ok(0);
            }
            self.decode()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (&'static str, Vec<u8>) {
        let encoding = of(&mut &bytes[..]).unwrap();
        let mut text = Vec::new();
        Decoded::new(bytes, encoding).unwrap().read_to_end(&mut text).unwrap();
        (encoding.name(), text)
    }

    fn utf_16_of(text: &str, is_little: bool) -> Vec<u8> {
        let bytes = |unit: u16| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn one_text_is_read_alike_in_every_encoding() {
        let text = format!("name,city\nMüller,Åre\n{}", "Zoë,Łódź 👩 x\n".repeat(20_000));
        for is_little in [true, false] {
            let name = if is_little { "UTF-16LE" } else { "UTF-16BE" };
            let marked = utf_16_of(&format!("\u{FEFF}{text}"), is_little);
            for bytes in [utf_16_of(&text, is_little), marked] {
                assert!(read(&bytes) == (name, text.as_bytes().to_vec()), "{name}");
            }
        }
        for bytes in [text.clone(), format!("\u{FEFF}{text}")] {
            assert!(read(bytes.as_bytes()) == ("UTF-8", text.as_bytes().to_vec()));
        }
        let latin = WINDOWS_1252.encode("Müller – 5 €").0;
        assert_eq!(read(&latin), ("windows-1252", "Müller – 5 €".as_bytes().to_vec()));
    }

    #[test]
    fn one_letter_late_in_a_file_decides() {
        let mut bytes = vec![b'a'; 3 * CHUNK + 1];
        bytes.push(0xFC);
        bytes.extend(b"bc");
        assert_eq!(read(&bytes).0, "windows-1252");
        // The character lies across the border of two chunks.
        for before in CHUNK - 3..=CHUNK {
            let mut text = "a".repeat(before);
            text.push_str("👩ü");
            assert_eq!(read(text.as_bytes()), ("UTF-8", text.as_bytes().to_vec()), "{before}");
        }
    }

    #[test]
    fn damage_in_a_text_is_kept_as_damage() {
        let mut utf_8 = "é,è\nü,".as_bytes().to_vec();
        utf_8.extend(b"M\xFCller\n");
        assert_eq!(read(&utf_8), ("UTF-8", utf_8.clone()));
        let mut utf_16 = utf_16_of("\u{FEFF}ab", true);
        utf_16.extend([0x00, 0xD8, b'c', 0, b'd']);
        assert_eq!(read(&utf_16), ("UTF-16LE", b"ab\xFFc\xFF".to_vec()));
    }

    #[test]
    fn an_encoding_that_nobody_knows_is_refused() {
        assert_eq!(named("latin1").map(Encoding::name), Ok("windows-1252"));
        assert!(named("klingon").is_err_and(|why| why.contains("--encoding \"klingon\"")));
    }
}
