//! The fake's recordings: a second of silence, at an address that expires.

use chrono::Duration;

use crate::domain::Instant;
use crate::http::response::Response;

/// How long an address is valid.
const VALID: Duration = Duration::minutes(5);
/// Samples of the recording: one second at 8 kHz, 8 bits each.
const SAMPLES: u32 = 8_000;

/// The address of a call's recording, valid from now on.
pub(super) fn address(base_url: &str, id: &str, now: Instant) -> String {
    format!("{base_url}/recordings/{id}.wav?until={}", (now + VALID).timestamp_millis())
}

/// The recording, or a refusal once its address has expired.
pub(super) fn file(name: &str, until: Option<i64>, now: Instant) -> Response {
    if !name.ends_with(".wav") || until.is_none_or(|until| until < now.timestamp_millis()) {
        return Response::text(403, "this address has expired");
    }
    Response::new(200).with_header("Content-Type", "audio/wav").with_body(silence())
}

/// A WAV file: header, format, samples in the middle of their range.
fn silence() -> Vec<u8> {
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + SAMPLES).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    for field in [16, 1 | 1 << 16, 8_000, 8_000, 1 | 8 << 16] {
        wav.extend(u32::to_le_bytes(field));
    }
    wav.extend(b"data");
    wav.extend(SAMPLES.to_le_bytes());
    wav.resize(wav.len() + SAMPLES as usize, 128);
    wav
}
