//! Signatures of Standard Webhooks 1.0.0: `v1`, HMAC-SHA256 over id, timestamp and raw body.
//!
//! # Invariants
//! - Compared in constant time, by the MAC's own check.
//! - Several secrets may be valid at once, so that they can be changed without a gap; several
//!   signatures may be sent for the same reason. One pair that matches is enough.
//! - What is not understood in the list of signatures (other versions, malformed items) is skipped:
//!   it neither helps nor harms.
//! - Without a secret nothing verifies.
//!
//! # Not here
//! No I/O and no clock: the caller says what time it is. What a body means is `native`'s business.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How far a timestamp may be from now, either way.
pub const TOLERANCE_S: u64 = 300;

/// What secrets begin with; the rest is Base64 of the key.
const PREFIX: &str = "whsec_";

/// A key is 24 to 64 bytes long.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The version of signatures made with a shared secret.
const VERSION: &[u8] = b"v1";

/// Signatures looked at in one request; more is no honest rotation.
const SIGNATURES_MAX: usize = 16;

/// A secret shared with a sender. Never shown.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

/// Why text is not a [`Secret`]. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Another kind of secret, or none.
    #[error("secret does not begin with {PREFIX:?}")]
    Prefix,
    /// The rest is not Base64 (RFC 4648 §4, with padding).
    #[error("secret is not base64 after {PREFIX:?}")]
    Base64,
    /// Too short to be safe, or longer than the standard has it.
    #[error("secret is {bytes} bytes; expected 24 to 64")]
    Length {
        /// Its length, decoded.
        bytes: usize,
    },
}

/// Why a request is not taken for the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A field is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Not a number of seconds since 1970.
    #[error("webhook-timestamp is not a number of seconds since 1970")]
    Timestamp,
    /// Sent too long ago, or not yet: a replay or a wrong clock.
    #[error("webhook-timestamp is {off_s} s off; limit is {TOLERANCE_S} s")]
    Expired {
        /// Its distance from now.
        off_s: u64,
    },
    /// None of the signatures is by any of the secrets.
    #[error("no signature matches")]
    NoMatch,
}

impl Secret {
    /// From `whsec_` and Base64.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(SecretError::Length { bytes: key.len() });
        }
        Ok(Self(key.into()))
    }

    /// The MAC over `id.timestamp.body`, not yet finished.
    fn mac(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length, so this is always `Some`.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        for piece in [id, b".", timestamp, b".", body] {
            mac.update(piece);
        }
        Some(mac)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Whether a request is from somebody who knows one of the secrets, and recent.
///
/// `id`, `timestamp` and `signature` are the values of `webhook-id`, `webhook-timestamp` and
/// `webhook-signature`; `body` is the raw body; `now_s` counts seconds since 1970.
pub fn verify(
    secrets: &[Secret],
    id: Option<&[u8]>,
    timestamp: Option<&[u8]>,
    signature: Option<&[u8]>,
    body: &[u8],
    now_s: u64,
) -> Result<(), SignatureError> {
    let id = present("webhook-id", id)?;
    let timestamp = present("webhook-timestamp", timestamp)?;
    let signature = present("webhook-signature", signature)?;
    let sent_s = seconds(timestamp).ok_or(SignatureError::Timestamp)?;
    let off_s = now_s.abs_diff(sent_s);
    if off_s > TOLERANCE_S {
        return Err(SignatureError::Expired { off_s });
    }
    let given = signature.split(|byte| *byte == b' ').filter_map(mac_of).take(SIGNATURES_MAX);
    for given in given {
        let is_match = |secret: &Secret| {
            let mac = secret.mac(id, timestamp, body);
            mac.is_some_and(|mac| mac.verify_slice(&given).is_ok())
        };
        if secrets.iter().any(is_match) {
            return Ok(());
        }
    }
    Err(SignatureError::NoMatch)
}

/// The value of `webhook-signature` for a request, as a sender makes it.
pub fn sign(secret: &Secret, id: impl AsRef<[u8]>, timestamp_s: u64, body: &[u8]) -> String {
    let timestamp = timestamp_s.to_string();
    let mac = secret.mac(id.as_ref(), timestamp.as_bytes(), body);
    let code = mac.map(|mac| STANDARD.encode(mac.finalize().into_bytes())).unwrap_or_default();
    format!("v1,{code}")
}

fn present<'value>(
    field: &'static str,
    value: Option<&'value [u8]>,
) -> Result<&'value [u8], SignatureError> {
    value.filter(|value| !value.is_empty()).ok_or(SignatureError::Missing(field))
}

/// Digits alone: a sign or a space would be read by `parse`, but signed by nobody.
fn seconds(timestamp: &[u8]) -> Option<u64> {
    let is_number = timestamp.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(timestamp).ok().filter(|_| is_number)?;
    text.parse().ok()
}

/// The MAC of one item `v1,base64`; `None` for what is to be skipped.
fn mac_of(item: &[u8]) -> Option<Vec<u8>> {
    let comma = item.iter().position(|byte| *byte == b',')?;
    let (version, encoded) = item.split_at_checked(comma)?;
    if version != VERSION {
        return None;
    }
    STANDARD.decode(encoded.get(1..)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The published example.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &[u8] = b"msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const SENT: &[u8] = b"1649367553";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &[u8] = b"v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
    const NOW_S: u64 = 1_649_367_553;
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        texts.iter().map(|text| Secret::parse(text).unwrap()).collect()
    }

    fn check(texts: &[&str], signature: &[u8], now_s: u64) -> Result<(), SignatureError> {
        verify(&secrets(texts), Some(ID), Some(SENT), Some(signature), BODY, now_s)
    }

    #[test]
    fn published_example_verifies_and_is_what_we_sign() {
        assert_eq!(check(&[SECRET], SIGNATURE, NOW_S), Ok(()));
        let id = std::str::from_utf8(ID).unwrap();
        assert_eq!(sign(&secrets(&[SECRET])[0], id, NOW_S, BODY).as_bytes(), SIGNATURE);
    }

    #[test]
    fn any_secret_and_any_signature_may_match() {
        let several = [b"v1a,AAAA v1 ,, v1,!!! v1, v2,x v1,AAAA ".as_slice(), SIGNATURE].concat();
        assert_eq!(check(&[OTHER, SECRET], &several, NOW_S), Ok(()));
        assert_eq!(check(&[SECRET, OTHER], &several, NOW_S), Ok(()));
        assert_eq!(check(&[OTHER], &several, NOW_S), Err(SignatureError::NoMatch));
        assert_eq!(check(&[], SIGNATURE, NOW_S), Err(SignatureError::NoMatch));
    }

    #[test]
    fn code_of_another_version_or_shortened_does_not_match() {
        let other_version = [b"v1a".as_slice(), &SIGNATURE[2..]].concat();
        for given in [&other_version[..], b"v1,", b"v1,tZ1I", b",", b" "] {
            assert_eq!(check(&[SECRET], given, NOW_S), Err(SignatureError::NoMatch), "{given:?}");
        }
    }

    #[test]
    fn timestamp_counts_up_to_the_tolerance_on_both_sides() {
        for off_s in [0, TOLERANCE_S] {
            assert_eq!(check(&[SECRET], SIGNATURE, NOW_S + off_s), Ok(()));
            assert_eq!(check(&[SECRET], SIGNATURE, NOW_S - off_s), Ok(()));
        }
        let off_s = TOLERANCE_S + 1;
        let expired = Err(SignatureError::Expired { off_s });
        assert_eq!(check(&[SECRET], SIGNATURE, NOW_S + off_s), expired);
        assert_eq!(check(&[SECRET], SIGNATURE, NOW_S - off_s), expired);
        for odd in ["+1649367553", "1649367553.0", " 1649367553", "99999999999999999999", "x"] {
            let told = verify(&[], Some(ID), Some(odd.as_bytes()), Some(SIGNATURE), BODY, NOW_S);
            assert_eq!(told, Err(SignatureError::Timestamp), "{odd:?}");
        }
    }

    #[test]
    fn missing_field_is_named() {
        let all = [Some(ID), Some(SENT), Some(SIGNATURE)];
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        for (n, name) in names.into_iter().enumerate() {
            for absent in [None, Some(&b""[..])] {
                let mut fields = all;
                fields[n] = absent;
                let [id, sent, signature] = fields;
                let told = verify(&secrets(&[SECRET]), id, sent, signature, BODY, NOW_S);
                assert_eq!(told, Err(SignatureError::Missing(name)));
            }
        }
    }

    #[test]
    fn secret_is_checked_and_never_shown() {
        let parse = |text: &str| Secret::parse(text).map(|_| ());
        assert_eq!(parse("C2FVsBQIhrscChlQIMV+b5sSYspob7oD"), Err(SecretError::Prefix));
        assert_eq!(parse("whsk_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"), Err(SecretError::Prefix));
        assert_eq!(parse("whsec_***"), Err(SecretError::Base64));
        assert_eq!(parse("whsec_AAAA"), Err(SecretError::Length { bytes: 3 }));
        assert_eq!(format!("{:?}", secrets(&[SECRET])), "[Secret(***)]");
    }

    proptest! {
        #[test]
        fn any_flipped_bit_fails(
            body in prop::collection::vec(any::<u8>(), 1..200),
            id in "[a-z0-9_]{1,30}",
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let secrets = secrets(&[SECRET]);
            let signature = sign(&secrets[0], &id, NOW_S, &body);
            let sent = NOW_S.to_string();
            let ask = |id: &[u8], sent: &[u8], signature: &[u8], body: &[u8]| {
                verify(&secrets, Some(id), Some(sent), Some(signature), body, NOW_S)
            };
            let (id, sent, signature) = (id.as_bytes(), sent.as_bytes(), signature.as_bytes());
            prop_assert_eq!(ask(id, sent, signature, &body), Ok(()));
            let flip = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes
            };
            prop_assert!(ask(&flip(id), sent, signature, &body).is_err());
            prop_assert!(ask(id, &flip(sent), signature, &body).is_err());
            prop_assert!(ask(id, sent, &flip(signature), &body).is_err());
            prop_assert!(ask(id, sent, signature, &flip(&body)).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic_or_verify(
            id in prop::collection::vec(any::<u8>(), 0..40),
            sent in prop::collection::vec(any::<u8>(), 0..12),
            signature in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let told =
                verify(&secrets(&[SECRET]), Some(&id), Some(&sent), Some(&signature), b"", 0);
            prop_assert!(told.is_err());
        }
    }
}
