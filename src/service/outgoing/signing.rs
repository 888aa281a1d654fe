//! Signs events by the Standard Webhooks specification, so that every receiver can check them with
//! its public libraries.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The headers of one event: its id, the time of this try in Unix seconds, and the signature.
pub fn headers(key: &[u8], id: &str, seconds: i64, body: &str) -> [(&'static str, String); 4] {
    [
        ("content-type", "application/json".to_string()),
        ("webhook-id", id.to_string()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signature(key, id, seconds, body)),
    ]
}

/// `v1,` and the base64 of the HMAC-SHA256 of `id.seconds.body`.
fn signature(key: &[u8], id: &str, seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC accepts keys of every length");
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::events::signing_key;
    use crate::config::secret::Secret;

    fn signed(secret: &str, id: &str, seconds: i64, body: &str) -> String {
        signature(&signing_key(&Secret::new(secret)).unwrap(), id, seconds, body)
    }

    /// The vectors that the specification's own libraries and its authors' documents use.
    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        let documented = signed(
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
        );
        assert_eq!(documented, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed(secret, id, 1_614_265_330, r#"{"test": 2432232314}"#), expected);
        let bare = secret.trim_start_matches("whsec_");
        assert_eq!(signed(bare, id, 1_614_265_330, r#"{"test": 2432232314}"#), expected);
        for (id, seconds, body) in [
            ("msg_p5jXN8AQM9LWM0D4loKWxJeK", 1_614_265_330, r#"{"test": 2432232314}"#),
            (id, 1_614_265_331, r#"{"test": 2432232314}"#),
            (id, 1_614_265_330, r#"{"test":2432232314}"#),
        ] {
            assert_ne!(signed(secret, id, seconds, body), expected, "{id} {seconds} {body}");
        }
    }
}
